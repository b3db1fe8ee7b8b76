"""Learning-rate schedules: `schedule(step, total) -> factor`, multiplied with the optimizer's lr.

`step` counts updates from 0, `total` is the number of updates of the whole run. All are pure functions of
Python numbers.
"""

import itertools
from typing import Any

from xpnn.config import Config
from xpnn.errors import UsageError

__all__ = ["Schedule"]


class Schedule(Config, abstract=True):
    """A frozen description, called with the step and the total number of steps."""

    @classmethod
    def coerce(cls, value: Any) -> "Schedule | None":
        """The schedule of that name. Raises UsageError for an unknown one."""
        from xpnn.schedules import get_schedule

        return get_schedule(value) if isinstance(value, str) else None

    def __call__(self, step: int, total: int) -> float:
        """The factor on the learning rate."""
        raise NotImplementedError


def steps_of(value: int | float, total: int) -> int:
    """A number of steps: `value` itself, or where it is a float that share of the run."""
    return round(value * total) if isinstance(value, float) else value


def check_steps(schedule: Schedule, **settings: int | float) -> None:
    """At least 1 step, or a share from above 0.0 to 1.0."""
    for name, value in settings.items():
        if not (0 < value <= 1 if isinstance(value, float) else value >= 1):
            raise UsageError(
                f"{type(schedule).__name__}({name}={value}): wanted a number of steps from 1, "
                "or a share of the run from above 0.0 to 1.0"
            )


def check_milestones(schedule: Schedule, milestones: tuple[int | float, ...]) -> None:
    """Rising numbers of steps, or rising shares."""
    check_steps(schedule, **{f"milestones[{i}]": value for i, value in enumerate(milestones)})
    rising = all(a < b for a, b in itertools.pairwise(milestones))
    if len({type(value) for value in milestones}) > 1 or not rising:
        raise UsageError(
            f"{type(schedule).__name__}(milestones={milestones}): wanted rising numbers, all steps or all shares"
        )
