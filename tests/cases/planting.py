"""How faults are planted: wrong backward passes, each a mistake somebody has made.

A fault of a layer is `fault(layer, cx, p, cache, dy, right) -> dx, grads`, where `right` is the true backward pass. A
fault of a loss is `fault(loss, z, t, weight, gradient) -> gradient`. `Planted(case, {"sign dropped": fault})` says on
which row it must be seen; the faults of `EVERYWHERE` are added to those of every class.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cases.row import Case, LossCase
from xpnn.layers.base import is_multiple
from xpnn.parameters import leaves, tree_map


def last_dropped(a):
    """The last entry's term is forgotten."""
    a = np.array(a)
    a[..., -1] = 0
    return a


def transposed(a):
    """The right numbers in the order of the transposed array."""
    return np.reshape(a.T, a.shape)


EVERYWHERE = {
    "scaled by 1.0001": lambda a: 1.0001 * a,
    "sign flipped": lambda a: -a,
    "zero": np.zeros_like,
    "divided by N once more": lambda a: a / 4,
    "last term dropped": last_dropped,
    "axes swapped": transposed,
    "shifted by one": lambda a: np.roll(a, 1),
    "of the first row only": lambda a: a * (np.arange(len(a)) == 0).reshape(-1, *[1] * (a.ndim - 1)),
    "nothing given": lambda a: None,
}
"""What can go wrong with any array that a backward pass gives."""
EVERY_LOSS = {
    "scaled by 1.0001": lambda loss, z, t, w, g: 1.0001 * g,
    "sign flipped": lambda loss, z, t, w, g: -g,
    "zero": lambda loss, z, t, w, g: 0 * g,
    "missing 1 / N": lambda loss, z, t, w, g: g * len(g),
    "extra 1 / N": lambda loss, z, t, w, g: g / len(g),
    "missing 1 / C": lambda loss, z, t, w, g: g * g.shape[1],
    "last term dropped": lambda loss, z, t, w, g: last_dropped(g),
    "shifted by one": lambda loss, z, t, w, g: np.roll(g, 1),
    "axes swapped": lambda loss, z, t, w, g: transposed(g),
    "of the first sample only": lambda loss, z, t, w, g: np.concat([g[:1], 0 * g[1:]]),
}


def can_be_seen(name, shape):
    """A vector has no axes to swap, even in a matrix; where there is one row, its gradient is that of the first row."""
    return (
        sum(n > 1 for n in shape) > 1
        if name == "axes swapped"
        else shape[0] > 1
        if "first row" in name
        else True
    )


@dataclass(frozen=True)
class Planted:
    """A row of one class, and the faults of its own that must be seen on it.

    elsewhere: {name: another row that a fault is seen on}, where it is one of a setting.
    """

    case: Case
    own: dict[str, Any] = field(default_factory=dict)
    elsewhere: dict[str, Case] = field(default_factory=dict)

    def faults(self) -> dict[str, Any]:
        """{name: fault}: its own, and those of EVERYWHERE in every array that its backward pass gives."""
        return self.own | {
            f"d{array} {name}": changed(array, fault)
            for array, shape in self.arrays().items()
            for name, fault in EVERYWHERE.items()
            if can_be_seen(name, shape)
        }

    def arrays(self) -> dict[str, tuple[int, ...]]:
        """{"x", or "x0", "x1", ... of several inputs, or the path of a trained parameter: its shape}."""
        case = self.case
        shapes = (
            {f"x{i}": s for i, s in enumerate(case.shape)} if is_multiple(case.shape) else {"x": case.shape}
        )
        inputs = {
            name: (case.batch, *shape)
            for (name, shape), kind in zip(shapes.items(), case.kinds, strict=True)
            if kind not in ("int", "mask")
        }
        specs = dict(leaves(case.layer.plan(case.shape)[0]))
        return inputs | {path: spec.shape for path, spec in specs.items() if spec.trainable}


@dataclass(frozen=True)
class PlantedInLoss:
    """The same of a loss. elsewhere: {name: another row that a fault is seen on}."""

    case: LossCase
    own: dict[str, Any]
    elsewhere: dict[str, LossCase] = field(default_factory=dict)

    def faults(self) -> dict[str, tuple[Any, LossCase]]:
        """{name: (fault, the row it is seen on)}."""
        return {n: (fault, self.elsewhere.get(n, self.case)) for n, fault in (EVERY_LOSS | self.own).items()}


def changed(array, fault):
    """`fault` applied to one array of what the right backward pass gives: "x", "x0", or a parameter's path."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        if array == "x":
            return fault(dx), grads
        if isinstance(dx, tuple):
            dx = tuple(fault(a) if array == f"x{i}" else a for i, a in enumerate(dx))
        return dx, tree_map(lambda path, g: fault(g) if path == array else g, grads)

    return backward


def dx_from(f):
    """A layer without parameters whose backward pass is dx = f(layer, p, cache, dy)."""
    return lambda layer, cx, p, cache, dy, right: (f(layer, p, cache, dy), {})


def dx_after(f):
    """The right gradients, and dx = f(layer, p, cache, dx, dy)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        return f(layer, p, cache, dx, dy), grads

    return backward


def called_with(f):
    """The right backward pass of wrong arguments: f(layer, p, cache, dy) -> (p, cache, dy)."""
    return lambda layer, cx, p, cache, dy, right: right(layer, cx, *f(layer, p, cache, dy))


def gradients_from(**wrong):
    """Some gradients ("x" is dx) replaced: f(layer, be, p, cache, dy, the right one)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        found = {"x": dx, **grads}
        found |= {name: f(layer, cx.be, p, cache, dy, found[name]) for name, f in wrong.items()}
        return found.pop("x"), found

    return backward


another_cache = called_with(lambda layer, p, c, dy: (p, tuple(np.flip(a, 0) * 0.9 + 0.05 for a in c), dy))
"""The cache of another input: another layer object's, or that of the step before."""


def logistic(x):
    return 1 / (1 + np.exp(-x))


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


def one_hot(ids, n):
    return np.eye(n)[ids.reshape(-1)]
