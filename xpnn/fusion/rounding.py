"""Layers that multiply by the same weights more than once in a step."""

from typing import Any

from xpnn.fusion.rule import Rule
from xpnn.kernels import Array
from xpnn.layers.attention import MultiHeadAttention
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.bidirectional import Bidirectional
from xpnn.layers.gru import GRU
from xpnn.layers.lstm import LSTM
from xpnn.layers.maxout import Maxout
from xpnn.layers.simple_rnn import SimpleRNN
from xpnn.trees import tree_map

LAYERS = (SimpleRNN, LSTM, GRU, Bidirectional, MultiHeadAttention, Maxout)
ONLY_MULTIPLY = (MultiHeadAttention, Maxout)
"""Those of them that do nothing with their input but multiply it."""


class RoundedOnce(Rule):
    """Weights are rounded for products once in a step, where the backend rounds them; a recurrent layer would do so for
    every element of a sequence. The layer's own passes do the rest."""

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        return int(bool(layers) and type(layers[0]) in LAYERS)

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        rounded = tree_map(lambda path, a: cx.be.operand(a) if a.ndim == 2 and path != "mask" else a, p[0])
        if type(self.layers[0]) in ONLY_MULTIPLY and not isinstance(x, tuple):
            x = cx.be.operand(x)
        y, cache = self.layers[0].forward(self.child(cx, 0), rounded, x)
        return y, (rounded, cache)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        rounded, kept = cache
        dx, grads = self.layers[0].backward(self.child(cx, 0, need_dx), rounded, kept, dy)
        return dx, (grads,)
