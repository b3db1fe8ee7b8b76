"""What a base class leaves to its subclasses raises NotImplementedError, where a subclass forgets it."""

import inspect

import pytest

from xpnn.data.preparation import Preparation
from xpnn.data.tables.columns import Column
from xpnn.fusion.rule import Rule
from xpnn.initializers import Initializer
from xpnn.layers import Layer
from xpnn.layers.recurrent import Recurrent
from xpnn.layers.warp import Geometric
from xpnn.losses import Loss
from xpnn.losses.pairs import PairLoss
from xpnn.metrics import Metric
from xpnn.optimizers import Constraint, Optimizer
from xpnn.optimizers.average import Averaged
from xpnn.optimizers.base import Elementwise
from xpnn.optimizers.layerwise import Layerwise
from xpnn.optimizers.wrapper import Wrapper
from xpnn.schedules import Schedule
from xpnn.training.mixing import Mixing

OPEN = {
    Layer: "forward backward", Recurrent: "step step_grad", Geometric: "moves", Loss: "terms check",
    Metric: "count result", Optimizer: "init update", Elementwise: "rule", Layerwise: "shapes rule",
    Constraint: "project", Wrapper: "begin", Averaged: "share", Schedule: "__call__", Initializer: "__call__",
    PairLoss: "weighted", Column: "features encode", Mixing: "mix", Preparation: "check_model",
    Rule: "match forward backward",
}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls, names in OPEN.items() for name in names.split()]
)
def test_what_is_left_open_says_so(cls, name):
    method = getattr(cls, name)
    wanted = [p for p in inspect.signature(method).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    with pytest.raises(NotImplementedError):
        method(*[None] * len([p for p in wanted if p.default is p.empty]))


def test_the_rate_of_an_optimizer_and_the_classes_of_a_preparation():
    with pytest.raises(NotImplementedError):
        Optimizer.lr.fget(None)
    with pytest.raises(NotImplementedError):
        Preparation.class_names.fget(None)
