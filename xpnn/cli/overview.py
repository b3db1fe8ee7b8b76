"""What is known of a run without loading its model: settings, epochs, scores, and whether it still trains."""

import math
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpnn.cli.lock import holder_of
from xpnn.cli.log import METRICS, read_history
from xpnn.cli.runs import STATE, WEIGHTS
from xpnn.cli.schema import ABOUT, read_about
from xpnn.errors import CheckpointError, FileError, XpnnError
from xpnn.system import alive
from xpnn.training.history import History

MOST = 1000
"""Folders that are read of one folder of runs, the newest first."""
SETTINGS = (
    "dataset", "data", "label", "task", "class_weight", "resize", "model", "seed", "backend", "device", "dtype",
    "precision", "threads", "freeze", "from",
)  # fmt: skip
"""Entries of run.json that a training is started with, beside its recipe."""


@dataclass(frozen=True)
class Overview:
    """A run at a glance. `about`: run.json; {} without one. error: why the files could not be read, else None.

    state: "training", "done", "stopped" (before its last epoch, by itself), "interrupted" or "damaged".
    """

    folder: Path
    state: str
    about: dict[str, Any]
    history: History
    error: XpnnError | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.folder.name or str(self.folder.resolve().name)

    @property
    def settings(self) -> dict[str, Any]:
        """What the training was started with, in one table."""
        own = {key: self.about[key] for key in SETTINGS if key in self.about}
        return own | dict(self.about.get("settings") or {})

    @property
    def scores(self) -> dict[str, Any]:
        """Epochs and scores as plain data; None for what is not known."""
        best, rows = self.history.best, self.history.rows
        result, wanted = self.about.get("result") or {}, self.about.get("settings") or {}
        return {
            "epochs": rows[-1].epoch if rows else 0,
            "of": wanted.get("epochs"),
            "best_epoch": best.epoch if best else None,
            "train_loss": finite(best.train_loss) if best else None,
            "valid_loss": finite(best.valid_loss) if best else None,
            "valid_accuracy": finite(best.valid_accuracy) if best else None,
            "test_accuracy": finite(result.get("test_accuracy")),
            "test_loss": finite(result.get("test_loss")),
            "parameters": finite(self.about.get("parameters")),
            "seconds": sum(finite(row.seconds) or 0 for row in rows),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all but the rows of the history as plain data."""
        started = self.about.get("started")
        error = None if self.error is None else str(self.error)
        place = {"run": str(self.folder), "state": self.state, "started": started, "error": error}
        return place | self.scores | {"settings": self.settings}


def finite(value: Any) -> float | int | None:
    """Return a finite number as it is, and None for anything else: the entries of a file may be of any type."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if number else None


def is_run(folder: Path) -> bool:
    """Whether a training has written to that folder."""
    return any((folder / name).exists() for name in (ABOUT, METRICS, WEIGHTS, STATE))


def overview(folder: Path) -> Overview:
    """Read a run's files, and no arrays. A file that cannot be read makes it "damaged", and `error` says why."""
    try:
        about, history = read_about(folder), read_history(folder, quiet=True)
    except (CheckpointError, FileError) as error:
        return Overview(folder, "damaged", {}, History(), error)
    return Overview(folder, state_of(folder, about), about, history)


def state_of(folder: Path, about: dict[str, Any]) -> str:
    """Whether a process writes to the run; else how its last training ended."""
    holder = holder_of(folder)
    process = holder.get("pid")
    if holder.get("host") == socket.gethostname():
        if type(process) is int and alive(process):
            return "training"
    elif holder:  # another computer's process cannot be looked at from here
        return "training"
    result = about.get("result")
    if not result:
        return "interrupted" if about else "done"
    return "stopped" if result.get("stopped") else "done"


def runs_in(folder: Path) -> tuple[list[Path], int]:
    """Return the runs in a folder, the newest first, and how many more there are than are read. Raises FileError."""
    try:
        found = [path for path in folder.iterdir() if path.is_dir() and is_run(path)]
        found.sort(key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
    except OSError as error:
        raise FileError(
            f"no folder of runs at {folder}",
            why=error.strerror or "",
            fix="xpnn train makes runs/; or name a folder",
        ) from error
    return found[:MOST], max(0, len(found) - MOST)
