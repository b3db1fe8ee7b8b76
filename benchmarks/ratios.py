"""The arithmetic of a comparison: ratios within rounds, their medians and quartiles."""

import statistics
from collections.abc import Sequence


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Low quartile, median, high quartile, none beyond the extremes; of a single value it three times."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def within_rounds(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """theirs / ours, round by round: a machine that changes its speed changes both."""
    return [b / a for a, b in zip(ours, theirs, strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median, and the quartiles around it: `1.40 (1.32-1.51)`."""
    low, middle, high = (f"{value:.{digits}f}" for value in quartiles(values))
    return f"{middle} ({low}-{high})"
