"""Written by `python ci/names.py` from the classes themselves."""

from xpnn.optimizers.accumulate import Accumulate as Accumulate
from xpnn.optimizers.adadelta import Adadelta as Adadelta
from xpnn.optimizers.adafactor import Adafactor as Adafactor
from xpnn.optimizers.adagrad import AdaGrad as AdaGrad
from xpnn.optimizers.adam import Adam as Adam
from xpnn.optimizers.adam import AdamW as AdamW
from xpnn.optimizers.adamax import Adamax as Adamax
from xpnn.optimizers.amsgrad import AMSGrad as AMSGrad
from xpnn.optimizers.average import EMA as EMA
from xpnn.optimizers.average import SWA as SWA
from xpnn.optimizers.base import Optimizer as Optimizer
from xpnn.optimizers.by_name import FULL_BATCH as FULL_BATCH
from xpnn.optimizers.by_name import OPTIMIZERS as OPTIMIZERS
from xpnn.optimizers.by_name import get_optimizer as get_optimizer
from xpnn.optimizers.constrained import Constrained as Constrained
from xpnn.optimizers.constraints import Constraint as Constraint
from xpnn.optimizers.constraints import MaxNorm as MaxNorm
from xpnn.optimizers.constraints import NonNegative as NonNegative
from xpnn.optimizers.constraints import UnitNorm as UnitNorm
from xpnn.optimizers.groups import Group as Group
from xpnn.optimizers.groups import Groups as Groups
from xpnn.optimizers.lamb import LAMB as LAMB
from xpnn.optimizers.lars import LARS as LARS
from xpnn.optimizers.lbfgs import LBFGS as LBFGS
from xpnn.optimizers.lion import Lion as Lion
from xpnn.optimizers.lookahead import Lookahead as Lookahead
from xpnn.optimizers.muon import Muon as Muon
from xpnn.optimizers.nadam import NAdam as NAdam
from xpnn.optimizers.radam import RAdam as RAdam
from xpnn.optimizers.rmsprop import RMSProp as RMSProp
from xpnn.optimizers.sgd import SGD as SGD

__all__: list[str]
