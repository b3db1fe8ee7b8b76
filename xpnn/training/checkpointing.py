"""A callback that writes the state from which an interrupted run can be resumed."""

import contextlib
import re
import time
from pathlib import Path

from xpnn.errors import UsageError
from xpnn.system import user_path
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run

RAREST = 1.0
"""Seconds between two states that are written by the share of their time."""


class Checkpoint(Callback):
    """Writes the state of the run to `path` every so many epochs, steps or minutes, and when the run finishes.

    `fit(..., resume=path)` goes on from it. Any of the three may be given together; without any of them it is every
    epoch. share: after an epoch, as often as writing takes at most that share of the time (and of each second at most
    once), so that short epochs are not held up; the first epoch is always saved.
    keep: None overwrites one file; k leaves the newest k, named by the step: last-00000120.safetensors.
    Place it last: the callbacks before it have seen the epoch that is saved.
    Raises UsageError for a number below 1 (of minutes: not above 0; of share: not between 0 and 1).
    """

    everywhere = False

    def __init__(
        self,
        path: str | Path,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        minutes: float | None = None,
        share: float | None = None,
        keep: int | None = None,
    ) -> None:
        for name, value in (("epochs", epochs), ("steps", steps), ("keep", keep)):
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"Checkpoint({name}={value!r}): wanted a whole number of at least 1")
        if minutes is not None and not minutes > 0:
            raise UsageError(f"Checkpoint(minutes={minutes!r}): wanted a number above 0")
        if share is not None and not 0 < share <= 1:
            raise UsageError(f"Checkpoint(share={share!r}): wanted a number above 0, at most 1")
        if epochs is None and steps is None and minutes is None and share is None:
            epochs = 1
        self.path, self.epochs, self.steps, self.minutes = user_path(path), epochs, steps, minutes
        self.share, self.keep, self.state = share, keep, {"files": []}

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        self.saved, self.at, self.due = time.monotonic(), (-1, -1), False
        self.next = self.saved

    def step(self, run: Run) -> None:
        """Saves where the steps or minutes are over."""
        if self.steps is not None and run.steps % self.steps == 0:
            self.due = True
        if self.minutes is not None and time.monotonic() - self.saved >= 60 * self.minutes:
            self.due = True
        if self.due and run.whole:
            self._save(run)

    def epoch(self, run: Run, row: Row) -> None:
        """Save every so many epochs, or when saving is cheap next to the time that has passed."""
        due = self.epochs is not None and row.epoch % self.epochs == 0
        if due or (self.share is not None and time.monotonic() >= self.next):
            self._save(run)

    def finish(self, run: Run) -> None:
        """Save the last weights, before the best are put in their place."""
        if self.at != (run.steps, len(run.history)):
            self._save(run)

    def _save(self, run: Run) -> None:
        began, path = time.monotonic(), self.path
        if self.keep is not None:
            path = path.with_name(f"{path.stem}-{run.steps:08d}{path.suffix}")
            own = re.compile(rf"{re.escape(self.path.stem)}-\d{{8,}}{re.escape(self.path.suffix)}")
            older = [name for name in self.state["files"] if name != path.name and own.fullmatch(str(name))]
            names = [*older, path.name]
            self.state = {"files": names[-self.keep :]}
            run.save_state(path)
            for name in names[: -self.keep]:
                with contextlib.suppress(OSError):  # already removed
                    path.with_name(name).unlink()
        else:
            run.save_state(path)
        self.saved, self.at, self.due = time.monotonic(), (run.steps, len(run.history)), False
        if self.share is not None:
            self.next = self.saved + max((self.saved - began) / self.share, RAREST)
