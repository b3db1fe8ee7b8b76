"""A step length along a descent direction: the strong Wolfe conditions, by bracketing and zoom, on plain numbers.

    f(x + a d) <= f(x) + c1 a f'(x)d        and        |f'(x + a d)d| <= c2 |f'(x)d|

Source: Nocedal and Wright, Numerical Optimization, 2nd ed. (2006), algorithms 3.5 and 3.6, formula (3.59).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STRETCH = 0.01, 10.0
"""A longer trial goes at least this share of the last stretch further, and at most this many times as far."""
MARGIN = 0.1
"""A trial inside a bracket keeps this share of its width from both ends, so that the bracket shrinks."""


@dataclass(frozen=True)
class Trial:
    """The function at x + step d, its slope along d there, and whatever its maker wants back with it."""

    step: float
    value: float
    slope: float
    place: Any = None


@dataclass(frozen=True)
class Wolfe:
    """The two conditions, 0 < c1 < c2 < 1; at most `limit` evaluations; no bracket is narrower than `least`."""

    c1: float
    c2: float
    limit: int
    least: float = 0.0

    def search(self, at: Callable[[float], Trial], start: Trial, step: float) -> Trial | None:
        """The first trial that satisfies both conditions, beginning with `step`; `start` has step 0, slope below 0.

        Where `limit` evaluations find none: the lowest that satisfies the first, so that the value always falls; None
        if there is none. A value or slope that is not finite counts as too high.
        """
        previous = start
        for done in range(1, self.limit + 1):
            now = at(step)
            if not self._falls(start, now) or (done > 1 and now.value >= previous.value):
                return self._zoom(at, start, previous, now, self.limit - done)
            if self._flat(start, now):
                return now
            if now.slope >= 0:
                return self._zoom(at, start, now, previous, self.limit - done)
            low, high = step + STRETCH[0] * (step - previous.step), STRETCH[1] * step
            guess = cubic_minimum(previous, now)
            previous, step = now, high if guess is None else min(max(guess, low), high)
        return previous

    def _zoom(
        self, at: Callable[[float], Trial], start: Trial, low: Trial, high: Trial, left: int
    ) -> Trial | None:
        """Between `low`, the lowest trial that falls enough, and `high` there is a step that satisfies both."""
        for _ in range(left):
            width = abs(high.step - low.step)
            if not width > self.least:
                break
            margin, inner = MARGIN * width, min(low.step, high.step)
            guess = cubic_minimum(low, high)
            step = inner + width / 2 if guess is None else guess
            now = at(min(max(step, inner + margin), inner + width - margin))
            if not self._falls(start, now) or now.value >= low.value:
                high = now
                continue
            if self._flat(start, now):
                return now
            if now.slope * (high.step - low.step) >= 0:
                high = low
            low = now
        return low if low.step > 0 else None

    def _falls(self, start: Trial, now: Trial) -> bool:
        """Return whether the first condition holds; False for NaN."""
        finite = math.isfinite(now.value) and math.isfinite(now.slope)
        return finite and now.value <= start.value + self.c1 * now.step * start.slope

    def _flat(self, start: Trial, now: Trial) -> bool:
        """Return whether the second condition holds."""
        return abs(now.slope) <= -self.c2 * start.slope


def cubic_minimum(a: Trial, b: Trial) -> float | None:
    """The minimum of the cubic with the values and slopes of both trials; None if it has none."""
    run = b.step - a.step
    d1 = a.slope + b.slope - 3 * (b.value - a.value) / run
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return None
    d2 = math.copysign(math.sqrt(square), run)
    below = b.slope - a.slope + 2 * d2
    if below == 0:
        return None
    return b.step - run * (b.slope + d2 - d1) / below
