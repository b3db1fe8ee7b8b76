"""Early stopping."""

import math

from xpnn.errors import UsageError
from xpnn.training.history import Row
from xpnn.training.plateau import MONITORS, monitored
from xpnn.training.run import Callback, Run


class EarlyStopping(Callback):
    """Stops after `patience` epochs in a row without improvement, and puts the best epoch's weights back.

    Improvement: a loss more than `min_delta` below the best so far, an accuracy more than that above it; NaN is none.
    monitor: "valid_loss", "train_loss" or "valid_accuracy"; None: the validation loss, or without validation the
    training loss. restore=False leaves the last weights, or what another callback puts in their place. A resumed run
    keeps counting. Raises UsageError if `monitor` is not measured in the run.
    Source: Prechelt, "Early stopping - but when?" (1998), the third criterion.
    """

    def __init__(
        self,
        patience: int = 10,
        *,
        min_delta: float = 0.0,
        monitor: str | None = None,
        restore: bool = True,
    ) -> None:
        if isinstance(patience, bool) or not isinstance(patience, int) or patience < 1:
            raise UsageError(f"EarlyStopping(patience={patience!r}): wanted a number of epochs, 1 or more")
        if not min_delta >= 0:
            raise UsageError(f"EarlyStopping(min_delta={min_delta!r}): wanted 0 or more")
        if monitor is not None and monitor not in MONITORS:
            raise UsageError(
                f"EarlyStopping(monitor={monitor!r}): wanted one of {', '.join(MONITORS)}, or None"
            )
        self.patience, self.min_delta, self.monitor, self.restore = patience, min_delta, monitor, restore
        self.state = {"best": None, "bad": 0}

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Forget an earlier run. A resumed run that had stopped here stops again at once."""
        if not len(run.history):
            self.state, self.vectors = {"best": None, "bad": 0}, None
        self._stop(run)

    def epoch(self, run: Run, row: Row) -> None:
        value, rising = monitored(self, self.monitor, row)
        worst = -math.inf if rising else math.inf
        best = worst if self.state["best"] is None else self.state["best"]
        if (value - best if rising else best - value) > self.min_delta:
            self.state = {"best": value, "bad": 0}
            self.vectors = run.model.snapshot() if self.restore else None
            return
        self.state = {"best": self.state["best"], "bad": self.state["bad"] + 1}
        self._stop(run)

    def _stop(self, run: Run) -> None:
        if self.state["bad"] >= self.patience:
            run.stopped = f"early stopping: {self.state['bad']} epochs without improvement"

    def end(self, run: Run) -> None:
        if self.vectors is not None:
            run.model.restore(self.vectors)
