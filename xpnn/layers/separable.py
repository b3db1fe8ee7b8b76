"""The depthwise separable convolution."""

from dataclasses import dataclass
from typing import Any

from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.conv import Conv2D
from xpnn.settings import Count
from xpnn.window import Padding, Pair, at_least


@dataclass(frozen=True)
class SeparableConv2D(Layer):
    """y = point(depth(x)): each channel is convolved by `multiplier` kernels of its own, then all are mixed pixel by
    pixel.

    With m the multiplier, h[n, i, j, c m + k] = sum over a, b of x[n, i s + a d, j s + b d, c] D[a, b, 0, c m + k], and
    y[n, i, j, f] = b[f] + sum over g of h[n, i, j, g] W[0, 0, g, f].
    Shapes: x (N, H, W, c_in), D = depth.W (kh, kw, 1, c_in m), W = point.W (1, 1, c_in m, filters), b = point.b
    (filters,), y (N, rows, columns, filters). stride, padding and dilation as for Conv2D, of whose two it is made;
    bias=False: without b. Backward: theirs, the last first.
    Source: Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017.
    """

    trained = True
    filters: Count
    kernel: int | Pair
    stride: int | Pair = 1
    padding: Padding = "valid"
    dilation: int | Pair = 1
    multiplier: Count = 1
    init: Initializer = he_normal
    bias_init: Initializer = zeros
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        self.depth(1)

    def depth(self, channels: int) -> Conv2D:
        """The convolution of each of so many channels."""
        sizes = self.kernel, self.stride, self.padding, self.dilation
        return Conv2D(channels * self.multiplier, *sizes, groups=channels, init=self.init, bias=False)

    def point(self) -> Conv2D:
        """The mixing of the channels at each pixel."""
        return Conv2D(self.filters, 1, init=self.init, bias_init=self.bias_init, bias=self.bias)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """D, W and b. Raises ShapeError when no window fits."""
        depth, inner = self.depth(shape[-1]).plan(shape)
        point, out = self.point().plan(inner)
        return {"depth": depth, "point": point}, out

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        h, _ = self.depth(x.shape[-1]).forward(cx, p["depth"], x)
        y, _ = self.point().forward(cx, p["point"], h)
        return y, (x, h)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        x, h = cache
        dh, point = self.point().backward(cx.child("point", True), p["point"], (h,), dy)
        dx, depth = self.depth(x.shape[-1]).backward(cx, p["depth"], (x,), dh)
        return dx, {"depth": depth, "point": point}
