"""A convolution, the ReLU behind it, and the maximum behind that."""

from typing import Any

from xpnn.fusion.conv_relu import CONVOLUTIONS
from xpnn.fusion.rule import Rule, place
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.pool import MaxPool1D, MaxPool2D, MaxPool3D
from xpnn.window import counts

MAXIMA = (MaxPool1D, MaxPool2D, MaxPool3D)


class ConvReLUMaxPool(Rule):
    """The ReLU is applied to the maxima, in both directions: relu(max(y)) = max(relu(y)), of fewer numbers.

    What the convolution gives need not be kept; the gradient of its bias is the sum over the maxima.
    """

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """A convolution, ReLU and a maximum, in this order or the maximum first."""
        kinds = [type(layer) for layer in layers[:3]]
        if len(kinds) < 3 or kinds[0] not in CONVOLUTIONS:
            return 0
        return 3 if any(kinds[i] is ReLU and kinds[3 - i] in MAXIMA for i in (1, 2)) else 0

    def windows(self, shape: tuple[int, ...]) -> tuple[Any, tuple[int, ...], Any]:
        """The convolution's windows on x of that shape, what it gives, and the windows on that."""
        conv = self.layers[0]
        maximum = self.layers[1] if type(self.layers[1]) in MAXIMA else self.layers[2]
        window = conv.window(shape[1:])
        middle = (shape[0], *counts(shape, window), conv.filters)
        return window, middle, maximum.window(middle[1:])

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        conv, W = self.layers[0], p[0]["W"]
        window, _, pool = self.windows(x.shape)
        b = p[0]["b"] if conv.bias else None
        y, tap = cx.be.conv_relu_max_pool(x, W, b, window, conv.groups, pool)
        return y, (x, W, y, tap)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        be, conv, (x, W, y, tap) = cx.be, self.layers[0], cache
        window, middle, pool = self.windows(x.shape)
        dy = be.relu_grad(dy, y, may_overwrite)
        db = {"b": be.column_sums(dy, place(out, 0, "b"))} if conv.bias else {}
        dy = be.max_pool_grad(dy, tap, middle, pool)
        grads = {"W": be.conv_dw(x, dy, window, conv.groups), **db}
        dx = be.conv_dx(dy, W, x.shape, window, conv.groups) if need_dx else None
        return dx, (grads, {}, {})
