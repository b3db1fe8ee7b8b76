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
        """A single ReLU."""
        return int(bool(layers) and type(layers[0]) is ReLU)

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps y, whose sign is that of x."""
        y = cx.be.relu(x)
        return y, (y,)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        """dy where y > 0, else 0."""
        return cx.be.relu_grad(dy, cache[0], may_overwrite), ({},)
