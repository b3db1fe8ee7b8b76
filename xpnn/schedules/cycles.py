"""Periodic schedules."""

import math
from dataclasses import dataclass

from xpnn.errors import UsageError, did_you_mean
from xpnn.schedules.base import Schedule, check_steps, steps_of

MODES = ("triangular", "triangular2", "exp_range")


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """final + (1 - final) (1 + cos(pi t / T)) / 2, with t from 0 again after every T steps and T then `factor` times T.

    first: the first T itself, or a float for that share of the run. Source: Loshchilov and Hutter, ICLR 2017.
    """

    first: int | float = 0.25
    factor: int = 1
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, first=self.first)
        if self.factor < 1:
            raise UsageError(f"CosineRestarts(factor={self.factor}): wanted at least 1")
        if not 0 <= self.final <= 1:
            raise UsageError(f"CosineRestarts(final={self.final}): wanted a share of the rate, from 0 to 1")

    def __call__(self, step: int, total: int) -> float:
        """Return the factor; restarts continue after the end."""
        length = max(steps_of(self.first, total), 1)
        if self.factor == 1:
            step %= length
        while step >= length:
            step, length = step - length, length * self.factor
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * step / length)) / 2


@dataclass(frozen=True)
class Cyclic(Schedule):
    """low + (1 - low) h s: h rises from 0 to 1 in `up` steps and falls back in `down` (None: as many), again and again.

    s, by mode: "triangular" 1; "triangular2" 2^-c in cycle c = 0, 1, ...; "exp_range" gamma^t. The optimizer's lr is
    the peak. up, down: steps, or floats for shares of the run.
    Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017.
    """

    up: int | float = 0.1
    down: int | float | None = None
    low: float = 0.1
    mode: str = "triangular"
    gamma: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_steps(self, up=self.up, down=self.up if self.down is None else self.down)
        if not 0 <= self.low <= 1:
            raise UsageError(f"Cyclic(low={self.low}): wanted a share of the rate, from 0 to 1")
        if self.mode not in MODES:
            raise UsageError(f"Cyclic(mode={self.mode!r})", fix=did_you_mean(self.mode, MODES))
        if not 0 < self.gamma <= 1:
            raise UsageError(f"Cyclic(gamma={self.gamma}): wanted a factor above 0, up to 1")

    def __call__(self, step: int, total: int) -> float:
        """Return the factor; cycles continue after the end."""
        up = max(steps_of(self.up, total), 1)
        down = up if self.down is None else max(steps_of(self.down, total), 1)
        cycle, t = divmod(step, up + down)
        height = t / up if t <= up else (up + down - t) / down
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**step}[self.mode]
        return float(self.low + (1 - self.low) * height * scale)
