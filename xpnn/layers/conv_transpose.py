"""The transposed convolution."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.resize import check_images
from xpnn.window import Padding, Size, Window, at_least, check_padding, pair, place, span


@dataclass(frozen=True)
class ConvTranspose2D(Layer):
    """y[n, i s + a d, j s + b d, f] += x[n, i, j, c] W[a, b, f, c], over all i, j, a, b, c; then y is cropped, b added.

    The adjoint in x of the Conv2D of the same settings, which takes y's shape to x's: <conv(y), x> = <y, convT(x)>.
    s is the stride, d the dilation. Shapes: x (N, H, W, c_in), W (kh, kw, filters / groups, c_in), b (filters,),
    y (N, rows, columns, filters) with rows = (H - 1) s + (kh - 1) d + 1 - top - bottom + output_padding.
    padding: what is cropped. "valid" (nothing), "same" (rows = H s), a number, or ((top, bottom), (left, right)).
    output_padding: rows and columns more at the end, fewer than the stride: of the shapes that the convolution takes
    to x's, it chooses one.
    groups: the channels are cut into as many parts, each seen by its own part of the filters alone. Initial weights: at
    stride 1 an output has kh kw c_in / groups inputs, an input kh kw filters / groups outputs.
    Backward, with * for the convolution: dx = dy * W, dW = im2col(dy)^T x, db = sum of dy.
    Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional networks", CVPR 2010; Dumoulin, Visin, "A guide to
    convolution arithmetic for deep learning" (2016).
    """

    trained = True
    filters: int
    kernel: Size
    stride: Size = 1
    padding: Padding = "valid"
    dilation: Size = 1
    groups: int = 1
    output_padding: Size = 0
    init: Initializer = he_normal
    bias_init: Initializer = zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(
            1, self, filters=self.filters, kernel=self.kernel, stride=self.stride, dilation=self.dilation
        )
        at_least(1, self, groups=self.groups)
        at_least(0, self, output_padding=self.output_padding)
        check_padding(self, self.padding)
        if self.filters % self.groups:
            raise UsageError(
                f"ConvTranspose2D(filters={self.filters}, groups={self.groups}): the groups do not divide the filters"
            )
        extra = f"ConvTranspose2D(output_padding={self.output_padding})"
        if self.padding == "same" and any(pair(self.output_padding)):
            raise UsageError(f"{extra}: padding='same' gives rows = H * stride already")
        if any(more >= s for more, s in zip(pair(self.output_padding), pair(self.stride), strict=True)):
            raise UsageError(f"{extra}: wanted less than the stride, {self.stride}")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W and b. Raises ShapeError where the padding crops all, or the groups do not divide the channels."""
        check_images(shape)
        if shape[2] % self.groups:
            raise ShapeError("has groups that do not divide the channels", why=f"got {shape}")
        out = self._size(shape)
        if min(out) < 1:
            raise ShapeError("crops all there is", why=f"{shape} would become {(*out, self.filters)}")
        kernel, filters = pair(self.kernel), self.filters // self.groups
        fans = math.prod(kernel) * shape[2] // self.groups, math.prod(kernel) * filters
        W = Spec((*kernel, filters, shape[2]), self.init, fans=fans)
        return {"W": W, "b": Spec((self.filters,), self.bias_init, decay=False)}, (*out, self.filters)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x."""
        shape = (x.shape[0], *self._size(x.shape[1:]), self.filters)
        return cx.be.conv2d_dx(x, p["W"], shape, self._window(shape), self.groups) + p["b"], (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The convolution that this is the adjoint of. dx is skipped for the first layer."""
        (x,), window = cache, self._window(dy.shape)
        grads = {"W": cx.be.conv2d_dw(dy, x, window, self.groups), "b": cx.be.column_sums(dy)}
        return (cx.be.conv2d(dy, p["W"], None, window, self.groups) if cx.need_dx else None), grads

    def _size(self, shape: Shape) -> tuple[int, ...]:
        """Rows and columns of y, for x (H, W, c_in)."""
        strides, padding = pair(self.stride), self.padding
        if padding == "same":
            return tuple(n * s for n, s in zip(shape[:2], strides, strict=True))
        number = padding if isinstance(padding, int) else 0
        pads = padding if isinstance(padding, tuple) else ((number, number), (number, number))
        settings = strides, pair(self.kernel), pair(self.dilation), pads, pair(self.output_padding)
        return tuple(
            (n - 1) * s + span(k, d) - before - after + more
            for n, s, k, d, (before, after), more in zip(shape[:2], *settings, strict=True)
        )

    def _window(self, shape: Shape) -> Window:
        """That of the convolution of y (N, rows, columns, filters)."""
        sizes = pair(self.kernel), pair(self.stride), self.padding, pair(self.dilation)
        return place(tuple(shape[1:]), *sizes)
