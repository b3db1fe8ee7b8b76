"""Callbacks that are functions, and the one that keeps the best weights."""

from collections.abc import Callable
from typing import Any

from xpnn.errors import UsageError
from xpnn.system import user_path
from xpnn.training.checkpoint import save_model
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run

__all__ = ["AfterEpoch", "Callback", "KeepBest", "as_callback"]


class AfterEpoch(Callback):
    """A plain function as a callback: f(run, row) after each epoch."""

    def __init__(self, f: Callable[[Run, Row], Any]) -> None:
        self.f = f

    def epoch(self, run: Run, row: Row) -> None:
        self.f(run, row)


def as_callback(given: Any) -> Callback:
    """Return a callback as it is, and wrap a plain function. Raises UsageError for anything else."""
    if isinstance(given, Callback):
        return given
    if isinstance(given, type) or not callable(given):
        raise UsageError(
            f"{given!r} is no callback", fix="an object of a Callback class, or a function f(run, row)"
        )
    return AfterEpoch(given)


class KeepBest(Callback):
    """Puts the best epoch's weights back at the end; with a `path`, saves them whenever they are the best so far.

    The file before it is kept: best.1.safetensors beside best.safetensors.
    """

    def __init__(self, path: Any = None) -> None:
        self.path = path

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Forget the weights of an earlier run, perhaps of another model; a resumed run keeps its best."""
        if not len(run.history):
            self.vectors = None

    def epoch(self, run: Run, row: Row) -> None:
        """Keep a copy of the weights, because training continues in the same memory."""
        if row.best:
            self.vectors = run.model.snapshot()
            if self.path is not None and run.rank == 0:
                save_model(run.model, user_path(self.path), keep=True)

    def end(self, run: Run) -> None:
        if self.vectors is not None:
            run.model.restore(self.vectors)
