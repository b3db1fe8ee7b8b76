"""One training step explained, layer by layer, as a table or as plain data.

Of an array a with n entries: mean = sum a / n, std = sqrt(sum (a - mean)^2 / n), |a| = sqrt(sum a^2), all in float64. A
unit is an entry of the last axis (a channel, for images); it is dead when it is 0 for every sample of the batch, and
at every place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.diagnostics.report import Report
from xpnn.diagnostics.table import number, table
from xpnn.diagnostics.trace import Host, Visit, trace
from xpnn.losses import Loss, get_loss
from xpnn.network import Network
from xpnn.optimizers import Optimizer, get_optimizer


@dataclass(frozen=True)
class ParameterReport:
    """One parameter: its size, its gradient's, and the first update's."""

    path: str
    shape: tuple[int, ...]
    norm: float
    gradient_norm: float | None  # None: not trained, or the way back ended before it
    update_ratio: float | None  # |new - old| / |old|; None without an optimizer, or where |old| is 0


@dataclass(frozen=True)
class LayerReport:
    """One layer: its output, and the gradients that passed through it."""

    path: str
    layer: str
    role: str  # "activation", "pre-activation" (the next is an activation), or ""
    shape: tuple[int, ...]  # of the output for the whole batch
    mean: float
    std: float
    min: float
    max: float
    zeros: float  # share of the outputs that are 0
    units: int
    dead: int  # units that are 0 for every sample
    dy_norm: float | None  # None: the way back ended before it
    dx_norm: float | None  # None: not needed
    parameters: tuple[ParameterReport, ...]


@dataclass(frozen=True)
class Explanation(Report):
    """One training step, explained. `str` is a table of 80 columns, `to_dict` and `to_json` are plain data."""

    loss: float
    loss_name: str
    optimizer: str | None
    samples: int
    gradient_norm: float
    layers: tuple[LayerReport, ...]

    def __str__(self) -> str:
        size = number(self.gradient_norm)
        head = f"{self.samples} samples: loss {number(self.loss)} ({self.loss_name}), |gradient| {size}"
        blocks = [head, forward_table(self.layers), backward_table(self.layers), parameter_table(self)]
        return "\n\n".join(block for block in blocks if block)


def explain(
    model: Network,
    x: Any,
    y: Any,
    *,
    loss: str | Loss | Callable[..., Any] | None = None,
    optimizer: str | Optimizer | None = None,
) -> Explanation:
    """The first step that a trainer would make on the batch (x, y); see `Model.explain`."""
    measure = model.loss if loss is None else get_loss(loss)
    rule = None if optimizer is None else get_optimizer(optimizer)
    found = trace(model, x, y, measure)
    ratios = {} if rule is None else update_ratios(model, rule, found.gradient)
    feeds = {i for visit in found.visits if is_activation(visit) for i in visit.sources}
    with np.errstate(all="ignore"):  # infinity and NaN are shown in the table instead of warned about
        rows = tuple(report(visit, i in feeds, ratios) for i, visit in enumerate(found.visits))
        return Explanation(
            found.loss, type(measure).__name__, None if rule is None else type(rule).__name__, len(found.dout[0]),
            norm(found.gradient), rows,
        )  # fmt: skip


def report(visit: Visit, feeds_activation: bool, ratios: dict[str, float | None]) -> LayerReport:
    """Return the numbers of one call; several outputs are taken together, with the shape of the first."""
    flat = joined(visit.y)
    dead = [np.all(a == 0, axis=tuple(range(a.ndim - 1))) if a.ndim > 1 else np.all(a == 0) for a in visit.y]
    role = "activation" if is_activation(visit) else "pre-activation" if feeds_activation else ""
    return LayerReport(
        visit.path,
        type(visit.layer).__name__,
        role,
        tuple(visit.y[0].shape),
        float(flat.mean()),
        float(flat.std()),
        float(flat.min()),
        float(flat.max()),
        float(np.mean(flat == 0)),
        sum(int(np.size(d)) for d in dead),
        sum(int(np.sum(d)) for d in dead),
        norm(joined(visit.dy)) if visit.dy else None,
        norm(joined(visit.dx)) if visit.dx else None,
        tuple(parameter_report(visit, name, ratios) for name in visit.parameters),
    )


def parameter_report(visit: Visit, name: str, ratios: dict[str, float | None]) -> ParameterReport:
    """Return the numbers of one parameter of a layer."""
    path = f"{visit.path}.{name}" if visit.path else name
    a, gradient = visit.parameters[name], visit.gradients.get(name)
    size = None if gradient is None else norm(gradient)
    return ParameterReport(path, tuple(a.shape), norm(a), size, ratios.get(path))


def update_ratios(model: Network, optimizer: Optimizer, gradient: Host) -> dict[str, float | None]:
    """Return {path: |new - old| / |old|} of the optimizer's first step, made on copies."""
    be, layout = model.backend, model.layout
    vectors = model.snapshot()
    with be.device_context():
        theta, _ = layout.load(be, vectors)
        rule = optimizer.bind(layout.params)
        new, _ = rule.update(be, theta, be.asarray(gradient), rule.init(be, theta))
        after = np.array(be.to_numpy(new), dtype=np.float64)
    ratios = {}
    for path, (vector, start, stop) in layout.slots.items():
        if vector == "theta":
            old = vectors["theta"][start:stop].astype(np.float64)
            ratios[path] = norm(after[start:stop] - old) / norm(old) if norm(old) > 0 else None
    return ratios


def is_activation(visit: Visit) -> bool:
    """Return whether it is an activation: its input is a pre-activation, the z of the textbooks."""
    return visit.layer.role == "activation"


def joined(arrays: tuple[Host, ...]) -> Host:
    """Return all entries in one float64 vector."""
    return np.concatenate([np.asarray(a, dtype=np.float64).reshape(-1) for a in arrays])


def norm(a: Host) -> float:
    """Return sqrt(sum a^2), computed from a / max |a| so that no square overflows."""
    a = np.asarray(a, dtype=np.float64)
    top = float(np.max(np.abs(a), initial=0.0))
    return top * float(np.linalg.norm(a / top)) if 0 < top < math.inf else top


def forward_table(rows: tuple[LayerReport, ...]) -> str:
    """Return the table of each layer's output; * marks the pre-activations."""
    head = ("path", "layer", "output", "mean", "std", "min", "max")
    lines = [
        (r.path, r.layer + "*" * (r.role == "pre-activation"), str(r.shape[1:]),
         number(r.mean), number(r.std), number(r.min), number(r.max))
        for r in rows
    ]  # fmt: skip
    note = "\n* pre-activations" if any(r.role == "pre-activation" for r in rows) else ""
    return table(head, lines, "<<<>>>>", (10, 18, 14)) + note


def backward_table(rows: tuple[LayerReport, ...]) -> str:
    """Return the table of zeros, dead units and gradients of each layer."""
    head = ("path", "layer", "zeros", "dead units", "|dy|", "|dx|")
    lines = [
        (r.path, r.layer, f"{100 * r.zeros:.1f} %", f"{r.dead:,} of {r.units:,}", number(r.dy_norm), number(r.dx_norm))
        for r in rows
    ]  # fmt: skip
    return table(head, lines, "<<>>>>", (10, 18))


def parameter_table(explanation: Explanation) -> str:
    """Return the table of parameters, their gradients, and the first update."""
    updates = explanation.optimizer is not None
    head = ("parameter", "shape", "|w|", "|dw|", "|dw|/|w|", "|update|/|w|")
    lines = [
        (p.path, str(p.shape), number(p.norm), number(p.gradient_norm),
         number(p.gradient_norm / p.norm if p.gradient_norm is not None and p.norm > 0 else None),
         number(p.update_ratio))
        for layer in explanation.layers for p in layer.parameters
    ]  # fmt: skip
    if not lines:
        return ""
    cut = len(head) if updates else len(head) - 1
    return table(head[:cut], [line[:cut] for line in lines], "<<>>>>"[:cut], (14, 18))
