"""Reductions: sums, means and maxima over some axes."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.axes import axes_of, check_axes
from xpnn.layers.base import Ctx, Layer, Shape, Tree, is_multiple


@dataclass(frozen=True)
class Reduction(Layer, abstract=True):
    """axes: 1 is the first after the samples', -1 the last; None: all. keepdims: reduced axes stay, with size 1."""

    axes: tuple[int, ...] | None = None
    keepdims: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axes(self, *(self.axes or ()))

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Without the axes, or with 1 for each. Raises ShapeError for an axis that the samples do not have."""
        axes = axes_of(self.axes, shape)
        left = ((1 if i in axes else n) for i, n in enumerate(shape, 1) if self.keepdims or i not in axes)
        return {}, tuple(left)

    def spread(self, cx: Ctx, dy: Array, shape: Shape) -> Array:
        """dy with size 1 on every axis that was reduced, so that it broadcasts to the shape of x."""
        axes = axes_of(self.axes, shape[1:])
        return cx.be.xp.reshape(dy, tuple(1 if i in axes else n for i, n in enumerate(shape)))


@dataclass(frozen=True)
class ReduceSum(Reduction):
    """y = the sum of x over the axes; dx = dy for each of them."""

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        axes = axes_of(self.axes, x.shape[1:])
        return cx.be.xp.sum(x, axis=axes, keepdims=self.keepdims), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        return cx.be.xp.broadcast_to(self.spread(cx, dy, shape), shape), {}


@dataclass(frozen=True)
class ReduceMean(Reduction):
    """y = the mean of x over the axes; dx = dy / n for each of the n numbers."""

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        axes = axes_of(self.axes, x.shape[1:])
        return cx.be.xp.mean(x, axis=axes, keepdims=self.keepdims), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        n = math.prod(shape[axis] for axis in axes_of(self.axes, shape[1:]))
        return cx.be.xp.broadcast_to(self.spread(cx, dy / n, shape), shape), {}


@dataclass(frozen=True)
class ReduceMax(Reduction):
    """y = the largest x over the axes; dx = dy / k for each of the k that are the largest, else 0.

    Equal ones share dy, as in PyTorch's `amax`; NaN is always the largest.
    """

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps which x are the largest, as shares that sum to 1."""
        axes = axes_of(self.axes, x.shape[1:])
        y = cx.be.xp.max(x, axis=axes, keepdims=True)
        first = cx.be.xp.astype((x == y) | cx.be.xp.isnan(x), x.dtype)
        share = first / cx.be.xp.sum(first, axis=axes, keepdims=True)
        return (y if self.keepdims else cx.be.xp.squeeze(y, axis=axes)), (share,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (share,) = cache
        return share * self.spread(cx, dy, share.shape), {}


@dataclass(frozen=True)
class MaskedMean(Layer):
    """y = sum_t m_t x_t / sum_t m_t: the mean over time that leaves padding out; 0 where all is padding.

    Takes (x, mask) as recurrent layers with masked=True do: x (time, ...), mask (time,) of 1 for real steps and 0 for
    padding, y (...). Backward: dx_t = m_t dy / sum_t m_t; a mask has no gradient.
    """

    multi_input = True
    input_kind = ("float", "mask")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Without time. Raises ShapeError for anything but a sequence and its mask."""
        if (
            not is_multiple(shape)
            or len(shape) != 2
            or not shape[0]
            or tuple(shape[1]) != tuple(shape[0][:1])
        ):
            raise ShapeError("wants a sequence (time, ...) and its mask (time,)", why=f"got {shape}")
        return {}, tuple(shape[0][1:])

    def forward(self, cx: Ctx, p: Tree, x: tuple[Array, Array]) -> tuple[Array, tuple[Any, ...]]:
        """Keeps the weight m_t / sum m of each step. Padding may hold anything, also infinity."""
        (sequence, mask), xp = x, cx.be.xp
        m = xp.astype(mask != 0, cx.be.dtype)
        total = xp.sum(m, axis=1, keepdims=True)
        weight = m / xp.where(total > 0, total, xp.ones_like(total))
        weight = xp.reshape(weight, (*weight.shape, *(1,) * (sequence.ndim - 2)))
        kept = cx.be.mask(sequence, xp.broadcast_to(weight != 0, sequence.shape))
        return xp.sum(kept * weight, axis=1), (weight,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        (weight,) = cache
        return (cx.be.xp.expand_dims(dy, axis=1) * weight, None), {}
