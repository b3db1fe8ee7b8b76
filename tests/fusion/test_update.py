"""Which optimizers have their update computed in one loop."""

from dataclasses import dataclass

import pytest

import xpnn
from xpnn.fusion import fuse_optimizer
from xpnn.fusion.update import FusedUpdate
from xpnn.parameters import ParamInfo

PARAMS = (ParamInfo("0.W", 0, 4, (2, 2)), ParamInfo("0.b", 4, 6, (2,), False, 0.0))


@dataclass(frozen=True)
class Signs(xpnn.SGD):
    """Another rule in a subclass."""

    def rule(self, be, s, g, theta, *slots):
        return (theta - s["lr"] * be.xp.sign(g), *slots)


@dataclass(frozen=True)
class Halved(xpnn.Adam):
    """Another rate in a subclass."""

    def scalars(self, be, t, lr, state):
        return super().scalars(be, t, 0.5 * lr, state)


@pytest.mark.parametrize(
    ("optimizer", "loop"),
    [
        (xpnn.SGD(0.1), ("descent", ())),
        (xpnn.SGD(0.1, momentum=0.5), ("momentum", (0.5, 0.0))),
        (xpnn.SGD(0.1, momentum=0.5, nesterov=True), ("momentum", (0.5, 1.0))),
        (xpnn.AdamW(0.1, beta1=0.5, beta2=0.75, eps=1.0), ("adam", (0.5, 0.5, 0.75, 0.25, 1.0))),
        (xpnn.optimizers.RMSProp(), None),
        (Signs(0.1), None),
        (Halved(0.1), None),
        (xpnn.optimizers.Groups(xpnn.Adam(), [xpnn.optimizers.Group("*.b", lr=0.1)]), None),
    ],
)
def test_rules_of_the_table_that_treat_all_weights_alike(optimizer, loop):
    fused = fuse_optimizer(optimizer.bind(PARAMS))
    assert (fused.loop if isinstance(fused, FusedUpdate) else None) == loop


def test_inside_other_optimizers():
    bound = xpnn.optimizers.Lookahead(xpnn.optimizers.Accumulate(xpnn.Adam(), 2)).bind(PARAMS)
    fused = fuse_optimizer(bound)
    assert isinstance(fused.optimizer.optimizer, FusedUpdate)
    assert fused.params == bound.params
    assert bound.optimizer.optimizer == xpnn.Adam()
