"""A public class without a row in tests/cases fails here: nothing lands without its proof."""

import contextlib
import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import types

import pytest
from cases import FULL_BATCH, INITIALIZERS, LAYERS, LOSSES, METRICS, MULTI_OUTPUT, OPTIMIZERS, SCHEDULES
from proof_table import children

import xpnn
from xpnn.errors import XpnnError
from xpnn.initializers import Initializer
from xpnn.layers import Layer
from xpnn.losses import Loss
from xpnn.metrics import Metric
from xpnn.optimizers import Optimizer
from xpnn.parameters import leaves
from xpnn.schedules import Schedule

ROWS = {
    Layer: [case.layer for case in LAYERS],
    Loss: [case.loss for case in LOSSES + MULTI_OUTPUT],
    Optimizer: OPTIMIZERS + FULL_BATCH,
    Schedule: SCHEDULES,
    Initializer: INITIALIZERS,
    Metric: METRICS,
}
FOLDERS = {
    Layer: "layers",
    Loss: "losses",
    Optimizer: "optimizers",
    Schedule: "schedules.py",
    Initializer: "initializers.py",
    Metric: "metrics.py",
}
"""Where the rows of each kind stand."""
TABLES = [
    xpnn.losses.LOSSES,
    xpnn.optimizers.OPTIMIZERS,
    xpnn.optimizers.FULL_BATCH,
    xpnn.schedules.SCHEDULES,
]
ABSENT = [] if importlib.util.find_spec("sklearn") else ["sklearn"]
"""Of the package, what cannot be imported without the library of its name."""
MODULES = [
    "xpnn",
    *(f"xpnn.{m.name}" for m in pkgutil.iter_modules(xpnn.__path__) if m.name not in {"__main__", *ABSENT}),
]


def without_row(base, rows):
    return {cls.__name__ for cls in children(base) - {type(row) for row in rows}}


@pytest.mark.parametrize("base", ROWS, ids=lambda base: base.__name__)
def test_every_class_has_a_row(base):
    missing = without_row(base, ROWS[base])
    assert not missing, f"add a row to a file of tests/cases/{FOLDERS[base]}: {', '.join(sorted(missing))}"
    assert len(children(base)) > 3


def test_a_class_without_a_row_is_found():
    """The reflection itself: with one kind of row taken away, that class is named."""
    rows = [row for row in ROWS[Layer] if type(row) is not xpnn.Tanh]
    assert without_row(Layer, rows) == {"Tanh"}


def test_every_named_object_has_a_row():
    """Those a user picks by name: `optimizer="adam"`, `schedule="cosine"`, `init=he_normal`."""
    for table in TABLES:
        for value in table.values():
            cls = value if isinstance(value, type) else type(value)
            assert any(cls in children(base) for base in ROWS), cls
    values = {k: v for k, v in vars(xpnn.initializers).items() if isinstance(v, Initializer)}
    assert set(values.values()) <= set(INITIALIZERS), values


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_trained_says_whether_the_plan_has_parameters_to_train(case):
    specs, _ = case.layer.plan(case.shape)
    assert case.layer.trained is any(spec.trainable for _, spec in leaves(specs))


def names_of(module):
    """Its __all__, or its own names without an underscore."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return getattr(module, "__all__", own)


@pytest.mark.parametrize("module", MODULES)
def test_public_names_exist_and_explain_themselves(module):
    module = importlib.import_module(module)
    assert module.__doc__
    for name in names_of(module):
        value = getattr(module, name)
        if isinstance(value, types.ModuleType | types.FunctionType | type):
            assert value.__doc__, name
        if isinstance(value, type):
            for method, f in vars(value).items():
                if isinstance(f, types.FunctionType | classmethod | property) and not method.startswith("_"):
                    assert inspect.getdoc(getattr(value, method)), f"{name}.{method}"


def test_a_dataclass_does_not_explain_itself_by_its_signature():
    """dataclass() writes one where there is none, and the check above would be content with it."""
    for base in ROWS:
        for cls in children(base):
            assert not cls.__doc__.startswith(f"{cls.__name__}("), cls


@pytest.mark.parametrize("module", [m for m in MODULES if hasattr(importlib.import_module(m), "__all__")])
def test_all_is_complete_and_importable(module):
    module = importlib.import_module(module)
    names = module.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(module, name) for name in names)


def test_layers_and_optimizers_are_at_the_top():
    """xpnn.Dense, not xpnn.layers.Dense; losses and schedules are named by their module."""
    for base in (Layer, Optimizer):
        assert {cls.__name__ for cls in children(base)} <= set(xpnn.__all__)


CHANGING = {
    "xpnn.cli.ranks.ReadOnlyRun", "xpnn.cli.runs.Run", "xpnn.cli.runs.Saved", "xpnn.cli.state.State",
    "xpnn.data.tables.summary.Moments", "xpnn.data.tables.summary.Summary", "xpnn.diagnostics.trace.Visit",
    "xpnn.interchange.leaves.Flow", "xpnn.interchange.leaves.Leaf", "xpnn.interchange.onnx_pending.Pending",
    "xpnn.interchange.program.Node", "xpnn.interchange.program.Program", "xpnn.interchange.report.Report",
    "xpnn.interchange.sklearn_base.NetworkEstimator", "xpnn.layers.budget.Budget", "xpnn.sklearn.Classifier",
    "xpnn.sklearn.Regressor", "xpnn.training.history.History", "xpnn.training.history.Tally", "xpnn.training.run.Run",
    "xpnn.web.live.Entry",
}  # fmt: skip
"""Dataclasses that collect something, and scikit-learn's estimators. All others describe and stay what they are."""


def dataclasses_of(package):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            with contextlib.suppress(ImportError, XpnnError):  # its library is not installed
                for cls in vars(importlib.import_module(found.name)).values():
                    if dataclasses.is_dataclass(cls) and getattr(cls, "__module__", "") == found.name:
                        yield cls


def test_what_describes_cannot_be_changed():
    found = {f"{cls.__module__}.{cls.__name__}": cls for cls in dataclasses_of(xpnn) if isinstance(cls, type)}
    changing = {name for name, cls in found.items() if not cls.__dataclass_params__.frozen}
    assert changing <= CHANGING
    assert len(found) > 200
