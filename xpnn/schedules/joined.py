"""Schedules with milestones."""

import itertools
from dataclasses import dataclass

from xpnn.errors import UsageError
from xpnn.schedules.base import Schedule, Steps, check_milestones, steps_of
from xpnn.settings import Factor


@dataclass(frozen=True)
class MultiStep(Schedule):
    """gamma^(how many milestones t has reached). milestones: steps, or floats for shares of the run."""

    milestones: tuple[Steps, ...]
    gamma: Factor = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_milestones(self, self.milestones)

    def __call__(self, step: int, total: int) -> float:
        """Return the factor at step t."""
        return float(self.gamma ** len([m for m in self.milestones if steps_of(m, total) <= step]))


@dataclass(frozen=True)
class Joined(Schedule):
    """One schedule after another: the next one begins, at its own step 0, where the next milestone is reached.

    milestones: one fewer than schedules; steps, or floats for shares of the run. The total that each schedule gets is
    the number of steps that are its own.
    """

    schedules: tuple[Schedule, ...]
    milestones: tuple[Steps, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_milestones(self, self.milestones)
        if len(self.schedules) != len(self.milestones) + 1:
            raise UsageError(
                f"Joined: {len(self.schedules)} schedules and {len(self.milestones)} milestones",
                why="a milestone stands between two schedules",
                fix="give one milestone fewer than schedules",
            )

    def __call__(self, step: int, total: int) -> float:
        """Return the factor; the last schedule runs to the end."""
        marks = [0, *(steps_of(m, total) for m in self.milestones), max(total, step + 1)]
        spans = zip(itertools.pairwise(marks), self.schedules, strict=True)
        (start, stop), schedule = [span for span in spans if span[0][0] <= step][-1]
        return schedule(step - start, stop - start)
