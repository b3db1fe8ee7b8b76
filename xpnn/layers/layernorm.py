"""Normalizations of one sample alone: the same in training and evaluation, at any batch size."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.normalize import (
    inverse_root,
    moments,
    normalized_grad,
    scale_shift_grads,
    scale_shift_specs,
    scaled_and_shifted,
)
from xpnn.settings import Positive


@dataclass(frozen=True)
class LayerNorm(Layer):
    """y = gain (x - mean) / sqrt(var + eps) + bias, mean and var (divisor n) over the last axis of every row.

    Shapes: x (..., n); gain, bias (n,). bias=False leaves the parameter bias out. A row whose squares overflow, in
    float32 beyond 1.8e19, becomes NaN. Source: Ba, Kiros, Hinton, arXiv:1607.06450 (2016).
    """

    role = "normalization"
    trained = True
    eps: Positive = 1e-5
    bias: bool = True

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        return scale_shift_specs(last_axis(shape), self.bias), shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        d, _, var = moments(cx, x, -1)
        r = inverse_root(cx, var, self.eps)
        n = d * r
        return scaled_and_shifted(n, p), (n, r)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = (dn - mean(dn) - n mean(dn n)) / sqrt(var + eps), dn = dy gain."""
        n, r = cache
        dx = normalized_grad(cx, dy * p["gain"], n, r, -1) if cx.need_dx else None
        return dx, scale_shift_grads(cx, n, dy, p)


@dataclass(frozen=True)
class RMSNorm(Layer):
    """y = gain x / sqrt(mean(x^2) + eps), the mean over the last axis of every row.

    Shapes: x (..., n), gain (n,). A row whose squares overflow, in float32 beyond 1.8e19, becomes NaN.
    Source: Zhang and Sennrich, NeurIPS 2019.
    """

    role = "normalization"
    trained = True
    eps: Positive = 1e-6

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        return scale_shift_specs(last_axis(shape), bias=False), shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        r = inverse_root(cx, cx.be.xp.mean(x * x, axis=-1, keepdims=True), self.eps)
        n = x * r
        return n * p["gain"], (n, r)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = (dn - n mean(dn n)) / sqrt(mean(x^2) + eps), dn = dy gain."""
        n, r = cache
        grads = scale_shift_grads(cx, n, dy, p)
        if not cx.need_dx:
            return None, grads
        dn = dy * p["gain"]
        return r * (dn - n * cx.be.xp.mean(dn * n, axis=-1, keepdims=True)), grads


def last_axis(shape: Shape) -> Shape:
    """(n,). Raises ShapeError for an axis without values."""
    if not shape or shape[-1] == 0:
        raise ShapeError("wants at least one feature on the last axis", why=f"got {shape}")
    return shape[-1:]
