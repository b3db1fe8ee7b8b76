"""Pooling over sequences, images and volumes: one number for each window, channel by channel."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.window import (
    Ends,
    Margins,
    Padding,
    Pair,
    Sizes,
    Triple,
    Window,
    at_least,
    check_no_window_is_padding,
    check_padding,
    counts,
    per_axis,
    place,
    rounded_up,
)


@dataclass(frozen=True)
class Pooling(Layer, abstract=True):
    """Windows that slide over each channel. stride None: they lie side by side.

    padding: as for the convolution over as many axes. dilation: the taps of a window are so far apart. ceil_mode: a
    last window that begins inside, or in the padding before, counts although it ends outside.
    """

    axes: ClassVar[int]

    pool: int | Sizes = 2
    stride: int | Sizes | None = None
    padding: Ends | Padding | Margins = "valid"
    dilation: int | Sizes = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        stride = self.pool if self.stride is None else self.stride
        at_least(1, self, pool=self.pool, stride=stride, dilation=self.dilation)
        check_padding(self, self.padding, self.axes)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError when no window fits, or one would hold nothing but padding."""
        window = self.window(shape)
        check_no_window_is_padding(shape, window)
        return {}, (*counts((1, *shape), window), shape[-1])

    def window(self, shape: Shape) -> Window:
        """Where its windows lie on a sample of that shape."""
        window = self.within(shape)
        return rounded_up(tuple(shape), window) if self.ceil_mode else window

    def within(self, shape: Shape) -> Window:
        """The windows that end inside or in the padding."""
        stride = self.pool if self.stride is None else self.stride
        pool, stride, dilation = (per_axis(n, self.axes) for n in (self.pool, stride, self.dilation))
        return place(tuple(shape), pool, stride, self.padding, dilation)


@dataclass(frozen=True)
class MaxPooling(Pooling, abstract=True):
    """y = the largest x of each window; dx = dy at the first place (the last axis fastest) that holds it."""

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y, tap = cx.be.max_pool(x, self.window(x.shape[1:]))
        return y, (tap, x.shape)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        tap, shape = cache
        return cx.be.max_pool_grad(dy, tap, shape, self.window(shape[1:])), {}


@dataclass(frozen=True)
class AvgPooling(Pooling, abstract=True):
    """y = the mean of each window; dx = dy / n for each of its n values.

    count_include_pad: whether pads count among the n, as zeros; what ceil_mode adds behind them never does.
    """

    count_include_pad: bool = False

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.sum_pool(x, self.window(x.shape[1:])) / self._number(cx, x.shape), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        return cx.be.sum_pool_grad(dy / self._number(cx, shape), shape, self.window(shape[1:])), {}

    def _number(self, cx: Ctx, shape: Shape) -> Array | int:
        """How many values each window holds: (1, counts..., 1), or a number for all."""
        window, sizes = self.window(shape[1:]), shape[1:-1]
        if self.count_include_pad:
            pads = self.within(shape[1:]).pads
            sizes = tuple(n + before + after for n, (before, after) in zip(sizes, pads, strict=True))
            outside = zip(window.pads, pads, strict=True)
            window = replace(window, pads=tuple((0, after - own) for (_, after), (_, own) in outside))
        if not window.is_padded:
            return math.prod(window.kernel)
        ones = cx.be.xp.ones((1, *sizes, 1), dtype=cx.be.dtype, device=cx.be.device)
        return cx.be.sum_pool(ones, window)


@dataclass(frozen=True)
class MaxPool1D(MaxPooling):
    """y = the largest x of each window of a sequence (N, L, C); see MaxPool2D. padding: as for Conv1D."""

    axes = 1
    pool: int = 2
    stride: int | None = None
    padding: Ends = "valid"
    dilation: int = 1


@dataclass(frozen=True)
class MaxPool2D(MaxPooling):
    """y = the largest x of each window; dx = dy at the first place (row by row) that holds it.

    Shapes: x (N, H, W, C), y (N, rows, columns, C). stride None: windows side by side. dilation: the taps of a window
    are so far apart. Padding as for Conv2D; a pad is never the largest, and NaN always is. ceil_mode: a last window
    that begins inside, or in the padding before, counts although it ends outside.
    Source: Ranzato, Huang, Boureau, LeCun, CVPR 2007.
    """

    axes = 2
    pool: int | Pair = 2
    stride: int | Pair | None = None
    padding: Padding = "valid"
    dilation: int | Pair = 1


@dataclass(frozen=True)
class MaxPool3D(MaxPooling):
    """y = the largest x of each window of a volume (N, D, H, W, C); see MaxPool2D. padding: as for Conv3D."""

    axes = 3
    pool: int | Triple = 2
    stride: int | Triple | None = None
    padding: Margins = "valid"
    dilation: int | Triple = 1


@dataclass(frozen=True)
class AvgPool1D(AvgPooling):
    """y = the mean of each window of a sequence (N, L, C); see AvgPool2D. padding: as for Conv1D."""

    axes = 1
    pool: int = 2
    stride: int | None = None
    padding: Ends = "valid"
    dilation: int = 1


@dataclass(frozen=True)
class AvgPool2D(AvgPooling):
    """y = the mean of each window; dx = dy / n for each of its n values.

    Shapes: x (N, H, W, C), y (N, rows, columns, C). stride None: windows side by side. dilation: the taps of a window
    are so far apart. Padding as for Conv2D; it does not count, so n is less there; with count_include_pad=True it
    counts as zeros. ceil_mode: a last window that begins inside, or in the padding before, counts although it ends
    outside; what is outside the padding never counts.
    Source: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86 (1998).
    """

    axes = 2
    pool: int | Pair = 2
    stride: int | Pair | None = None
    padding: Padding = "valid"
    dilation: int | Pair = 1


@dataclass(frozen=True)
class AvgPool3D(AvgPooling):
    """y = the mean of each window of a volume (N, D, H, W, C); see AvgPool2D. padding: as for Conv3D."""

    axes = 3
    pool: int | Triple = 2
    stride: int | Triple | None = None
    padding: Margins = "valid"
    dilation: int | Triple = 1
