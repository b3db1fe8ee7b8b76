"""A lower learning rate once training has stalled."""

import math

from xpnn.errors import UsageError
from xpnn.optimizers import LBFGS
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run

MONITORS = ("valid_loss", "train_loss", "valid_accuracy")


class ReduceOnPlateau(Callback):
    """rate <- max(factor rate, min_lr) after more than `patience` epochs in a row without improvement.

    A loss improves when it is below best - threshold |best|, or below best - threshold if not `relative`; an
    accuracy when it is above best + threshold |best|, or above best + threshold. NaN is no improvement. After a
    reduction the next `cooldown` epochs do not count. The rate is `Trainer.rate`: it lasts beyond the run, and a
    schedule goes on multiplying it, so the schedules themselves stay pure functions of the step. monitor:
    "valid_loss", "train_loss" or "valid_accuracy"; None: the validation loss, or without validation the training
    loss.

    `state` is plain numbers: best (None before the first epoch), the epochs without improvement, those of the cooldown
    still to come. A run that goes on keeps it. Raises UsageError with LBFGS, and for a number that is not measured.
    As PyTorch's ReduceLROnPlateau with eps=0, which takes best (1 - threshold): below 0 a worse loss would be better.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        *,
        threshold: float = 1e-4,
        relative: bool = True,
        cooldown: int = 0,
        min_lr: float = 0.0,
        monitor: str | None = None,
    ) -> None:
        ranges = {
            "factor": (factor, 0 < factor < 1, "a number between 0 and 1"),
            "patience": (patience, patience >= 0, "a number of epochs, 0 or more"),
            "threshold": (
                threshold,
                0 <= threshold < (1 if relative else math.inf),
                "0 or more, a share below 1",
            ),
            "cooldown": (cooldown, cooldown >= 0, "a number of epochs, 0 or more"),
            "min_lr": (min_lr, 0 <= min_lr < math.inf, "a rate of 0 or more"),
            "monitor": (
                monitor,
                monitor is None or monitor in MONITORS,
                f"one of {', '.join(MONITORS)}, or None",
            ),
        }
        for name, (value, fits, wanted) in ranges.items():
            if not fits:
                raise UsageError(f"ReduceOnPlateau({name}={value!r}): wanted {wanted}")
        self.factor, self.patience, self.cooldown, self.min_lr = factor, patience, cooldown, min_lr
        self.threshold, self.relative, self.monitor = threshold, relative, monitor
        self.forget()

    def forget(self) -> None:
        """Set the state to that before the first epoch."""
        self.state: dict[str, float | int | None] = {"best": None, "bad": 0, "cooling": 0}

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        if isinstance(run.optimizer, LBFGS):
            raise UsageError("ReduceOnPlateau with LBFGS", why="its line search finds the step lengths")
        if not len(run.history):
            self.forget()

    def epoch(self, run: Run, row: Row) -> None:
        """Set the rate of the next epoch."""
        value, rising = monitored(self, self.monitor, row)
        run.rate = self.observe(value, run.rate, rising=rising)

    def observe(self, value: float, rate: float, *, rising: bool = False) -> float:
        """Return the rate after an epoch that ended with `value`; rising: higher is better."""
        bad, cooling = int(self.state["bad"] or 0) + 1, int(self.state["cooling"] or 0)
        best = self.state["best"]
        if self._better(value, best, rising):
            best, bad = value, 0
        if cooling:
            cooling, bad = cooling - 1, 0
        if bad > self.patience:
            rate, cooling, bad = min(rate, max(rate * self.factor, self.min_lr)), self.cooldown, 0
        self.state = {"best": best, "bad": bad, "cooling": cooling}
        return rate

    def _better(self, value: float, best: float | None, rising: bool) -> bool:
        best = (-math.inf if rising else math.inf) if best is None else best
        margin = self.threshold if rising else -self.threshold
        limit = best * (1 + math.copysign(1.0, best) * margin) if self.relative else best + margin
        return value > limit if rising else value < limit


def monitored(callback: Callback, monitor: str | None, row: Row) -> tuple[float, bool]:
    """Return the monitored number of an epoch, and whether higher is better. None: the validation loss if there is one.

    Raises UsageError for a number that is not measured.
    """
    monitor = monitor or ("train_loss" if row.valid_loss is None else "valid_loss")
    value = getattr(row, monitor)
    if value is None:
        raise UsageError(
            f"{type(callback).__name__}(monitor={monitor!r}): this run does not measure it",
            fix="fit(..., validation=0.1), and for an accuracy a classifier",
        )
    return float(value), monitor == "valid_accuracy"
