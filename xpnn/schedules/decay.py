"""Decaying schedules, warmup and one-cycle."""

import math
from dataclasses import dataclass

from xpnn.errors import UsageError
from xpnn.schedules.base import Schedule, steps_of
from xpnn.settings import AtLeastZero, Count, Positive, Share


@dataclass(frozen=True)
class ConstantRate(Schedule):
    """The factor 1: a constant learning rate."""

    def __call__(self, step: int, total: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class InverseTime(Schedule):
    """1 / (1 + k t)."""

    k: AtLeastZero = 1e-3

    def __call__(self, step: int, total: int) -> float:
        """Return the factor at step t."""
        return 1 / (1 + self.k * step)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """The factor gamma^floor(t / every) at step t."""

    every: Count
    gamma: Positive = 0.1

    def __call__(self, step: int, total: int) -> float:
        """Return the factor at step t."""
        return float(self.gamma ** (step // self.every))


@dataclass(frozen=True)
class Exponential(Schedule):
    """The factor gamma^t at step t."""

    gamma: Positive = 0.999

    def __call__(self, step: int, total: int) -> float:
        """Return the factor at step t."""
        return float(self.gamma**step)


@dataclass(frozen=True)
class Cosine(Schedule):
    """final + (1 - final) (1 + cos(pi t / total)) / 2. Source: Loshchilov and Hutter, ICLR 2017 (no restarts)."""

    final: Share = 0.0

    def __call__(self, step: int, total: int) -> float:
        """Return the factor, which stays at `final` after the end."""
        done = min(step / total, 1.0) if total > 0 else 1.0
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Warmup(Schedule):
    """(t + 1) / (w + 1) for the first w updates, then the schedule `then` over what is left.

    steps: w itself, or a float below 1 for that share of the run. Source: Goyal et al., "Accurate, large minibatch
    SGD", 2017.
    """

    steps: int | float
    then: Schedule = ConstantRate()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.steps >= 0 or (isinstance(self.steps, float) and self.steps >= 1):
            raise UsageError(
                f"Warmup(steps={self.steps}): wanted a number of steps, or a share from 0.0 to below 1.0"
            )

    def __call__(self, step: int, total: int) -> float:
        """Return the factor; with 0 warmup steps that of `then`."""
        w = steps_of(self.steps, total)
        return (step + 1) / (w + 1) if step < w else self.then(step - w, total - w)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From 1 / div up to 1 over the share `up` of the run, then down to 1 / (div final_div), both along half a cosine.

    The optimizer's lr is the peak. Source: Smith and Topin 2017, in PyTorch's two-phase form.
    """

    up: Share = 0.3
    div: Positive = 25.0
    final_div: Positive = 1e4

    def __call__(self, step: int, total: int) -> float:
        """The last of `total` steps has the smallest rate."""
        peak, end = self.up * total - 1, total - 1
        low, last = 1 / self.div, 1 / (self.div * self.final_div)
        if step <= peak:
            return _arc(low, 1.0, step / peak if peak > 0 else 1.0)
        return _arc(1.0, last, min((step - peak) / (end - peak), 1.0) if end > peak else 1.0)


def _arc(start: float, end: float, done: float) -> float:
    """Return a half cosine from start to end."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
