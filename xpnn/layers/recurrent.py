"""Layers that walk along a sequence: a loop over time in Python, with the products of all inputs made before it.

All: x (time, n_in) per sample; y (units,), the last state, or (time, units) with sequences=True; states begin at 0.
The shapes below leave the axis of the samples out. W and U hold the gates side by side. With masked=True they take
(x, mask), mask (time,) of 1 for real and 0 for padding: where it is 0 the state, and so the output, stays as it was,
and a gradient goes past that step unchanged. The last state is then that after the last real step.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, Orthogonal, glorot_uniform, zeros
from xpnn.initializers.forget_bias import ForgetBias
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree, is_multiple
from xpnn.layers.dense import flat_rows

orthogonal = Orthogonal()


class Recurrent(Layer, abstract=True):
    """What they share."""

    trained = True
    units: int
    masked: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        check_units(self)

    @functools.cached_property
    def multi_input(self) -> bool:
        """Whether it takes a mask too."""
        return self.masked

    @functools.cached_property
    def input_kind(self) -> Any:
        """A sequence of numbers, and its mask."""
        return ("float", "mask") if self.masked else "float"


def check_units(layer: Any) -> None:
    """At least one."""
    if layer.units < 1:
        raise UsageError(f"{type(layer).__name__}(units={layer.units}): wanted a whole number of at least 1")


def check_sequence(shape: Shape) -> None:
    """Raise ShapeError for samples other than (time, features)."""
    if len(shape) != 2 or 0 in shape or is_multiple(shape):
        raise ShapeError("wants a sequence (time, features), each at least 1", why=f"got {shape}")


def plan_gates(layer: Any, gates: int, shape: Shape, bias: Initializer = zeros) -> tuple[Tree, Shape]:
    """W (n_in, gates units), U (units, gates units), b (gates units,). Raises ShapeError for no sequence."""
    if layer.masked:
        shape = unmasked(shape)
    check_sequence(shape)
    width = gates * layer.units
    specs = {
        "W": Spec((shape[1], width), layer.init),
        "U": Spec((layer.units, width), layer.recurrent_init),
        "b": Spec((width,), bias, decay=False),
    }
    return specs, ((shape[0], layer.units) if layer.sequences else (layer.units,))


def unmasked(shape: Shape) -> Shape:
    """The shape of x out of that of (x, mask). Raises ShapeError when they do not fit."""
    if not is_multiple(shape) or len(shape) != 2 or tuple(shape[1]) != tuple(shape[0][:1]):
        raise ShapeError("wants a sequence (time, features) and its mask (time,)", why=f"got {shape}")
    return tuple(shape[0])


def split_mask(layer: Any, x: Any) -> tuple[Array, Array | None]:
    """The sequences, and which of their steps are real: bool (N, time, 1), or None for all."""
    x, mask = x if layer.masked else (x, None)
    return x, None if mask is None else (mask != 0)[:, :, None]


def carried(cx: Ctx, real: Array | None, t: int, new: Array, old: Array) -> Array:
    """The new state where step t is real, else the old one."""
    return new if real is None else cx.be.xp.where(real[:, t, :], new, old)


def divided(cx: Ctx, real: Array | None, t: int, da: Array) -> tuple[Array, Array | None]:
    """What of a state's gradient goes into step t, and what goes past it."""
    if real is None:
        return da, None
    zeros = cx.be.xp.zeros_like(da)
    return cx.be.xp.where(real[:, t, :], da, zeros), cx.be.xp.where(real[:, t, :], zeros, da)


def with_mask(layer: Any, dx: Array | None) -> Any:
    """dx of all inputs: a mask has none."""
    return (dx, None) if layer.masked and dx is not None else dx


def parts(a: Array, n: int) -> list[Array]:
    """The last axis cut into n gates."""
    width = a.shape[-1] // n
    return [a[..., i * width : (i + 1) * width] for i in range(n)]


def start(cx: Ctx, x: Array, units: int) -> Array:
    """The state before the first step."""
    return cx.be.zeros((x.shape[0], units))


def result(cx: Ctx, layer: Any, states: list[Array]) -> Array:
    """All states, or the last."""
    return cx.be.xp.stack(states, axis=1) if layer.sequences else states[-1]


def backwards(layer: Any, dy: Array, steps: int) -> Iterator[tuple[int, Array | None]]:
    """(t, the part of dy that belongs to state t) from the last step to the first."""
    for t in reversed(range(steps)):
        yield t, dy[:, t, :] if layer.sequences else (dy if t == steps - 1 else None)


def by_time(cx: Ctx, x: Array) -> Array:
    """(N, T, n) to (T, N, n) and back: what belongs to one time lies together."""
    return cx.be.xp.permute_dims(x, (1, 0, 2))


def plus(a: Array, b: Array | None) -> Array:
    """a + b, where None is 0."""
    return a if b is None else a + b


def gradients(
    cx: Ctx, x: Array, W: Array, before: list[Array], da: list[Array], du: list[Array] | None = None
) -> Any:
    """dx = da W^T; dW = x^T da, dU = h_{t-1}^T du, db = sum of da, over all samples and times.

    da: per step, with respect to x_t W + b; du: to h_{t-1} U, None where they are the same.
    """
    be, xp = cx.be, cx.be.xp
    inputs = xp.stack(da)
    seen, states, rows = by_time(cx, x), xp.stack(before), flat_rows(be, inputs)
    if du is None:
        dW, dU = be.transposed_products(seen, states, rows)
    else:
        dW = be.matmul(flat_rows(be, seen).T, rows)
        dU = be.matmul(flat_rows(be, states).T, flat_rows(be, xp.stack(du)))
    dx = by_time(cx, be.matmul(inputs, W.T)) if cx.need_dx else None
    return dx, {"W": dW, "U": dU, "b": be.column_sums(rows)}


@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """h_t = tanh(x_t W + h_{t-1} U + b).

    Shapes: W (n_in, units), U (units, units), b (units,).
    Backward, t from the last step to the first: dh_t += dy_t; da_t = dh_t (1 - h_t^2); dh_{t-1} = da_t U^T.
    Source: Elman, "Finding structure in time", Cognitive Science 14 (1990); Werbos, Proc. IEEE 78 (1990).
    """

    units: int
    sequences: bool = False
    init: Initializer = glorot_uniform
    recurrent_init: Initializer = orthogonal
    masked: bool = False

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W, U, b."""
        return plan_gates(self, 1, shape)

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, and the states, the first among them."""
        x, real = split_mask(self, x)
        a, states = cx.be.affine(by_time(cx, x), p["W"], p["b"]), [start(cx, x, self.units)]
        for t in range(x.shape[1]):
            new = cx.be.xp.tanh(a[t, :, :] + cx.be.matmul(states[-1], p["U"]))
            states.append(carried(cx, real, t, new, states[-1]))
        return result(cx, self, states[1:]), (x, tuple(states), real)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        """Back through time."""
        x, states, real = cache
        dh, das = cx.be.xp.zeros_like(states[0]), []
        for t, part in backwards(self, dy, x.shape[1]):
            h = states[t + 1]
            dh, past = divided(cx, real, t, plus(dh, part))
            da = dh * (1 - h * h)
            dh = plus(cx.be.matmul(da, p["U"].T), past)
            das.append(da)
        das = das[::-1]
        dx, grads = gradients(cx, x, p["W"], states[:-1], das)
        return with_mask(self, dx), grads


@dataclass(frozen=True)
class LSTM(Recurrent):
    """c_t = f c_{t-1} + i g and h_t = o tanh(c_t), with i, f, g, o cut from x_t W + h_{t-1} U + b.

    i, f and o, the input, forget and output gates, go through the sigmoid, the candidate g through tanh.
    Shapes: W (n_in, 4 units), U (units, 4 units), b (4 units,), gates in the order i, f, g, o, as PyTorch's. The forget
    gate's bias begins at 1. Backward, t from the last step to the first: dh_t += dy_t; do = dh_t tanh(c_t);
    dc_t += dh_t o (1 - tanh(c_t)^2); di = dc_t g; df = dc_t c_{t-1}; dg = dc_t i; dc_{t-1} = dc_t f; each gate's slope
    gives da_t; dh_{t-1} = da_t U^T.
    Source: Hochreiter, Schmidhuber, Neural Computation 9 (1997); forget gate: Gers, Schmidhuber, Cummins (2000);
    its bias: Jozefowicz, Zaremba, Sutskever, ICML 2015.
    """

    units: int
    sequences: bool = False
    init: Initializer = glorot_uniform
    recurrent_init: Initializer = orthogonal
    masked: bool = False

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W, U, b."""
        return plan_gates(self, 4, shape, ForgetBias())

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, and of every step the states before it, the gates and tanh(c)."""
        x, real = split_mask(self, x)
        be, a, states, steps = cx.be, cx.be.affine(by_time(cx, x), p["W"], p["b"]), [], []
        h = c = start(cx, x, self.units)
        for t in range(x.shape[1]):
            new_h, new_c, gates, squashed = be.lstm_step(a[t, :, :], be.matmul(h, p["U"]), c)
            steps.append((h, c, gates, squashed))
            h, c = carried(cx, real, t, new_h, h), carried(cx, real, t, new_c, c)
            states.append(h)
        return result(cx, self, states), (x, tuple(steps), real)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        """Back through time, along both states."""
        x, steps, real = cache
        das, dh = [], cx.be.xp.zeros_like(steps[0][0])
        dc = dh
        for t, part in backwards(self, dy, x.shape[1]):
            dh, past = divided(cx, real, t, plus(dh, part))
            dc, past_c = divided(cx, real, t, dc)
            da, dc = cx.be.lstm_step_grad(dh, dc, *steps[t][1:])
            dc, dh = plus(dc, past_c), plus(cx.be.matmul(da, p["U"].T), past)
            das.append(da)
        das = das[::-1]
        dx, grads = gradients(cx, x, p["W"], [step[0] for step in steps], das)
        return with_mask(self, dx), grads


@dataclass(frozen=True)
class GRU(Recurrent):
    """h_t = (1 - z) n + z h_{t-1}, where r, z are gates and n the candidate, with the reset r after its product.

    r, z = sigmoid of the first two parts of x_t W + h_{t-1} U + b; n = tanh(x_t W_n + b_n + r (h_{t-1} U_n + c)).
    Shapes: W (n_in, 3 units), U (units, 3 units), b (3 units,), in the order r, z, n, and c (units,), as PyTorch's.
    Backward, t from the last step to the first: dh_t += dy_t; dn = dh_t (1 - z) (1 - n^2);
    dz = dh_t (h_{t-1} - n) z (1 - z); dr = dn (h_{t-1} U_n + c) r (1 - r); da_t = (dr, dz, dn), du_t = (dr, dz, dn r);
    dh_{t-1} = dh_t z + du_t U^T; dc = sum of dn r.
    Source: Cho et al., EMNLP 2014; reset after the product: Appleyard, Kocisky, Blunsom (2016).
    """

    units: int
    sequences: bool = False
    init: Initializer = glorot_uniform
    recurrent_init: Initializer = orthogonal
    masked: bool = False

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W, U, b, c."""
        specs, out = plan_gates(self, 3, shape)
        return specs | {"c": Spec((self.units,), zeros, decay=False)}, out

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, and of every step the state before it, the gates and h U_n + c."""
        x, real = split_mask(self, x)
        be, a, states, steps = cx.be, cx.be.affine(by_time(cx, x), p["W"], p["b"]), [], []
        h = start(cx, x, self.units)
        for t in range(x.shape[1]):
            ar, az, an = parts(a[t, :, :], 3)
            ur, uz, un = parts(be.matmul(h, p["U"]), 3)
            r, z, inner = be.sigmoid(ar + ur), be.sigmoid(az + uz), un + p["c"]
            n = be.xp.tanh(an + r * inner)
            steps.append((h, r, z, n, inner))
            h = carried(cx, real, t, (1 - z) * n + z * h, h)
            states.append(h)
        return result(cx, self, states), (x, tuple(steps), real)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        """Back through time."""
        xp, (x, steps, real) = cx.be.xp, cache
        das, dus, dh = [], [], xp.zeros_like(steps[0][0])
        for t, part in backwards(self, dy, x.shape[1]):
            h, r, z, n, inner = steps[t]
            dh, past = divided(cx, real, t, plus(dh, part))
            dn = dh * (1 - z) * (1 - n * n)
            dr, dz = dn * inner * r * (1 - r), dh * (h - n) * z * (1 - z)
            du = xp.concat([dr, dz, dn * r], axis=-1)
            das.append(xp.concat([dr, dz, dn], axis=-1))
            dus.append(du)
            dh = plus(dh * z + cx.be.matmul(du, p["U"].T), past)
        dx, grads = gradients(cx, x, p["W"], [step[0] for step in steps], das[::-1], dus[::-1])
        dc = xp.sum(xp.stack([parts(du, 3)[2] for du in dus], axis=1), axis=(0, 1))
        return with_mask(self, dx), grads | {"c": dc}
