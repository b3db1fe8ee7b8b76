"""Convolution over images."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.window import Padding, Size, Window, at_least, check_padding, counts, pair, place


@dataclass(frozen=True)
class Conv2D(Layer):
    """y[n, i, j, f] = b[f] + sum over a, b, c of x[n, i s + a d, j s + b d, c] W[a, b, c, f], x padded with zeros.

    A cross-correlation, as in all of the field: W is not flipped. s is the stride, d the dilation.
    Shapes: x (N, H, W, c_in), W (kh, kw, c_in / groups, filters), b (filters,), y (N, rows, columns, filters).
    padding: "valid" (none), "same" (rows = ceil(H / s)), a number, or ((top, bottom), (left, right)).
    groups: the channels are cut into as many parts, each seen by its own part of the filters alone; groups = c_in is a
    depthwise convolution. Initial weights: an output has kh kw c_in / groups inputs, an input kh kw filters / groups
    outputs.
    Backward: with the windows of x as rows of a matrix, y = im2col(x) W + b, so dW = im2col(x)^T dy, db = sum of dy,
    dx = col2im(dy W^T).
    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86
    (1998).
    """

    trained = True
    filters: int
    kernel: Size
    stride: Size = 1
    padding: Padding = "valid"
    dilation: Size = 1
    groups: int = 1
    init: Initializer = he_normal
    bias_init: Initializer = zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(
            1, self, filters=self.filters, kernel=self.kernel, stride=self.stride, dilation=self.dilation
        )
        at_least(1, self, groups=self.groups)
        check_padding(self, self.padding)
        if self.filters % self.groups:
            raise UsageError(
                f"Conv2D(filters={self.filters}, groups={self.groups}): the groups do not divide the filters"
            )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W and b. Raises ShapeError when no window fits, or the groups do not divide the channels."""
        window = self.window(shape)
        if shape[2] % self.groups:
            raise ShapeError("has groups that do not divide the channels", why=f"got {shape}")
        inner, filters, taps = shape[2] // self.groups, self.filters // self.groups, math.prod(window.kernel)
        W = Spec((*window.kernel, inner, self.filters), self.init, fans=(taps * inner, taps * filters))
        b = Spec((self.filters,), self.bias_init, decay=False)
        return {"W": W, "b": b}, (*counts((1, *shape), window), self.filters)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x."""
        return cx.be.conv2d(x, p["W"], p["b"], self.window(x.shape[1:]), self.groups), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """As in the class's formula; without dx for the first layer."""
        (x,) = cache
        window = self.window(x.shape[1:])
        grads = {"W": cx.be.conv2d_dw(x, dy, window, self.groups), "b": cx.be.column_sums(dy)}
        dx = cx.be.conv2d_dx(dy, p["W"], x.shape, window, self.groups) if cx.need_dx else None
        return dx, grads

    def window(self, shape: Shape) -> Window:
        """Where its windows lie on a sample of that shape."""
        sizes = pair(self.kernel), pair(self.stride), self.padding, pair(self.dilation)
        return place(tuple(shape), *sizes)
