"""Learning-rate schedules: `schedule(step, total) -> factor`, multiplied with the optimizer's lr.

`step` counts updates from 0, `total` is the number of updates of the whole run. All are pure functions of
Python numbers.
"""

import itertools
from typing import Annotated, Any, TypeAlias

from xpnn.config import Config
from xpnn.errors import UsageError
from xpnn.settings import Limits

__all__ = ["Schedule"]

Steps: TypeAlias = Annotated[
    int | float,
    Limits(
        "a number of steps from 1, or a share of the run from above 0.0 to 1.0",
        lambda n: 0 < n <= 1 if isinstance(n, float) else n >= 1,
    ),
]
"""So many steps, or where it is a float that share of the run."""


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


def check_milestones(schedule: Schedule, milestones: tuple[Steps, ...]) -> None:
    """Rising numbers of steps, or rising shares."""
    rising = all(a < b for a, b in itertools.pairwise(milestones))
    if len({type(value) for value in milestones}) > 1 or not rising:
        raise UsageError(
            f"{type(schedule).__name__}(milestones={milestones}): wanted rising numbers, all steps or all shares"
        )
