"""What can watch a run: six moments, each of which a subclass may use."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from xpnn.errors import UsageError
from xpnn.training.checkpoint import save_model
from xpnn.training.history import Row

if TYPE_CHECKING:
    from xpnn.training.trainer import Trainer


class Callback:
    """Does nothing at every moment.

    A callback ends the run by `trainer.stopped = "why"`: after the batch from `step`, after the epoch from `epoch`.
    What it remembers belongs into `state`, plain numbers, and `vectors`, weights as `Model.snapshot` gives them: both
    are saved with the run, and put back before `start` when it goes on.
    """

    state: dict[str, Any]
    vectors: dict[str, Any] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Each has its own empty `state`, also where a subclass does not call this class's constructor."""
        made = super().__new__(cls)
        made.state, made.vectors = {}, None
        return made

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """Before the first epoch: how many epochs, samples in each, samples in a step."""

    def step(self, trainer: "Trainer") -> None:
        """After every step, which the device may still be computing."""

    def progress(self, epoch: int, samples: int, loss: float) -> None:
        """Now and then inside an epoch: samples done so far in it, and the latest loss."""

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """After an epoch."""

    def finish(self, trainer: "Trainer") -> None:
        """After the last step, with its weights still in place; not when an error cuts the run short."""

    def end(self, trainer: "Trainer") -> None:
        """When all have finished, or an error cuts the run short. The last to start is the first to end."""


class AfterEpoch(Callback):
    """A plain function as a callback: f(trainer, row) after each epoch."""

    def __init__(self, f: Callable[["Trainer", Row], Any]) -> None:
        self.f = f

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """Calls it."""
        self.f(trainer, row)


def as_callback(given: Any) -> Callback:
    """A callback as it is, a function as one. Raises UsageError for anything else."""
    if isinstance(given, Callback):
        return given
    if isinstance(given, type) or not callable(given):
        raise UsageError(
            f"{given!r} is no callback", fix="an object of a Callback class, or a function f(trainer, row)"
        )
    return AfterEpoch(given)


class KeepBest(Callback):
    """Puts the best epoch's weights back at the end; with a `path`, saves them whenever they are the best so far.

    The file before it is kept: best.1.safetensors beside best.safetensors.
    """

    def __init__(self, path: Any = None) -> None:
        self.path = path

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """Forgets the weights of an earlier run, perhaps of another model; a run that goes on keeps its best."""
        if not len(trainer.history):
            self.vectors = None

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """A copy, because training goes on in the same memory."""
        if row.best:
            self.vectors = trainer.model.snapshot()
            if self.path is not None:
                save_model(trainer.model, Path(self.path), keep=True)

    def end(self, trainer: "Trainer") -> None:
        """The best weights."""
        if self.vectors is not None:
            trainer.model.restore(self.vectors)
