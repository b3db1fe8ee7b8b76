"""Recurrent layers: a loop over time in Python, with the products of all inputs before it.

All: x (time, n_in) per sample; y (units,), the last state, or (time, units) with sequences=True. The shapes leave the
axis of the samples out. W (n_in, gates units) and U (units, gates units) hold the gates side by side; bias=False leaves
out every bias. Settings:
masked: they take a mask (time,) too, 1 for real steps and 0 for padding, as the last of their inputs. Where it is 0 the
    states, and so the output, stay as they were, and a gradient goes past that step unchanged. The last state is then
    that after the last real step.
reverse: from the last step to the first. y_t still stands at its time t, as in PyTorch's backward half; Keras's
    go_backwards gives the same states in the order they were made.
initial_state: they take the states before the first step, (units,) each, right behind x. Else those are 0.
return_state: they give the states after the last step, (units,) each, behind y; `SelectOutput` picks one in a Graph.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from xpnn.errors import ShapeError
from xpnn.initializers import Initializer, Orthogonal, glorot_uniform, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree, is_multiple
from xpnn.layers.dense import flat_rows
from xpnn.settings import Count

orthogonal = Orthogonal()
States = tuple[Array, ...]


@dataclass(frozen=True)
class Recurrent(Layer, abstract=True):
    """A layer is what one step does: `step`, and `step_grad` beside it. gates and states: how many it has of each."""

    trained = True
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    gate_bias: ClassVar[Initializer] = zeros

    units: Count
    sequences: bool = False
    init: Initializer = glorot_uniform
    recurrent_init: Initializer = orthogonal
    masked: bool = False
    bias: bool = True
    reverse: bool = False
    initial_state: bool = False
    return_state: bool = False

    def step(self, cx: Ctx, p: Tree, a: Array, states: States) -> tuple[States, tuple[Array, ...]]:
        """The states after a step, of which the first is its output, and what `step_grad` needs: first h before it.

        a: x_t W + b.
        """
        raise NotImplementedError

    def step_grad(
        self, cx: Ctx, p: Tree, d: States, kept: tuple[Array, ...]
    ) -> tuple[Array, Array | None, States]:
        """(da, du, the gradients of the states before) from those of the states after a step.

        du: with respect to h_{t-1} U; None where it is da.
        """
        raise NotImplementedError

    @functools.cached_property
    def multi_input(self) -> bool:
        return self.masked or self.initial_state

    @functools.cached_property
    def input_kind(self) -> Any:
        kinds = ("float",) * (1 + self.states * self.initial_state) + ("mask",) * self.masked
        return kinds if self.multi_input else "float"

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W (n_in, gates units), U (units, gates units), b (gates units,). Raises ShapeError for no sequence."""
        x = self.sequence_in(shape)
        width, state = self.gates * self.units, (self.units,)
        specs = {
            "W": Spec((x[1], width), self.init),
            "U": Spec((self.units, width), self.recurrent_init),
        }
        if self.bias:
            specs["b"] = Spec((width,), self.gate_bias, decay=False)
        y = (x[0], self.units) if self.sequences else state
        return specs, ((y, *(state,) * self.states) if self.return_state else y)

    def sequence_in(self, shape: Shape) -> Shape:
        """The shape of x among those of all inputs. Raises ShapeError when they do not fit."""
        if not self.multi_input:
            check_sequence(shape)
            return shape
        words = ["a sequence (time, features)"]
        words += [f"{self.states} first states ({self.units},)"] * self.initial_state
        words += ["a mask (time,)"] * self.masked
        if is_multiple(shape) and len(shape) == len(self.input_kind):
            states, mask = shape[1 : 1 + self.states * self.initial_state], shape[0][:1]
            wanted = (*((self.units,) for _ in states), *(mask,) * self.masked)
            if tuple(map(tuple, shape[1:])) == wanted:
                check_sequence(shape[0])
                return tuple(shape[0])
        raise ShapeError(f"wants {' and '.join(words)}", why=f"got {shape}")

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Any, tuple[Any, ...]]:
        x, states, real = self._inputs(cx, x)
        seen = by_time(cx, x)
        a = cx.be.affine(seen, p["W"], p["b"]) if self.bias else cx.be.matmul(seen, p["W"])
        outputs, steps = [], []
        for t in self._walk(x.shape[1]):
            after, kept = self.step(cx, p, a[t, :, :], states)
            states = tuple(carried(cx, real, t, *pair) for pair in zip(after, states, strict=True))
            outputs.append(states[0])
            steps.append(kept)
        y = cx.be.xp.stack(self._in_time(outputs), axis=1) if self.sequences else states[0]
        return ((y, *states) if self.return_state else y), (x, tuple(steps), real)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Any) -> tuple[Any, Tree]:
        """Back through time: from the last step to the first, as `step_grad` says of each."""
        x, steps, real = cache
        dy, d = self._sent(cx, dy, x.shape[0])
        walk, das, dus = tuple(self._walk(x.shape[1])), [], []
        for i, t in reversed(tuple(enumerate(walk))):
            if dy is not None and (self.sequences or i == len(walk) - 1):
                d = (plus(d[0], dy[:, t, :] if self.sequences else dy), *d[1:])
            into, past = zip(*(divided(cx, real, t, one) for one in d), strict=True)
            da, du, before = self.step_grad(cx, p, into, steps[i])
            d = tuple(plus(*pair) for pair in zip(before, past, strict=True))
            das.append(da)
            dus.append(da if du is None else du)
        das, dus = self._in_time(das[::-1]), self._in_time(dus[::-1])
        states = self._in_time([kept[0] for kept in steps])
        dx, grads = self._gradients(cx, x, p, states, das, dus)
        if not self.multi_input or dx is None:
            return dx, grads
        return (dx, *(d if self.initial_state else ()), *(None,) * self.masked), grads

    def _gradients(
        self, cx: Ctx, x: Array, p: Tree, before: list[Array], da: list[Array], du: list[Array]
    ) -> tuple[Array | None, Tree]:
        """dx = da W^T; dW = x^T da, dU = h_{t-1}^T du, db = sum of da, over all samples and times."""
        be, xp, seen = cx.be, cx.be.xp, by_time(cx, x)
        inputs, states = xp.stack(da), xp.stack(before)
        rows = flat_rows(be, inputs)
        if du[0] is da[0]:
            dW, dU = be.transposed_products(seen, states, rows)
        else:
            dW = be.matmul(flat_rows(be, seen).T, rows)
            dU = be.matmul(flat_rows(be, states).T, flat_rows(be, xp.stack(du)))
        db = {"b": be.column_sums(rows)} if self.bias else {}
        dx = by_time(cx, be.matmul(inputs, p["W"].T)) if cx.need_dx else None
        return dx, {"W": dW, "U": dU} | db

    def _inputs(self, cx: Ctx, x: Any) -> tuple[Array, States, Array | None]:
        """x, the states before the first step, and which steps are real: bool (N, time, 1), or None for all."""
        given = x if self.multi_input else (x,)
        real = (given[-1] != 0)[:, :, None] if self.masked else None
        if self.initial_state:
            return given[0], tuple(given[1 : 1 + self.states]), real
        return given[0], (cx.be.zeros((given[0].shape[0], self.units)),) * self.states, real

    def _sent(self, cx: Ctx, dy: Any, samples: int) -> tuple[Array | None, States]:
        """dy of y, and the gradients of the states after the last step. What was sent nothing has None."""
        none = cx.be.zeros((samples, self.units))
        if not self.return_state:
            return dy, (none,) * self.states
        return dy[0], tuple(none if d is None else d for d in dy[1:])

    def _walk(self, steps: int) -> Iterable[int]:
        """The times in the order in which they are read."""
        return reversed(range(steps)) if self.reverse else range(steps)

    def _in_time(self, walked: list[Array]) -> list[Array]:
        """What belongs to the steps as they were walked, in the order of time."""
        return walked[::-1] if self.reverse else walked


def check_sequence(shape: Shape) -> None:
    """Raise ShapeError for samples other than (time, features)."""
    if len(shape) != 2 or 0 in shape or is_multiple(shape):
        raise ShapeError("wants a sequence (time, features), each at least 1", why=f"got {shape}")


def carried(cx: Ctx, real: Array | None, t: int, new: Array, old: Array) -> Array:
    """The new state where step t is real, else the old one."""
    return new if real is None else cx.be.xp.where(real[:, t, :], new, old)


def divided(cx: Ctx, real: Array | None, t: int, da: Array) -> tuple[Array, Array | None]:
    """What of a state's gradient goes into step t, and what goes past it."""
    if real is None:
        return da, None
    zeros = cx.be.xp.zeros_like(da)
    return cx.be.xp.where(real[:, t, :], da, zeros), cx.be.xp.where(real[:, t, :], zeros, da)


def parts(a: Array, n: int) -> list[Array]:
    """The last axis cut into n gates."""
    width = a.shape[-1] // n
    return [a[..., i * width : (i + 1) * width] for i in range(n)]


def by_time(cx: Ctx, x: Array) -> Array:
    """(N, T, n) to (T, N, n) and back: what belongs to one time lies together."""
    return cx.be.xp.permute_dims(x, (1, 0, 2))


def plus(a: Array, b: Array | None) -> Array:
    """a + b, where None is 0."""
    return a if b is None else a + b
