"""One of several outputs of the layer before."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree, is_multiple
from xpnn.settings import Index


@dataclass(frozen=True)
class SelectOutput(Layer):
    """y = x_index, of several arrays x_0, x_1, ...: the one that goes on. dx_index = dy, and all others are 0.

    nodes = {
        "lstm": (LSTM(8, sequences=True, return_state=True), "x"),
        "h": (SelectOutput(1), "lstm"),
    }
    """

    role = "shape"
    multi_input = True
    input_kind = None
    output_kind = None
    index: Index

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError where there are not that many."""
        if not is_multiple(shape) or len(shape) <= self.index:
            raise ShapeError(
                f"wants more than {self.index} arrays, to take number {self.index}", why=f"got {shape}"
            )
        return {}, tuple(shape[self.index])

    def forward(self, cx: Ctx, p: Tree, x: tuple[Array, ...]) -> tuple[Array, tuple[Any, ...]]:
        return x[self.index], tuple(a.shape for a in x)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        if not cx.need_dx:
            return None, {}
        return tuple(dy if i == self.index else cx.be.zeros(shape) for i, shape in enumerate(cache)), {}
