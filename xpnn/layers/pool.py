"""Pooling over images: one number for each window, channel by channel."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.window import Padding, Size, Window, at_least, check_padding, counts, pair, place


@dataclass(frozen=True)
class MaxPool2D(Layer):
    """y = the largest x of each window; dx = dy at the first place (row by row) that holds it.

    Shapes: x (N, H, W, C), y (N, rows, columns, C). stride None: windows side by side.
    Padding as for Conv2D; a pad is never the largest, and NaN always
    is. Source: Ranzato, Huang, Boureau, LeCun, CVPR 2007.
    """

    pool: Size = 2
    stride: Size | None = None
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError when no window fits, or one would hold nothing but padding."""
        return {}, (*counts((1, *shape), windows(self, shape)), shape[2])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps which tap of each window was chosen."""
        y, tap = cx.be.max_pool(x, windows(self, x.shape[1:]))
        return y, (tap, x.shape)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Windows that overlap add up."""
        tap, shape = cache
        return cx.be.max_pool_grad(dy, tap, shape, windows(self, shape[1:])), {}


@dataclass(frozen=True)
class AvgPool2D(Layer):
    """y = the mean of each window; dx = dy / n for each of its n values. Padding does not count: n is less there.

    Shapes: x (N, H, W, C), y (N, rows, columns, C). stride None: windows side by side. Padding as for Conv2D.
    Source: LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86 (1998).
    """

    pool: Size = 2
    stride: Size | None = None
    padding: Padding = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError when no window fits, or one would hold nothing but padding."""
        return {}, (*counts((1, *shape), windows(self, shape)), shape[2])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps the shape."""
        window = windows(self, x.shape[1:])
        return cx.be.sum_pool(x, window) / self._number(cx, x.shape, window), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Windows that overlap add up."""
        (shape,) = cache
        window = windows(self, shape[1:])
        share = dy / self._number(cx, shape, window)
        return cx.be.sum_pool_grad(share, shape, window), {}

    def _number(self, cx: Ctx, shape: Shape, window: Window) -> Array | int:
        """How many values each window holds, padding left out: (1, rows, columns, 1), or a number for all."""
        if not any(map(any, window.pads)):
            return window.kernel[0] * window.kernel[1]
        ones = cx.be.xp.ones((1, *shape[1:3], 1), dtype=cx.be.dtype, device=cx.be.device)
        return cx.be.sum_pool(ones, window)


def check(layer: "MaxPool2D | AvgPool2D") -> None:
    """Raise UsageError for settings that mean nothing."""
    at_least(1, layer, pool=layer.pool)
    at_least(1, layer, stride=layer.pool if layer.stride is None else layer.stride)
    check_padding(layer, layer.padding)


def windows(layer: "MaxPool2D | AvgPool2D", shape: Shape) -> Window:
    """The windows on one sample. Raises ShapeError when none fits, or one would hold nothing but padding."""
    stride = layer.pool if layer.stride is None else layer.stride
    window = place(tuple(shape), pair(layer.pool), pair(stride), layer.padding)
    for k, pads in zip(window.kernel, window.pads, strict=True):
        if max(pads) >= k:
            raise ShapeError(
                "has windows of nothing but padding",
                why=f"the pool is {window.kernel}, the padding {window.pads}",
            )
    return window
