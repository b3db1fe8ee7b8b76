"""Layers that change the height and width of images, or sum up positions to one number for each channel."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.pad import Pad
from xpnn.window import AXES, Pair, Window, at_least, check_padding, check_positions, pads_of, per_axis

Pads: TypeAlias = int | tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class ZeroPad2D(Layer):
    """x with rows and columns of zeros around it: a number, or ((top, bottom), (left, right)).

    Shapes: x (N, H, W, C), y (N, top + H + bottom, left + W + right, C). Backward: dx is the middle of dy.
    """

    padding: Pads = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self, self.padding, 2)

    def in_axes(self) -> Pad:
        """Return the same padding, given for each axis of a sample."""
        return Pad((*pads_of(self.padding, 2), (0, 0)))

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        check_positions(shape, 2)
        return self.in_axes().plan(shape)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self.in_axes().forward(cx, p, x)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return self.in_axes().backward(cx, p, cache, dy)


@dataclass(frozen=True)
class UpSampling2D(Layer):
    """Each pixel becomes a block of size pixels of its value (nearest neighbour): y[i, j] = x[i // s, j // t].

    Shapes: x (N, H, W, C), y (N, s H, t W, C). Backward: dx is the sum of dy over each block.
    """

    size: int | Pair = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, size=self.size)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        check_positions(shape, 2)
        s, t = per_axis(self.size, 2)
        return {}, (s * shape[0], t * shape[1], shape[2])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        sizes = per_axis(self.size, 2)
        blocks = cx.be.xp.reshape(x, beside(x.shape, (1,) * len(sizes)))
        blocks = cx.be.xp.broadcast_to(blocks, beside(x.shape, sizes))
        grown = (size * n for size, n in zip(sizes, x.shape[1:-1], strict=True))
        return cx.be.xp.reshape(blocks, (x.shape[0], *grown, x.shape[-1])), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        sizes = per_axis(self.size, 2)
        places = (n // size for size, n in zip(sizes, dy.shape[1:-1], strict=True))
        blocks = cx.be.xp.reshape(dy, beside((dy.shape[0], *places, dy.shape[-1]), sizes))
        return cx.be.xp.sum(blocks, axis=tuple(range(2, blocks.ndim, 2))), {}


def beside(shape: Shape, sizes: Shape) -> Shape:
    """(N, n1, n2, ..., C) with the size of a block behind each axis of positions: (N, n1, s1, n2, s2, ..., C)."""
    pairs = zip(shape[1:-1], sizes, strict=True)
    return (shape[0], *(n for pair in pairs for n in pair), shape[-1])


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
