"""The learning-rate schedules that a user picks by name: `schedule="cosine"`."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.schedules.base import Schedule
from xpnn.schedules.cycles import CosineRestarts, Cyclic
from xpnn.schedules.decay import (
    ConstantRate,
    Cosine,
    Exponential,
    InverseTime,
    OneCycle,
    StepDecay,
    Warmup,
)
from xpnn.schedules.joined import MultiStep
from xpnn.schedules.power import Noam, Polynomial

__all__ = ["SCHEDULES", "get_schedule"]

SCHEDULES: dict[str, Schedule] = {
    "constant": ConstantRate(),
    "inverse-time": InverseTime(),
    "step": StepDecay(every=1000),
    "exponential": Exponential(),
    "cosine": Cosine(),
    "warmup": Warmup(0.1),
    "warmup-cosine": Warmup(0.1, Cosine()),
    "one-cycle": OneCycle(),
    "polynomial": Polynomial(),
    "multi-step": MultiStep((0.5, 0.75)),
    "cosine-restarts": CosineRestarts(),
    "cyclic": Cyclic(),
    "noam": Noam(),
}


def get_schedule(schedule: str | Schedule | None) -> Schedule:
    """A schedule by name, the schedule itself, or the constant one."""
    if isinstance(schedule, Schedule):
        return schedule
    if schedule is None:
        return ConstantRate()
    if not isinstance(schedule, str) or schedule not in SCHEDULES:
        raise UsageError(f"unknown schedule {schedule!r}", fix=did_you_mean(schedule, SCHEDULES))
    return SCHEDULES[schedule]
