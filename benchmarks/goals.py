"""Goals: what a cell should reach, and whether a record of it does."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from benchmarks.libraries import FLOOR
from benchmarks.ratios import within_rounds

Record = dict[str, Any]
Values = Callable[[Record, str], list[float] | None]
"""Of a record and one of ours: a number a round, or None where something is missing."""


@dataclass(frozen=True)
class Goal:
    """`values` should have a median of at least `wanted` (at most, for seconds) in the cells that `cells` matches."""

    cells: str
    what: str
    values: Values
    wanted: float
    at_most: bool = False

    def outcome(self, record: Record, ours: str) -> tuple[list[float], bool] | None:
        """The values, and whether the goal is met; None where there is nothing to judge."""
        values = self.values(record, ours)
        if not values:
            return None
        middle = statistics.median(values)
        return values, middle <= self.wanted if self.at_most else middle >= self.wanted


def against(*rivals: str) -> Values:
    """The time of the fastest of them / ours."""

    def values(record: Record, ours: str) -> list[float] | None:
        seconds = record["seconds"]
        there = [name for name in rivals if name in seconds]
        if ours not in seconds or not there:
            return None
        best = min(there, key=lambda name: statistics.median(seconds[name]))
        return within_rounds(seconds[best], seconds[ours])

    return values


share_of_floor = against(FLOOR)
"""The time of the bare matrix products / ours."""


def goals_of(goals: tuple[Goal, ...], record: Record) -> list[Goal]:
    """Those that speak of this record's cell."""
    return [goal for goal in goals if fnmatch(record["cell"], goal.cells)]
