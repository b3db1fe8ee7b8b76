"""Schedules that follow a power of the step."""

import math
from dataclasses import dataclass

from xpnn.schedules.base import Schedule, Steps, steps_of
from xpnn.settings import Positive


@dataclass(frozen=True)
class Polynomial(Schedule):
    """(1 - t / total)^power: a straight line to 0 by default."""

    power: Positive = 1.0

    def __call__(self, step: int, total: int) -> float:
        """Return the factor, which stays at 0 after the end."""
        return float((1 - step / total) ** self.power) if step < total else 0.0


@dataclass(frozen=True)
class Noam(Schedule):
    """min(t / w, sqrt(w / t)) with t = step + 1: a straight line up to 1, then down with the root of the step.

    warmup: w itself, or a float for that share of the run. The paper's rate for a model of width d is this with the
    optimizer's lr = 1 / sqrt(d w). Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, equation 3.
    """

    warmup: Steps = 0.1

    def __call__(self, step: int, total: int) -> float:
        """Return the factor, which keeps falling after the end."""
        t, w = step + 1, max(steps_of(self.warmup, total), 1)
        return min(t / w, math.sqrt(w / t))
