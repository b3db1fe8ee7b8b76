"""Written by `python ci/names.py` from the classes themselves."""

from xpnn.schedules.base import Schedule as Schedule
from xpnn.schedules.by_name import SCHEDULES as SCHEDULES
from xpnn.schedules.by_name import get_schedule as get_schedule
from xpnn.schedules.cycles import CosineRestarts as CosineRestarts
from xpnn.schedules.cycles import Cyclic as Cyclic
from xpnn.schedules.decay import ConstantRate as ConstantRate
from xpnn.schedules.decay import Cosine as Cosine
from xpnn.schedules.decay import Exponential as Exponential
from xpnn.schedules.decay import InverseTime as InverseTime
from xpnn.schedules.decay import OneCycle as OneCycle
from xpnn.schedules.decay import StepDecay as StepDecay
from xpnn.schedules.decay import Warmup as Warmup
from xpnn.schedules.joined import Joined as Joined
from xpnn.schedules.joined import MultiStep as MultiStep
from xpnn.schedules.power import Noam as Noam
from xpnn.schedules.power import Polynomial as Polynomial

__all__: list[str]
