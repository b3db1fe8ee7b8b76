"""The transposed convolution over sequences, images and volumes."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.conv import check_convolution, check_groups
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
    check_positions,
    pads_of,
    per_axis,
    place,
    span,
)


@dataclass(frozen=True)
class TransposedConvolution(Layer, abstract=True):
    """y[n, i s + a d, f] += x[n, i, c] W[a, f, c], over all i, a, c, where i and a have `axes` axes; y is cropped, b
    added.

    The adjoint in x of the Convolution of the same settings. Backward, with * for that convolution: dx = dy * W,
    dW = im2col(dy)^T x, db = sum of dy.
    """

    trained = True
    axes: ClassVar[int]

    filters: Count
    kernel: int | Sizes
    stride: int | Sizes = 1
    padding: Ends | Padding | Margins = "valid"
    dilation: int | Sizes = 1
    groups: Count = 1
    output_padding: int | Sizes = 0
    init: Initializer = he_normal
    bias_init: Initializer = zeros
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_convolution(self)
        at_least(0, self, output_padding=self.output_padding)
        extra = f"{type(self).__name__}(output_padding={self.output_padding})"
        more, stride = per_axis(self.output_padding, self.axes), per_axis(self.stride, self.axes)
        if self.padding in ("same", "same_lower") and any(more):
            raise UsageError(f"{extra}: padding={self.padding!r} gives rows = H * stride already")
        if any(m >= s for m, s in zip(more, stride, strict=True)):
            raise UsageError(f"{extra}: wanted less than the stride, {self.stride}")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W and b. Raises ShapeError where the padding crops all, or the groups do not divide the channels."""
        check_positions(shape, self.axes)
        check_groups(self.groups, shape)
        out = self._size(shape)
        if min(out) < 1:
            raise ShapeError("crops all there is", why=f"{shape} would become {(*out, self.filters)}")
        kernel, filters = per_axis(self.kernel, self.axes), self.filters // self.groups
        fans = math.prod(kernel) * shape[-1] // self.groups, math.prod(kernel) * filters
        b = {"b": Spec((self.filters,), self.bias_init, decay=False)} if self.bias else {}
        return {"W": Spec((*kernel, filters, shape[-1]), self.init, fans=fans), **b}, (*out, self.filters)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        shape = (x.shape[0], *self._size(x.shape[1:]), self.filters)
        y = cx.be.conv_dx(x, p["W"], shape, self.window(shape[1:]), self.groups)
        return (y + p["b"] if self.bias else y), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x,), window = cache, self.window(dy.shape[1:])
        db = {"b": cx.be.column_sums(dy)} if self.bias else {}
        dx = cx.be.conv(dy, p["W"], None, window, self.groups) if cx.need_dx else None
        return dx, {"W": cx.be.conv_dw(dy, x, window, self.groups), **db}

    def _size(self, shape: Shape) -> Sizes:
        """The positions of y, for x (positions..., c_in)."""
        strides = per_axis(self.stride, self.axes)
        if self.padding in ("same", "same_lower"):
            return tuple(n * s for n, s in zip(shape[:-1], strides, strict=True))
        pads = pads_of(0 if isinstance(self.padding, str) else self.padding, self.axes)
        kernel, dilation, more = (
            per_axis(n, self.axes) for n in (self.kernel, self.dilation, self.output_padding)
        )
        settings = zip(shape[:-1], strides, kernel, dilation, pads, more, strict=True)
        return tuple((n - 1) * s + span(k, d) - sum(ends) + m for n, s, k, d, ends, m in settings)

    def window(self, shape: Shape) -> Window:
        """That of the convolution of a sample of y (positions..., filters)."""
        kernel, stride, dilation = (per_axis(n, self.axes) for n in (self.kernel, self.stride, self.dilation))
        return place(tuple(shape), kernel, stride, self.padding, dilation)


@dataclass(frozen=True)
class ConvTranspose1D(TransposedConvolution):
    """y[n, i s + a d, f] += x[n, i, c] W[a, f, c], over all i, a, c; then y is cropped, b added; see ConvTranspose2D.

    Shapes: x (N, L, c_in), W (kernel, filters / groups, c_in), b (filters,), y (N, length, filters).
    padding: what is cropped: "valid" (nothing), "same" (length = L s), "same_lower", a number, or (before, after).
    """

    axes = 1
    kernel: int
    stride: int = 1
    padding: Ends = "valid"
    dilation: int = 1
    output_padding: int = 0


@dataclass(frozen=True)
class ConvTranspose2D(TransposedConvolution):
    """y[n, i s + a d, j s + b d, f] += x[n, i, j, c] W[a, b, f, c], over all i, j, a, b, c; then y is cropped, b added.

    The adjoint in x of the Conv2D of the same settings, which takes y's shape to x's: <conv(y), x> = <y, convT(x)>.
    s is the stride, d the dilation. Shapes: x (N, H, W, c_in), W (kh, kw, filters / groups, c_in), b (filters,),
    y (N, rows, columns, filters) with rows = (H - 1) s + (kh - 1) d + 1 - top - bottom + output_padding.
    padding: what is cropped. "valid" (nothing), "same" (rows = H s; of an odd number the one more below, with
    "same_lower" above), a number, or ((top, bottom), (left, right)).
    output_padding: rows and columns more at the end, fewer than the stride: of the shapes that the convolution takes
    to x's, it chooses one. bias=False: without b.
    groups: the channels are cut into as many parts, each seen by its own part of the filters alone. Initial weights: at
    stride 1 an output has kh kw c_in / groups inputs, an input kh kw filters / groups outputs.
    Backward, with * for the convolution: dx = dy * W, dW = im2col(dy)^T x, db = sum of dy.
    Source: Zeiler, Krishnan, Taylor, Fergus, "Deconvolutional networks", CVPR 2010; Dumoulin, Visin, "A guide to
    convolution arithmetic for deep learning" (2016).
    """

    axes = 2
    kernel: int | Pair
    stride: int | Pair = 1
    padding: Padding = "valid"
    dilation: int | Pair = 1
    output_padding: int | Pair = 0


@dataclass(frozen=True)
class ConvTranspose3D(TransposedConvolution):
    """y[n, h s + e d, i s + a d, j s + b d, f] += x[n, h, i, j, c] W[e, a, b, f, c]; then y is cropped, b added.

    ConvTranspose2D over volumes; see there. Shapes: x (N, D, H, W, c_in), W (kd, kh, kw, filters / groups, c_in),
    b (filters,), y (N, layers, rows, columns, filters). padding: "valid", "same", "same_lower", a number, or
    ((front, back), (top, bottom), (left, right)).
    """

    axes = 3
    kernel: int | Triple
    stride: int | Triple = 1
    padding: Margins = "valid"
    dilation: int | Triple = 1
    output_padding: int | Triple = 0
