"""The learning-rate finder: train a copy at rates that rise from step to step, and record the loss.

    rate_k = low (high / low)^(k / (steps - 1)),        k = 0 ... steps - 1

Source: Smith, "Cyclical learning rates for training neural networks", WACV 2017 (section 3.3), with rates that rise
by a factor instead of a sum, as is usual since.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.data.batches import Slices, epoch_order
from xpnn.diagnostics.table import number
from xpnn.errors import DivergedError, UsageError
from xpnn.html import html_table
from xpnn.losses import Loss
from xpnn.network import Network
from xpnn.optimizers import Optimizer
from xpnn.parameters import count, gather
from xpnn.training.trainer import Trainer, check_count

WIDTH = 0.02
"""Standard deviation of the smoothing kernel, in parts of the sweep. It looks both ways, so the curve does not lag."""
RECENT = 5
"""Losses whose mean decides whether the sweep has diverged."""
RISE = 4.0
"""It has when that mean is this many times the lowest before."""

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RateSweep:
    """losses[k]: the mean loss after a step at rates[k], on the next batch; smoothed: the same without the noise.

    suggestion: the rate at which the smoothed loss falls most steeply against log rate, on its way to its lowest point:
    there training gains most, while the lowest point itself is where instability already eats up the gain. None if the
    loss never falls. diverged: whether the sweep was ended by a loss that rose or was no longer finite (then it is not
    listed): higher rates are of no use.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None
    diverged: bool

    def __str__(self) -> str:
        best = "no rate at which the loss falls" if self.suggestion is None else f"{self.suggestion:.3g}"
        end = ", ended by a loss that rose" if self.diverged else ""
        span = f"{self.rates[0]:.3g} to {self.rates[-1]:.3g}" if self.rates else "none"
        return f"suggestion: {best}; {len(self.rates)} rates, {span}{end}"

    def _repr_html_(self) -> str:
        """A tenth of the rates, with their losses, and the suggestion."""
        every = max(1, len(self.rates) // 10)
        points = zip(self.rates, self.losses, self.smoothed, strict=True)
        rows = [[number(value) for value in point] for point in list(points)[::every]]
        return html_table(("learning rate", "loss", "smoothed"), rows, note=str(self))


def find_lr(
    model: Network,
    x: Any,
    y: Any,
    *,
    loss: str | Loss | Callable[..., Any] = "softmax_cross_entropy",
    optimizer: str | Optimizer = "adam",
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
) -> RateSweep:
    """Sweep the rate over seeded batches of (x, y) on a copy of `model`, which stays unchanged, bit for bit.

    The sweep ends at `high`, or when a loss is not finite, or when the mean of the last 5 is more than 4 times the
    lowest such mean. Of the optimizer all settings but lr count.
    Raises UsageError for rates and steps that make no sweep, and with LBFGS, which needs no rate; DivergedError where
    the loss is not finite before the first step.
    """
    steps, batch_size = check_count("steps", steps), check_count("batch_size", batch_size)
    if not (0 < low < high < float("inf") and steps > 1):
        raise UsageError(
            f"find_lr(low={low}, high={high}, steps={steps})", why="wanted 0 < low < high and 2 steps or more"
        )
    be = model.backend
    copy = model.copy()
    trainer = Trainer(copy, loss, optimizer)
    x, y = copy.check_xy(x, y, trainer.loss)
    rates, batches = np.geomspace(low, high, steps), _batches(copy, x, copy.targets(y), batch_size)

    def step(rate: float) -> float:
        """Make a step; return the loss before it."""
        trainer.rate = float(rate)
        value = trainer.step(*next(batches))
        with be.device_context():
            return float(be.to_numpy(value))

    start = step(low)
    if not math.isfinite(start):
        raise DivergedError(f"loss is {start} before the first step", fix="check the samples and the weights")
    losses, means, diverged = list[float](), list[float](), False
    while len(losses) < steps and not diverged:
        value = step(rates[min(len(losses) + 1, steps - 1)])
        diverged = not math.isfinite(value)
        if not diverged:
            losses.append(value)
            means.append(float(np.mean(losses[-RECENT:])))
            diverged = means[-1] - min(means) > (RISE - 1) * abs(min(means))
    smoothed = smooth(np.asarray(losses), WIDTH * steps)
    best = steepest(smoothed)
    return RateSweep(
        tuple(rates[: len(losses)].tolist()), tuple(losses), tuple(smoothed.tolist()),
        None if best is None else float(rates[best]), diverged,
    )  # fmt: skip


def _batches(model: Network, x: Any, y: Any, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """Yield seeded, shuffled batches, epoch after epoch."""
    be = model.backend
    for epoch in itertools.count(1):
        order = epoch_order(model.seed, epoch, count(x))
        for batch in Slices(len(order), batch_size):
            with be.device_context():
                rows = be.asarray(order[batch])
                yield gather(be, x, rows), gather(be, y, rows)


def smooth(values: Host, width: float) -> Host:
    """Return means of the neighbours on both sides, weighted by a Gaussian of that standard deviation."""
    at = np.arange(len(values))
    weight = np.exp(-0.5 * ((at[:, None] - at) / width) ** 2)
    means: Host = weight @ values / weight.sum(axis=1)
    return means


def steepest(smoothed: Host) -> int | None:
    """Return where the curve falls most steeply before its lowest point."""
    if len(smoothed) < 2:
        return None
    slopes = np.gradient(smoothed)[: int(np.argmin(smoothed)) + 1]
    place = int(np.argmin(slopes))
    return place if slopes[place] < 0 else None
