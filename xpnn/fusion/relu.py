"""A ReLU that no other rule takes."""

from typing import Any

from xpnn.fusion.rule import Rule
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Ctx, Layer, Tree


class ReLUInPlace(Rule):
    """Going back, dx is written over dy where nothing else refers to dy."""

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        return int(bool(layers) and type(layers[0]) is ReLU)

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = cx.be.relu(x)
        return y, (y,)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        return cx.be.relu_grad(dy, cache[0], may_overwrite), ({},)
