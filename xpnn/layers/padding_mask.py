"""Which places of a sequence are real and which are padding."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.settings import Index


@dataclass(frozen=True)
class PaddingMask(Layer):
    """y = 1 where the id is not `pad`, else 0: the mask of recurrent layers with masked=True. Ids have no gradient.

    Shapes: ids (...), y (...), in the model's dtype.
    """

    input_kind = "int"
    pad: Index = 0

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.astype(x != self.pad, cx.be.dtype), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return None, {}
