"""Periodic schedules."""

import math
from dataclasses import dataclass
from typing import Annotated

from xpnn.schedules.base import Schedule, Steps, steps_of
from xpnn.settings import Count, Factor, Share, one_of


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """final + (1 - final) (1 + cos(pi t / T)) / 2, with t from 0 again after every T steps and T then `factor` times T.

    first: the first T itself, or a float for that share of the run. Source: Loshchilov and Hutter, ICLR 2017.
    """

    first: Steps = 0.25
    factor: Count = 1
    final: Share = 0.0

    def __call__(self, step: int, total: int) -> float:
        """Return the factor; restarts continue after the end."""
        length = max(steps_of(self.first, total), 1)
        if self.factor == 1:
            step %= length
        else:
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

    up: Steps = 0.1
    down: Steps | None = None
    low: Share = 0.1
    mode: Annotated[str, one_of("triangular", "triangular2", "exp_range")] = "triangular"
    gamma: Factor = 1.0

    def __call__(self, step: int, total: int) -> float:
        """Return the factor; cycles continue after the end."""
        up = max(steps_of(self.up, total), 1)
        down = up if self.down is None else max(steps_of(self.down, total), 1)
        cycle, t = divmod(step, up + down)
        height = t / up if t <= up else (up + down - t) / down
        scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": self.gamma**step}[self.mode]
        return float(self.low + (1 - self.low) * height * scale)
