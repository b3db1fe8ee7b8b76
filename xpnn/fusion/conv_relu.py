"""A convolution, and the ReLU behind it if there is one."""

from typing import Any

from xpnn.fusion.rule import Rule, place
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.conv import Conv1D, Conv2D, Conv3D

CONVOLUTIONS = (Conv1D, Conv2D, Conv3D)


class ConvReLU(Rule):
    """The ReLU is applied while the outputs are in cache; the bias's gradient is written to its place."""

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """A convolution, ReLU; or a convolution alone."""
        if not layers or type(layers[0]) not in CONVOLUTIONS:
            return 0
        return 2 if len(layers) > 1 and type(layers[1]) is ReLU else 1

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        conv, relu_follows = self.layers[0], len(p) == 2
        window = conv.window(x.shape[1:])
        y = cx.be.conv(x, p[0]["W"], p[0]["b"] if conv.bias else None, window, conv.groups, relu_follows)
        return y, (x, p[0]["W"], y)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        be, conv, (x, W, y) = cx.be, self.layers[0], cache
        window = conv.window(x.shape[1:])
        if len(self.layers) == 2:
            dy = be.relu_grad(dy, y, may_overwrite)
        db = {"b": be.column_sums(dy, place(out, 0, "b"))} if conv.bias else {}
        grads = {"W": be.conv_dw(x, dy, window, conv.groups), **db}
        dx = be.conv_dx(dy, W, x.shape, window, conv.groups) if need_dx else None
        return dx, (grads, *({},) * (len(self.layers) - 1))
