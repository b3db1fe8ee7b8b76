"""The same step on every backend: is a difference between two of them rounding, or a bug?

Of an array a and the reference's b: absolute = max |a - b|, relative = max |a - b| / max |b|. Rounding grows along the
way there and back, a bug begins at one layer: the first beyond the tolerance is named, there before back. In float32 a
difference in the last bit may turn a ReLU or the choice of a maximum over, and grow large; in float64 it hardly ever
does, so there what is beyond the tolerance is a bug.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends import Backend, backend_names, get_backend
from xpnn.diagnostics.report import Report
from xpnn.diagnostics.table import number, table
from xpnn.diagnostics.trace import Host, Trace, Visit, trace
from xpnn.errors import BackendError
from xpnn.losses import Loss, get_loss
from xpnn.network import Network


@dataclass(frozen=True)
class Gap:
    """The largest difference in an array."""

    array: str  # "y", "dx", or a parameter's name
    absolute: float
    relative: float


@dataclass(frozen=True)
class LayerGap:
    """One layer on one backend: its output, and the worst of dx and the gradients."""

    path: str  # or "loss"
    layer: str
    forward: Gap
    backward: Gap | None  # None: the way back ended before it


@dataclass(frozen=True)
class BackendGap:
    """One backend beside the reference."""

    backend: str
    layers: tuple[LayerGap, ...]  # in the order of their outputs, then the loss
    first: str | None  # "2 Dense, backward (W)": where the first difference beyond the tolerance is

    @property
    def ok(self) -> bool:
        """Whether every difference is within the tolerance."""
        return self.first is None


@dataclass(frozen=True)
class Comparison(Report):
    """Backends beside a reference. `str` is a table of 80 columns, `to_dict` and `to_json` are plain data."""

    reference: str
    dtype: str
    tolerance: float  # of the relative differences
    backends: tuple[BackendGap, ...]
    missing: dict[str, str]  # backends that are not here, and why

    @property
    def ok(self) -> bool:
        """Whether every difference is within the tolerance, on all of them."""
        return all(gap.ok for gap in self.backends)

    def to_dict(self) -> dict[str, Any]:
        return super().to_dict() | {"ok": self.ok}

    def __str__(self) -> str:
        blocks = [
            f"{gap.backend} beside {self.reference}: {verdict(gap)}\n{rows(gap)}" for gap in self.backends
        ]
        note = f"{self.dtype}; relative to the largest entry; tolerance {number(self.tolerance)}"
        absent = [f"{name}: not compared, {why}" for name, why in self.missing.items()]
        return "\n\n".join([*blocks, "\n".join([note, *absent])])


def compare_backends(
    model: Network,
    x: Any,
    y: Any,
    *,
    backends: Sequence[str] | None = None,
    loss: str | Loss | Callable[..., Any] | None = None,
    dtype: str | None = None,
    tolerance: float | None = None,
) -> Comparison:
    """The first training step on the batch (x, y), from the model's parameters, on its own backend and on others.

    backends: names; None takes all that are installed. dtype: None is the model's; "float64" rules out rounding.
    tolerance: relative; None is sqrt(eps) of the dtype, 3.5e-4 or 1.5e-8. The model is left as it is. Raises
    BackendError for a backend that was asked for and does not work, or if it is the only one.
    """
    be, dtype = model.backend, dtype or model.backend.dtype_name
    measure = model.loss if loss is None else get_loss(loss)
    names, missing = available([name for name in backend_names() if name != be.name], dtype)
    if backends is not None:
        names, missing = [name for name in backends if name != be.name], {}
    if not names:
        fix = "pip install 'xpnn[strict]'   (or torch, or jax)"
        raise BackendError(f"no backend to compare {be.name!r} with", fix=fix)

    def step(place: Backend) -> Trace:
        return trace(model.copy(place), x, y, measure)

    own = be if dtype == be.dtype_name else get_backend(be.name, be.device_name, dtype)
    limit = float(np.sqrt(np.finfo(dtype).eps)) if tolerance is None else tolerance
    wanted = step(own)
    places = {name: get_backend(name, None, dtype) for name in names}
    gaps = tuple(beside(name, step(at), wanted, type(measure).__name__, limit) for name, at in places.items())
    return Comparison(be.name, dtype, limit, gaps, missing)


def available(names: Sequence[str], dtype: str) -> tuple[list[str], dict[str, str]]:
    """Return the backends that work here, and why the others do not."""
    here, missing = [], {}
    for name in names:
        try:
            get_backend(name, None, dtype)
            here.append(name)
        except BackendError as error:
            missing[name] = error.what
    return here, missing


def beside(name: str, got: Trace, wanted: Trace, loss: str, limit: float) -> BackendGap:
    """Return the differences of one backend, and the first of them beyond the limit."""
    visits = list(zip(got.visits, wanted.visits, strict=True))
    there = [gap("y", a.y, b.y) for a, b in visits]
    back = [worst(list(returned(a, b))) for a, b in visits]
    layers = [
        LayerGap(b.path, type(b.layer).__name__, y, dx)
        for (_, b), y, dx in zip(visits, there, back, strict=True)
    ]
    value = gap("value", (np.asarray(got.loss),), (np.asarray(wanted.loss),))
    layers.append(LayerGap("loss", loss, value, gap("dout", got.dout, wanted.dout)))
    order = sorted(
        (i for i, (_, b) in enumerate(visits) if b.turn is not None), key=lambda i: visits[i][1].turn or 0
    )
    way = [(row, row.forward, "forward") for row in layers]
    way += [
        (row, row.backward, "backward") for row in (layers[-1], *(layers[i] for i in order)) if row.backward
    ]
    first = next(
        (f"{row.path} {row.layer}, {side} ({g.array})" for row, g, side in way if not g.relative <= limit),
        None,
    )
    return BackendGap(name, tuple(layers), first)


def returned(got: Visit, wanted: Visit) -> Iterator[Gap]:
    """Return the gaps of everything that a backward pass returned."""
    if wanted.dx:
        yield gap("dx", got.dx, wanted.dx)
    for name, gradient in wanted.gradients.items():
        yield gap(name, (got.gradients[name],), (gradient,))


def worst(gaps: list[Gap]) -> Gap | None:
    """Return the gap with the largest relative difference."""
    return max(gaps, key=lambda g: g.relative, default=None)


def gap(array: str, got: tuple[Host, ...], wanted: tuple[Host, ...]) -> Gap:
    """Return the gap of one array, or of several as one. Equal infinities, and NaN on both sides, count as 0."""
    furthest = top = 0.0
    for a, b in zip(got, wanted, strict=True):
        a, b = a.astype(np.float64), b.astype(np.float64)
        with np.errstate(invalid="ignore"):
            off = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
        furthest = max(furthest, float(np.max(np.where(np.isnan(off), math.inf, off), initial=0.0)))
        top = max(top, float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))))
    return Gap(array, furthest, furthest / top if top > 0 else (math.inf if furthest > 0 else 0.0))


def verdict(gap: BackendGap) -> str:
    """Return the result in words."""
    return "within the tolerance" if gap.ok else f"first beyond the tolerance at {gap.first}"


def rows(gap: BackendGap) -> str:
    """Return the table of one backend."""
    head = ("path", "layer", "forward", "relative", "backward", "relative", "of")
    lines = []
    for row in gap.layers:
        back = ("-", "-", "")
        if row.backward:
            back = (number(row.backward.absolute), number(row.backward.relative), row.backward.array)
        lines.append((row.path, row.layer, number(row.forward.absolute), number(row.forward.relative), *back))
    return table(head, lines, "<<>>>><", (10, 20, 8, 8, 8, 8, 8))
