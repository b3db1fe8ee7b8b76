"""Pooling over all positions: one number for each channel."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.window import AXES, Window


def check_channels(shape: Shape) -> None:
    """Raise ShapeError for samples that are neither sequences, images nor volumes."""
    if len(shape) - 1 not in AXES or 0 in shape:
        known = " or ".join(AXES[axes][0] for axes in (2, 1, 3))
        raise ShapeError(f"wants {known}", why=f"got {shape}")


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """y = the mean of each channel: (N, positions..., C) -> (N, C); dx = dy / (number of places) everywhere.

    Source: Lin, Chen, Yan, "Network in network", ICLR 2014.
    """

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        check_channels(shape)
        return {}, shape[-1:]

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.mean(x, axis=tuple(range(1, x.ndim - 1))), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        places = shape[1:-1]
        share = cx.be.xp.reshape(dy, (shape[0], *(1 for _ in places), shape[-1])) / math.prod(places)
        return share + cx.be.xp.zeros(shape, dtype=dy.dtype, device=cx.be.device), {}


@dataclass(frozen=True)
class GlobalMaxPool(Layer):
    """y = the largest value of each channel: (N, positions..., C) -> (N, C); dx = dy at the first of them.

    NaN counts as the largest.
    """

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        check_channels(shape)
        return {}, shape[-1:]

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """One window as large as the sample; keeps the place of the maximum."""
        y, tap = cx.be.max_pool(x, Window(x.shape[1:-1], x.shape[1:-1]))
        return cx.be.xp.reshape(y, (x.shape[0], x.shape[-1])), (tap, x.shape)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        tap, shape = cache
        dy = cx.be.xp.reshape(dy, tap.shape)
        return cx.be.max_pool_grad(dy, tap, shape, Window(shape[1:-1], shape[1:-1])), {}
