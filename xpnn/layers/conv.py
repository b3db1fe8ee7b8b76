"""Convolution over sequences, images and volumes."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.settings import Count
from xpnn.window import (
    Ends,
    Margins,
    Padding,
    Pair,
    Sizes,
    Triple,
    Window,
    at_least,
    check_padding,
    counts,
    per_axis,
    place,
)


@dataclass(frozen=True)
class Convolution(Layer, abstract=True):
    """y[n, i, f] = b[f] + sum over a, c of x[n, i s + a d, c] W[a, c, f], where i and a have `axes` axes each.

    Backward: with the windows of x as rows of a matrix, y = im2col(x) W + b, so dW = im2col(x)^T dy, db = sum of dy,
    dx = col2im(dy W^T).
    """

    trained = True
    axes: ClassVar[int]

    filters: Count
    kernel: int | Sizes
    stride: int | Sizes = 1
    padding: Ends | Padding | Margins = "valid"
    dilation: int | Sizes = 1
    groups: Count = 1
    init: Initializer = he_normal
    bias_init: Initializer = zeros
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_convolution(self)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W and b. Raises ShapeError when no window fits, or the groups do not divide the channels."""
        window = self.window(shape)
        check_groups(self.groups, shape)
        inner, filters, taps = shape[-1] // self.groups, self.filters // self.groups, math.prod(window.kernel)
        W = Spec((*window.kernel, inner, self.filters), self.init, fans=(taps * inner, taps * filters))
        b = {"b": Spec((self.filters,), self.bias_init, decay=False)} if self.bias else {}
        return {"W": W, **b}, (*counts((1, *shape), window), self.filters)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        b = p["b"] if self.bias else None
        return cx.be.conv(x, p["W"], b, self.window(x.shape[1:]), self.groups), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x,) = cache
        window = self.window(x.shape[1:])
        db = {"b": cx.be.column_sums(dy)} if self.bias else {}
        dx = cx.be.conv_dx(dy, p["W"], x.shape, window, self.groups) if cx.need_dx else None
        return dx, {"W": cx.be.conv_dw(x, dy, window, self.groups), **db}

    def window(self, shape: Shape) -> Window:
        """The windows on a sample of that shape."""
        kernel, stride, dilation = (per_axis(n, self.axes) for n in (self.kernel, self.stride, self.dilation))
        return place(tuple(shape), kernel, stride, self.padding, dilation)


def check_convolution(layer: Any) -> None:
    """Raise UsageError for settings that mean nothing."""
    at_least(1, layer, kernel=layer.kernel, stride=layer.stride, dilation=layer.dilation)
    check_padding(layer, layer.padding, layer.axes)
    if layer.filters % layer.groups:
        settings = f"filters={layer.filters}, groups={layer.groups}"
        raise UsageError(f"{type(layer).__name__}({settings}): the groups do not divide the filters")


def check_groups(groups: int, shape: Shape) -> None:
    """Raise ShapeError for channels that cannot be cut into so many groups."""
    if shape[-1] % groups:
        raise ShapeError("has groups that do not divide the channels", why=f"got {shape}")


@dataclass(frozen=True)
class Conv1D(Convolution):
    """y[n, i, f] = b[f] + sum over a, c of x[n, i s + a d, c] W[a, c, f], x padded with zeros; see Conv2D.

    Shapes: x (N, L, c_in), W (kernel, c_in / groups, filters), b (filters,), y (N, length, filters).
    padding: "valid", "same", "same_lower", a number, or (before, after). bias=False: without b.
    Source: Waibel et al., "Phoneme recognition using time-delay neural networks", IEEE TASSP 37 (1989).
    """

    axes = 1
    kernel: int
    stride: int = 1
    padding: Ends = "valid"
    dilation: int = 1


@dataclass(frozen=True)
class Conv2D(Convolution):
    """y[n, i, j, f] = b[f] + sum over a, b, c of x[n, i s + a d, j s + b d, c] W[a, b, c, f], x padded with zeros.

    A cross-correlation, as in all of the field: W is not flipped. s is the stride, d the dilation.
    Shapes: x (N, H, W, c_in), W (kh, kw, c_in / groups, filters), b (filters,), y (N, rows, columns, filters).
    padding: "valid" (none), "same" (rows = ceil(H / s); of an odd number of pads the one more goes after, with
    "same_lower" before), a number, or ((top, bottom), (left, right)).
    groups: the channels are cut into as many parts, each seen by its own part of the filters alone; groups = c_in is a
    depthwise convolution. Initial weights: an output has kh kw c_in / groups inputs, an input kh kw filters / groups
    outputs. bias=False: without b, where what follows has one.
    Backward: with the windows of x as rows of a matrix, y = im2col(x) W + b, so dW = im2col(x)^T dy, db = sum of dy,
    dx = col2im(dy W^T).
    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86
    (1998).
    """

    axes = 2
    kernel: int | Pair
    stride: int | Pair = 1
    padding: Padding = "valid"
    dilation: int | Pair = 1


@dataclass(frozen=True)
class Conv3D(Convolution):
    """y[n, h, i, j, f] = b[f] + sum over e, a, b, c of x[n, h s + e d, i s + a d, j s + b d, c] W[e, a, b, c, f].

    Conv2D over volumes, or over images in time; see there. Shapes: x (N, D, H, W, c_in), W (kd, kh, kw, c_in / groups,
    filters), b (filters,), y (N, layers, rows, columns, filters). padding: "valid", "same", "same_lower", a number, or
    ((front, back), (top, bottom), (left, right)). bias=False: without b.
    Source: Ji, Xu, Yang, Yu, "3D convolutional neural networks for human action recognition", IEEE TPAMI 35 (2013).
    """

    axes = 3
    kernel: int | Triple
    stride: int | Triple = 1
    padding: Margins = "valid"
    dilation: int | Triple = 1
