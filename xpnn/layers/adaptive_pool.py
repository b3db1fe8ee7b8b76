"""Pooling to a size that is given: means over cells of equal share."""

from dataclasses import dataclass
from typing import Any

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.global_pool import check_channels
from xpnn.window import Sizes, at_least, longest_cell, per_axis


@dataclass(frozen=True)
class AdaptiveAvgPool(Layer):
    """y[i] = the mean of x over the places floor(i n / m), ..., ceil((i + 1) n / m) - 1, axis by axis: n become m.

    For any size of x the same size of y; where n is a multiple of m, windows side by side. Shapes: x (N, positions...,
    C), y (N, size..., C). size: one number for all axes, or one for each. Backward: dx = the sum of dy / count over the
    cells that a place is in. Source: He, Zhang, Ren, Sun, "Spatial pyramid pooling", ECCV 2014; cells as PyTorch's.
    """

    size: int | Sizes

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, size=self.size)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError for another number of axes."""
        check_channels(shape)
        sizes = per_axis(self.size, len(shape) - 1)
        if len(sizes) != len(shape) - 1:
            raise ShapeError(f"has sizes for {len(sizes)} axes of positions", why=f"got {shape}")
        return {}, (*sizes, shape[-1])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp, y = cx.be.xp, x
        for axis, m in enumerate(per_axis(self.size, x.ndim - 2), 1):
            ids, inside, count = cells(cx.be, y.shape[axis], m, x.ndim - axis)
            each = xp.reshape(cx.be.take_axis(y, ids, axis), (*y.shape[:axis], m, -1, *y.shape[axis + 1 :]))
            y = xp.sum(cx.be.mask(each, xp.broadcast_to(inside, each.shape)), axis=axis + 1) / count
        return y, (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The last axis first: each place has its share of the cells it is in."""
        (shape,), xp = cache, cx.be.xp
        for axis in range(len(shape) - 2, 0, -1):
            ids, inside, count = cells(cx.be, shape[axis], dy.shape[axis], len(shape) - axis)
            share = xp.expand_dims(dy / count, axis=axis + 1)
            wide = (*dy.shape[: axis + 1], inside.shape[1], *dy.shape[axis + 1 :])
            share = cx.be.mask(xp.broadcast_to(share, wide), xp.broadcast_to(inside, wide))
            flat = xp.reshape(share, (*dy.shape[:axis], ids.shape[0], *dy.shape[axis + 1 :]))
            dy = cx.be.take_axis_grad(flat, ids, shape[axis], axis)
        return dy, {}


def cells(be: Backend, n: int, m: int, ndim: int) -> tuple[Array, Array, Array]:
    """The places of m cells among n, as many for each: (the places in a row, which are in their cell, how many are).

    The last two are shaped for the first of `ndim` axes, (m, longest, 1, ...) and (m, 1, ...).
    """
    xp, i = be.xp, be.arange(m)
    longest = longest_cell(n, m)
    start, end = (i * n) // m, -((-(i + 1) * n) // m)
    at = xp.reshape(start, (m, 1)) + xp.reshape(be.arange(longest), (1, longest))
    inside, ones = at < xp.reshape(end, (m, 1)), (1,) * (ndim - 1)
    ids = xp.reshape(xp.where(inside, at, xp.full_like(at, n - 1)), (-1,))
    count = xp.reshape(xp.astype(end - start, be.dtype), (m, *ones))
    return ids, xp.reshape(inside, (m, longest, *ones)), count
