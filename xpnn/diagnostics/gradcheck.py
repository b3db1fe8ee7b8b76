"""Checks that every backward pass is the derivative of its forward pass, layer by layer, so that a wrong one is named.

The derivative along a direction d is (f(a + h d) - f(a - h d)) / 2h, in float64 with h = 1e-5. A layer's
output is first
contracted with a random cotangent c, so f = <c, forward(a)>, and the analytic side is <backward(c), d>. Each entry of a
small array is a direction of its own; a large one gets a sample of entries and random directions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends import get_backend
from xpnn.backends.base import Backend
from xpnn.diagnostics.table import table
from xpnn.errors import XpnnError
from xpnn.html import html_table
from xpnn.layers.base import Ctx, Layer, LayerLike, Shape, for_each, is_multiple
from xpnn.layers.graph import Graph, as_net
from xpnn.layers.lengths import Length, is_open, planned
from xpnn.layers.sequential import Sequential
from xpnn.layers.wiring import NO_DX
from xpnn.losses import Loss, MultiOutputLoss, get_loss
from xpnn.parameters import Layout
from xpnn.random import host_rng
from xpnn.trees import leaves, tree_map
from xpnn.validation import check_input_shape

H = 1e-5
TOLERANCE = 1e-7
HEAD = ("path", "layer", "array", "error", "directions", "")
LENGTH = 8
"""In place of a size that is left open."""
ENTRIES = 100
"""Arrays up to this size are checked entry by entry, larger ones along this many directions."""

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class GradientCheck:
    """One array's gradient: where it is, how far off, along how many directions."""

    path: str  # of the layer, or "loss"
    layer: str
    array: str  # "x" or the parameter's name
    error: float  # |numeric - analytic| / max(|numeric|, |analytic|), vectors over the directions
    directions: int
    ok: bool
    note: str = ""


class GradientChecks(list[GradientCheck]):
    """A row for each array. Printed, and in a notebook, a table."""

    @property
    def ok(self) -> bool:
        """Whether every gradient is right."""
        return all(row.ok for row in self)

    def _cells(self) -> list[tuple[str, ...]]:
        marks = (("ok" if row.ok else "WRONG") + (f": {row.note}" if row.note else "") for row in self)
        return [
            (row.path, row.layer, row.array, f"{row.error:.1e}", str(row.directions), mark)
            for row, mark in zip(self, marks, strict=True)
        ]

    def __str__(self) -> str:
        return table(HEAD, self._cells(), "<<<>><")

    def _repr_html_(self) -> str:
        """The table, in a notebook."""
        return html_table(HEAD, self._cells())


def gradcheck(
    net: LayerLike | Sequence[LayerLike],
    input_shape: Shape,
    *,
    loss: str | Loss | Callable[..., Any] | None = None,
    backend: str = "numpy",
    batch: int = 4,
    seed: int = 0,
) -> GradientChecks:
    """Check every layer's input and parameter gradients, and the loss's, on random data.

    Inputs are drawn from N(0, 1) and kept 1e-3 away from 0, where ReLU and similar activations have no derivative. A
    size that input_shape leaves open (None) is taken for 8. A layer that is not differentiable gets a row that says so.
    Raises nothing for a wrong gradient: read `ok`.
    """
    be = get_backend(backend, None, "float64")
    chain, shape = as_net(net), planned(check_input_shape(input_shape))
    if is_open(shape):
        chain.plan(shape)  # refuses layers that need the size
        shape = tree_map(lambda _, n: LENGTH if isinstance(n, Length) else n, shape)
    rng = host_rng(seed, "gradcheck")
    rows = GradientChecks()
    with be.device_context():
        for path, layer, given in flatten(chain, shape):
            key = (int(part) if part.isdecimal() else part for part in path.split("."))
            cx = Ctx(be, train=True, key=(seed, *key), tick=be.scalar(0, be.xp.int64))
            rows += check_layer(cx, path, layer, given, random_inputs(layer, given, batch, rng), rng)
        if loss is not None:
            rows += check_loss(be, get_loss(loss), chain.plan(shape)[1], batch, rng)
    return rows


def flatten(net: Layer, shape: Shape, prefix: str = "") -> Iterator[tuple[str, Layer, Shape]]:
    """(path, layer, its input shape) of every layer but chains: what is in a container counts too.

    A graph that is the whole network has the path "".
    """
    if isinstance(net, Graph) and not prefix:
        yield "", net, shape
    for i, layer, given in net.children(shape):
        if not isinstance(layer, Sequential):
            yield f"{prefix}{i}", layer, given
        yield from flatten(layer, given, f"{prefix}{i}.")


def check_layer(
    cx: Ctx, path: str, layer: Layer, shape: Shape, x: dict[str, Host], rng: Any
) -> list[GradientCheck]:
    """Return a row for each input and for each trainable parameter."""
    be, name = cx.be, type(layer).__name__
    if not layer.differentiable:
        return [GradientCheck(path, name, "x", 0.0, 0, True, "not differentiable, by design")]
    layout = Layout(layer.plan(shape)[0])
    p = tree_map(lambda key, spec: spec.initialize(host_rng(0, "gradcheck", path, key)), layout.specs)
    arrays = x | {
        key: a + 0.1 * rng.standard_normal(a.shape) for key, a in leaves(p) if layout.named[key].trainable
    }

    def forward(values: dict[str, Host]) -> tuple[Any, Any, Any]:
        tree = tree_map(lambda key, fixed: be.asarray(np.asarray(values.get(key, fixed))), p)
        given = tuple(be.asarray(values[key]) for key in x)
        return tree, *layer.forward(cx, tree, given if is_multiple(shape) else given[0])

    tree, y, cache = forward(arrays)
    c = tree_map(lambda _, a: rng.standard_normal(tuple(a.shape)), y)
    try:
        dx, grads = layer.backward(cx, tree, cache, tree_map(lambda _, a: be.asarray(a), c))
        dxs = dx if isinstance(dx, tuple) else (dx,) * len(x)
        analytic = dict(zip(x, dxs, strict=True)) | dict(leaves(grads))
    except XpnnError as error:
        return [GradientCheck(path, name, "x", float("inf"), 0, False, error.what)]
    rows = []
    without = {key for key, kind in zip(x, for_each(layer.input_kind, len(x)), strict=True) if kind in NO_DX}
    for key, a in arrays.items():
        if key in without:
            continue
        given = None if analytic.get(key) is None else be.to_numpy(analytic[key])
        scalar = contracted(forward, arrays, key, c, be)
        off, count, note = compare(scalar, a, given, rng)
        rows.append(GradientCheck(path, name, key, off, count, off <= TOLERANCE, note))
    return rows


def random_inputs(layer: Layer, shape: Shape, batch: int, rng: Any) -> dict[str, Host]:
    """{"x": numbers from N(0, 1), or ids, or a mask}, as the layer takes it; of several inputs {"x0": ..., ...}.

    No id is one of padding: its row has no gradient, by design, though the outputs depend on it.
    """
    padding = set(paddings(layer, shape))
    several = is_multiple(shape)
    shapes = shape if several else (shape,)
    about = zip(
        shapes,
        for_each(layer.input_kind, len(shapes)),
        for_each(layer.vocab_size, len(shapes)),
        strict=True,
    )
    found = {}
    for i, (one, kind, vocab_size) in enumerate(about):
        size = (batch, *one)
        if kind == "int":
            known = [n for n in range(vocab_size or 2) if n not in padding] or [0]
            a = np.array(known)[rng.integers(0, len(known), size)]
        elif kind in NO_DX:
            a = rng.integers(0, 2, size) * 1.0
        else:
            a = away_from_zero(rng.standard_normal(size))
        found[f"x{i}" if several else "x"] = a
    return found


def paddings(layer: Layer, shape: Shape) -> Iterator[int]:
    """The ids of padding of every embedding in it."""
    own = getattr(layer, "padding_idx", None)
    if own is not None:
        yield own
    for _, inner, given in layer.children(shape):
        yield from paddings(inner, given)


def contracted(
    forward: Callable[..., Any], arrays: dict[str, Host], key: str, c: Any, be: Backend
) -> Callable[[Host], float]:
    """a -> <c, forward(... a in place of arrays[key] ...)>, summed over several outputs."""

    def value(a: Host) -> float:
        y = dict(leaves(forward(arrays | {key: a})[1]))
        return float(sum(np.sum(part * be.to_numpy(y[path])) for path, part in leaves(c)))

    return value


def check_loss(be: Backend, loss: Loss, outputs: Shape, batch: int, rng: Any) -> list[GradientCheck]:
    """Check the gradient of the loss, or of the sum of its values, with respect to each prediction."""
    several = is_multiple(outputs)
    losses = loss.losses if isinstance(loss, MultiOutputLoss) else (loss,)
    x, y = {}, []
    for i, (one, shape) in enumerate(zip(losses, outputs if several else (outputs,), strict=True)):
        a = away_from_zero(rng.standard_normal((batch, *shape)))
        y.append(be.asarray(one.random_target(rng, a.shape)))
        x[f"prediction{i}" if several else "prediction"] = a

    def call(values: dict[str, Host]) -> tuple[Any, Any]:
        given = tuple(be.asarray(a) for a in values.values())
        return loss(be, given if several else given[0], tuple(y) if several else y[0])

    gradient = call(x)[1]
    rows = []
    for (key, a), g in zip(x.items(), gradient if several else (gradient,), strict=True):
        error, count, note = compare(value_of(be, call, x, key), a, be.to_numpy(g), rng)
        rows.append(GradientCheck("loss", type(loss).__name__, key, error, count, error <= TOLERANCE, note))
    return rows


def value_of(
    be: Backend, call: Callable[..., Any], arrays: dict[str, Host], key: str
) -> Callable[[Host], float]:
    """a -> the loss with a in place of arrays[key]."""
    return lambda a: float(np.sum(be.to_numpy(call(arrays | {key: a})[0])))


def compare(f: Callable[[Host], float], a: Host, given: Host | None, rng: Any) -> tuple[float, int, str]:
    """Return (relative error, directions, note) of the gradient `given` of f at a."""
    if given is None or given.shape != a.shape:
        got = "none" if given is None else str(given.shape)
        return float("inf"), 0, f"gradient has shape {got}, wanted {a.shape}"
    directions = list(choose_directions(a.shape, rng))
    numeric = np.asarray([(f(a + H * d) - f(a - H * d)) / (2 * H) for d in directions])
    analytic = np.asarray([float(np.sum(given * d)) for d in directions])
    scale = np.maximum(np.linalg.norm(numeric), np.linalg.norm(analytic))
    if not np.isfinite(scale):
        return float("inf"), len(directions), "not finite"
    return (float(np.linalg.norm(numeric - analytic) / scale) if scale > 0 else 0.0), len(directions), ""


def choose_directions(shape: tuple[int, ...], rng: Any) -> Iterator[Host]:
    """Every unit vector of a small space; for a large one half as many unit vectors, and as many random directions."""
    size = int(np.prod(shape))
    small = size <= ENTRIES
    for i in range(size) if small else rng.choice(size, ENTRIES // 2, replace=False):
        unit = np.zeros(size)
        unit[i] = 1.0
        yield unit.reshape(shape)
    for _ in range(0 if small else ENTRIES // 2):
        yield rng.standard_normal(shape) / np.sqrt(size)


def away_from_zero(x: Host) -> Host:
    """Move values closer than 1e-3 to 0 out to it, so that no kink lies within h."""
    moved: Host = np.where(np.abs(x) < 1e-3, np.where(x < 0, -1e-3, 1e-3), x)
    return moved
