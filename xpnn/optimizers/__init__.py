"""The optimizers, by class and by name."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.optimizers.accumulate import Accumulate
from xpnn.optimizers.adadelta import Adadelta
from xpnn.optimizers.adafactor import Adafactor
from xpnn.optimizers.adagrad import AdaGrad
from xpnn.optimizers.adam import Adam, AdamW
from xpnn.optimizers.adamax import Adamax
from xpnn.optimizers.amsgrad import AMSGrad
from xpnn.optimizers.average import EMA, SWA
from xpnn.optimizers.base import Optimizer
from xpnn.optimizers.constrained import Constrained
from xpnn.optimizers.constraints import Constraint, MaxNorm, NonNegative, UnitNorm
from xpnn.optimizers.groups import Group, Groups
from xpnn.optimizers.lamb import LAMB
from xpnn.optimizers.lars import LARS
from xpnn.optimizers.lbfgs import LBFGS
from xpnn.optimizers.lion import Lion
from xpnn.optimizers.lookahead import Lookahead
from xpnn.optimizers.muon import Muon
from xpnn.optimizers.nadam import NAdam
from xpnn.optimizers.radam import RAdam
from xpnn.optimizers.rmsprop import RMSProp
from xpnn.optimizers.sgd import SGD

__all__ = [
    "EMA",
    "FULL_BATCH",
    "LAMB",
    "LARS",
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "SWA",
    "AMSGrad",
    "Accumulate",
    "AdaGrad",
    "Adadelta",
    "Adafactor",
    "Adam",
    "AdamW",
    "Adamax",
    "Constrained",
    "Constraint",
    "Group",
    "Groups",
    "Lion",
    "Lookahead",
    "MaxNorm",
    "Muon",
    "NAdam",
    "NonNegative",
    "Optimizer",
    "RAdam",
    "RMSProp",
    "UnitNorm",
    "get_optimizer",
]

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adagrad": AdaGrad,
    "rmsprop": RMSProp,
    "adam": Adam,
    "adamw": AdamW,
    "amsgrad": AMSGrad,
    "nadam": NAdam,
    "radam": RAdam,
    "adamax": Adamax,
    "adadelta": Adadelta,
    "lion": Lion,
    "lars": LARS,
    "lamb": LAMB,
    "muon": Muon,
    "adafactor": Adafactor,
}
FULL_BATCH: dict[str, type[Optimizer]] = {"lbfgs": LBFGS}
"""Those that take the whole data at once."""


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer by name with its default settings, or the optimizer itself."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    known = OPTIMIZERS | FULL_BATCH
    if not isinstance(optimizer, str) or optimizer not in known:
        raise UsageError(f"unknown optimizer {optimizer!r}", fix=did_you_mean(optimizer, known))
    return known[optimizer]()
