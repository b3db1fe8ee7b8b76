"""What proves each public class: gathered from the tests as they run, and shown as a table."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import xpnn
from xpnn.initializers import Initializer
from xpnn.layers import Layer
from xpnn.losses import Loss
from xpnn.metrics import Metric
from xpnn.optimizers import Constraint, Optimizer
from xpnn.schedules import Schedule

KINDS = {
    "layer": Layer,
    "loss": Loss,
    "optimizer": Optimizer,
    "schedule": Schedule,
    "initializer": Initializer,
    "constraint": Constraint,
    "metric": Metric,
}
USED = Counter()
"""{class name: how often it was put beside an oracle in the present test}."""


def used(thing):
    """Note that an object, and what it is made of, is compared in this test; for what no parameter names."""
    if isinstance(thing, tuple):
        for part in thing:
            used(part)
    elif isinstance(thing, tuple(KINDS.values())):
        USED[type(thing).__name__] += 1
        for part in vars(thing).values():
            if not isinstance(part, Initializer):  # it only says where the numbers of a comparison came from
                used(part)


def children(base):
    """Every class below `base` that the package defines, but for the abstract ones."""
    below = {c for child in base.__subclasses__() for c in (child, *children(child))}
    return {c for c in below if c.__module__.startswith("xpnn.") and not getattr(c, "abstract", False)}


def subjects(params):
    """The names of the classes that a test's parameters are of; those of a row are its layer's or its loss's."""
    things = [getattr(p, "layer", None) or getattr(p, "loss", None) or p for p in params]
    kinds = [t if isinstance(t, type) else type(t) for t in things]
    return {kind.__name__ for kind in kinds if issubclass(kind, tuple(KINDS.values()))}


def proof_of(item):
    """[backend or None, oracle or None, {class name: samples}] of a test that passed, or None."""
    params = item.callspec.params if hasattr(item, "callspec") else {}
    counts = {**dict.fromkeys(subjects(params.values()), 1), **USED}
    mark = item.get_closest_marker("against")
    return [params.get("mode"), mark.args[0] if mark else None, counts] if counts else None


@dataclass
class Proof:
    """What is known of one class."""

    backends: set = field(default_factory=set)
    gradient: float | None = None
    oracles: set = field(default_factory=set)
    samples: int = 0


def gather(reports):
    """{class name: Proof} from the properties that the tests left in their reports."""
    found = defaultdict(Proof)
    for report in reports:
        properties = dict(report.user_properties)
        if "proof" not in properties:
            continue
        mode, oracle, counts = properties["proof"]
        for name, samples in counts.items():
            proof = found[name]
            if mode:
                proof.backends.add("numpy" if mode in ("readonly", "fast") else mode)
            if oracle:
                proof.oracles.add(oracle)
                proof.samples += samples
            if "gradient" in properties:
                proof.gradient = max(proof.gradient or 0.0, properties["gradient"])
    return found


def table(found):
    """Markdown: a row for every public class."""
    lines = [
        f"Made by `ci/coverage`, xpnn {xpnn.__version__}. A row for every public class: the backends that its rows of",
        "`tests/cases/` ran on, the largest relative error of its gradients against finite differences in float64,",
        "and how many comparisons with an independent oracle it passed.",
        "",
        "| kind | class | backends | gradient error | oracle | samples |",
        "|---|---|---|---|---|---|",
    ]
    for kind, base in KINDS.items():
        for name in sorted(cls.__name__ for cls in children(base)):
            p = found[name]
            cells = [
                kind,
                name,
                " ".join(sorted(p.backends)) or "-",
                "-" if p.gradient is None else f"{p.gradient:.0e}",
                ", ".join(sorted(p.oracles)) or "-",
                str(p.samples),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
