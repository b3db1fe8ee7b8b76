"""The optimizers, by class and by name."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.optimizers.accumulate import Accumulate
from xpnn.optimizers.adadelta import Adadelta
from xpnn.optimizers.adagrad import AdaGrad
from xpnn.optimizers.adam import Adam, AdamW
from xpnn.optimizers.adamax import Adamax
from xpnn.optimizers.amsgrad import AMSGrad
from xpnn.optimizers.average import EMA, SWA
from xpnn.optimizers.base import Optimizer
from xpnn.optimizers.lbfgs import LBFGS
from xpnn.optimizers.lion import Lion
from xpnn.optimizers.lookahead import Lookahead
from xpnn.optimizers.nadam import NAdam
from xpnn.optimizers.radam import RAdam
from xpnn.optimizers.rmsprop import RMSProp
from xpnn.optimizers.sgd import SGD

__all__ = [
    "EMA",
    "FULL_BATCH",
    "LBFGS",
    "OPTIMIZERS",
    "SGD",
    "SWA",
    "AMSGrad",
    "Accumulate",
    "AdaGrad",
    "Adadelta",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Lookahead",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSProp",
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
