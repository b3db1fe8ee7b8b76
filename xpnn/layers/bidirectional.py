"""A sequence read from both ends."""

import functools
from dataclasses import dataclass
from typing import Any

from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Child, Ctx, Layer, Shape, Tree, numbered
from xpnn.layers.nested import plan_child
from xpnn.layers.recurrent import GRU, LSTM, SimpleRNN
from xpnn.trees import tree_map


@dataclass(frozen=True)
class Bidirectional(Layer):
    """y = (f(x), f'(x reversed in time) reversed back) side by side on the last axis; f' has parameters of its own.

    layer: a SimpleRNN, LSTM or GRU; with masked=True both directions get the mask.
    Shapes: x (time, n_in), y (2 units,), or (time, 2 units) with sequences=True.
    Parameters: "0.W", ... of f, "1.W", ... of f'. Backward: each direction gets its half of dy; the dx are added.
    Source: Schuster, Paliwal, "Bidirectional recurrent neural networks", IEEE Trans. Signal Processing 45 (1997).
    """

    role = "container"
    trained = True
    layer: Layer

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.layer, SimpleRNN | LSTM | GRU):
            raise UsageError(
                f"Bidirectional({type(self.layer).__name__}): wanted a layer that walks along a sequence",
                fix="SimpleRNN, LSTM or GRU",
            )

    @functools.cached_property
    def multi_input(self) -> bool:
        """Whether f takes a mask."""
        return self.layer.multi_input

    @functools.cached_property
    def input_kind(self) -> Any:
        """What f takes."""
        return self.layer.input_kind

    def children(self, shape: Shape) -> list[Child]:
        """Forwards and backwards."""
        return numbered((self.layer, self.layer), shape)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Two copies."""
        specs, out = plan_child(0, self.layer, shape, (str(shape),))
        return (specs, specs), (*out[:-1], 2 * out[-1])

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Array, tuple[Any, ...]]:
        """Keeps what both keep."""
        xp = cx.be.xp
        y, cache = self.layer.forward(cx.child(0), p[0], x)
        flipped = tree_map(lambda _, a: xp.flip(a, axis=1), x)
        reverse, reverse_cache = self.layer.forward(cx.child(1), p[1], flipped)
        return xp.concat([y, self._turned(cx, reverse)], axis=-1), (cache, reverse_cache)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        """Half of dy each."""
        units = dy.shape[-1] // 2
        dx, grads = self.layer.backward(cx.child(0), p[0], cache[0], dy[..., :units])
        turned = self._turned(cx, dy[..., units:])
        reverse, reverse_grads = self.layer.backward(cx.child(1), p[1], cache[1], turned)
        if dx is None or reverse is None:
            return None, (grads, reverse_grads)
        if self.multi_input:
            return (dx[0] + cx.be.xp.flip(reverse[0], axis=1), None), (grads, reverse_grads)
        return dx + cx.be.xp.flip(reverse, axis=1), (grads, reverse_grads)

    def _turned(self, cx: Ctx, y: Array) -> Array:
        """States in the order of time; a last state stays as it is."""
        return cx.be.xp.flip(y, axis=1) if y.ndim == 3 else y
