"""A sequence read from both ends."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

from xpnn.config import short_repr
from xpnn.errors import ShapeError, UsageError
from xpnn.layers.base import Child, Ctx, Layer, Shape, Tree
from xpnn.layers.containers import of_inner, plan_child
from xpnn.layers.recurrent import Recurrent


@dataclass(frozen=True)
class Bidirectional(Layer):
    """y = (f(x), f'(x)) side by side on the last axis; f' reads from the last step to the first, by its own parameters.

    layer: a SimpleRNN, LSTM or GRU; with masked=True both directions get the mask. Where it takes or gives states,
    those of f stand before those of f'.
    Shapes: x (time, n_in), y (2 units,), or (time, 2 units) with sequences=True.
    Parameters: "0.W", ... of f, "1.W", ... of f'. Backward: each direction gets its half of dy; the dx are added.
    Source: Schuster, Paliwal, "Bidirectional recurrent neural networks", IEEE Trans. Signal Processing 45 (1997).
    """

    role = "container"
    trained = True
    layer: Layer
    multi_input = of_inner("multi_input")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.layer, Recurrent):
            raise UsageError(
                f"Bidirectional({type(self.layer).__name__}): wanted a layer that walks along a sequence",
                fix="SimpleRNN, LSTM or GRU",
            )
        if self.layer.reverse:
            raise UsageError(
                f"Bidirectional({short_repr(self.layer)}): it reads both ways", fix="reverse=False"
            )

    @functools.cached_property
    def directions(self) -> tuple[Any, Any]:
        """The two directions, f and f'."""
        f: Any = self.layer
        return f, dataclasses.replace(f, reverse=True)

    @functools.cached_property
    def states(self) -> int:
        """How many states each direction takes, or gives."""
        return self.directions[0].states  # type: ignore[no-any-return]

    @functools.cached_property
    def input_kind(self) -> Any:
        """What f takes, with first states for both directions."""
        first = ("float",) * self.states if self.directions[0].initial_state else ()
        return ("float", *first, *self.directions[0].input_kind[1:]) if self.multi_input else "float"

    def children(self, shape: Shape) -> list[Child]:
        each = self._split(shape) if self.multi_input else (shape, shape)
        return [Child(str(i), f, one) for i, (f, one) in enumerate(zip(self.directions, each, strict=True))]

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        if self.multi_input and len(shape) != len(self.input_kind):
            raise ShapeError(f"takes {len(self.input_kind)} inputs", why=f"got {shape}")
        (_, f, there), (_, back, again) = self.children(shape)
        (specs, out), (more, _) = (
            plan_child(0, f, there, (str(shape),)),
            plan_child(1, back, again, (str(shape),)),
        )
        y, *states = out if f.return_state else (out,)  # type: ignore[attr-defined]
        y = (*y[:-1], 2 * y[-1])
        return (specs, more), ((y, *states, *states) if states else y)

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Any, tuple[Any, ...]]:
        given = self._split(x) if self.multi_input else (x, x)
        each = zip(self.directions, p, given, strict=True)
        (there, cache), (back, back_cache) = (
            f.forward(cx.child(i), q, a) for i, (f, q, a) in enumerate(each)
        )
        if not self.directions[0].return_state:
            return cx.be.xp.concat([there, back], axis=-1), (cache, back_cache)
        return (cx.be.xp.concat([there[0], back[0]], axis=-1), *there[1:], *back[1:]), (cache, back_cache)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Any) -> tuple[Any, Tree]:
        each = zip(self.directions, p, cache, self._shares(dy), strict=True)
        (dx, grads), (back, more) = (f.backward(cx.child(i), q, c, d) for i, (f, q, c, d) in enumerate(each))
        if dx is None or back is None:
            return None, (grads, more)
        if not self.multi_input:
            return dx + back, (grads, more)
        n = self.states if self.directions[0].initial_state else 0
        return (dx[0] + back[0], *dx[1 : 1 + n], *back[1:]), (grads, more)

    def _split(self, inputs: Any) -> tuple[Any, Any]:
        """What each direction takes, of arrays or of shapes."""
        n = self.states if self.directions[0].initial_state else 0
        x, there, back, mask = inputs[0], inputs[1 : 1 + n], inputs[1 + n : 1 + 2 * n], inputs[1 + 2 * n :]
        return (x, *there, *mask), (x, *back, *mask)

    def _shares(self, dy: Any) -> tuple[Any, Any]:
        """The gradient of what each direction gave."""
        first, *d = dy if self.directions[0].return_state else (dy,)
        units = self.directions[0].units
        halves = (None, None) if first is None else (first[..., :units], first[..., units:])
        if not d:
            return halves
        return (halves[0], *d[: self.states]), (halves[1], *d[self.states :])
