"""What a rule is: a class that computes some layers in a row together."""

from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree


class Rule:
    """Made for the layers that `match` counted; like a layer it holds no array.

    Values, gradients and statistics are those of the layers one after the other; tests/fusion/ holds each rule to that.
    """

    def __init__(self, layers: tuple[Any, ...], start: int = 0) -> None:
        self.layers, self.start = layers, start

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """How many of the layers, from the first on, it computes together; 0: none.

        It asks for exact classes: a subclass may have another formula.
        """
        raise NotImplementedError

    def child(self, cx: Ctx, i: int, need_dx: bool | None = None) -> Ctx:
        """The context that layer i of the rule's would be given by its chain, whose context is cx."""
        return cx.child(self.start + i, need_dx)

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """-> (y, cache). p: the parameters of each layer. The cache holds those that backward needs, too."""
        raise NotImplementedError

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        """-> (dx, the gradients of each layer). dx is a new array without other references.

        out: where the gradients may be written, shaped like p; or None. may_overwrite: dy may be written over.
        """
        raise NotImplementedError

    def update_stats(self, cx: Ctx, p: tuple[Tree, ...], cache: tuple[Any, ...]) -> tuple[Tree, ...]:
        """The new running statistics of each layer; by default they have none."""
        return ({},) * len(self.layers)


def place(out: Tree, i: int, name: str) -> Array | None:
    """Where the gradient of parameter `name` of layer i may be written."""
    return None if out is None else out[i][name]
