"""Normalizations of one image over groups of its channels."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.layernorm import last_axis
from xpnn.layers.normalize import (
    inverse_root,
    moments,
    normalized_grad,
    scale_shift_grads,
    scale_shift_specs,
    scaled_and_shifted,
)
from xpnn.settings import Count, Positive


@dataclass(frozen=True)
class GroupNorm(Layer):
    """y = gain (x - mean) / sqrt(var + eps) + bias; mean and var (divisor n) of each sample and group of channels.

    The channels, the last axis, fall into `groups` runs of neighbours; statistics are over a group's channels and all
    positions. bias=False leaves the parameter bias out.
    Shapes: x (N, ..., channels); gain, bias (channels,). Source: Wu and He, ECCV 2018.
    """

    role = "normalization"
    trained = True
    groups: Count
    eps: Positive = 1e-5
    bias: bool = True

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """gain, and bias if there is one. Raises ShapeError unless the groups divide the channels."""
        features = last_axis(shape)
        if shape[-1] % self.groups:
            raise ShapeError(f"cannot make {self.groups} equal groups", why=f"of {shape[-1]} channels")
        check_values(shape, math.prod(shape) // self.groups)
        return scale_shift_specs(features, self.bias), shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return group_forward(cx, p, x, self.groups, self.eps)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = (dn - mean(dn) - n mean(dn n)) / sqrt(var + eps) within every group, dn = dy gain."""
        return group_backward(cx, p, cache, dy, self.groups)


@dataclass(frozen=True)
class InstanceNorm(Layer):
    """GroupNorm with one group per channel: mean and var of each sample and channel, over all positions.

    bias=False leaves the parameter bias out.
    Shapes: x (N, ..., channels) with at least two positions; gain, bias (channels,).
    Source: Ulyanov, Vedaldi, Lempitsky, arXiv:1607.08022 (2016).
    """

    role = "normalization"
    trained = True
    eps: Positive = 1e-5
    bias: bool = True

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """gain, and bias if there is one. Raises ShapeError for a single position."""
        features = last_axis(shape)
        check_values(shape, math.prod(shape[:-1]))
        return scale_shift_specs(features, self.bias), shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return group_forward(cx, p, x, x.shape[-1], self.eps)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = (dn - mean(dn) - n mean(dn n)) / sqrt(var + eps) within every channel, dn = dy gain."""
        return group_backward(cx, p, cache, dy, dy.shape[-1])


def check_values(shape: Shape, values: int) -> None:
    """Raise ShapeError unless a mean is over more than one value."""
    if values < 2:
        raise ShapeError(
            "takes the variance of one value, which is always 0" if values else "has no values to normalize",
            why=f"got {shape}",
        )


def grouped(cx: Ctx, x: Array, groups: int) -> Array:
    """(N, ..., channels) -> (N, positions, groups, channels per group)."""
    channels = x.shape[-1]
    return cx.be.xp.reshape(x, (x.shape[0], math.prod(x.shape[1:-1]), groups, channels // groups))


def group_forward(cx: Ctx, p: Tree, x: Array, groups: int, eps: float) -> tuple[Array, tuple[Any, ...]]:
    """y, (n, 1 / sqrt(var + eps))."""
    d, _, var = moments(cx, grouped(cx, x, groups), (1, 3))
    r = inverse_root(cx, var, eps)
    n = cx.be.xp.reshape(d * r, x.shape)
    return scaled_and_shifted(n, p), (n, r)


def group_backward(
    cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array, groups: int
) -> tuple[Array | None, Tree]:
    """dx and the gradients of gain and bias."""
    n, r = cache
    grads = scale_shift_grads(cx, n, dy, p)
    if not cx.need_dx:
        return None, grads
    dn = grouped(cx, dy * p["gain"], groups)
    dx = normalized_grad(cx, dn, grouped(cx, n, groups), r, (1, 3))
    return cx.be.xp.reshape(dx, dy.shape), grads
