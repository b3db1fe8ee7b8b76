"""What can watch a run: three moments, each of which a subclass may use."""

from typing import TYPE_CHECKING, Any

from xpnn.training.history import Row

if TYPE_CHECKING:
    from xpnn.training.trainer import Trainer


class Callback:
    """Does nothing at every moment."""

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """Before the first epoch: how many epochs, samples in each, samples in a step."""

    def progress(self, epoch: int, samples: int, loss: float) -> None:
        """Now and then inside an epoch: samples done so far in it, and the latest loss."""

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """After an epoch."""

    def end(self, trainer: "Trainer") -> None:
        """After the last epoch, or when the run is cut short."""


class KeepBest(Callback):
    """Puts the best epoch's weights back at the end; with a `path`, saves them whenever they are the best so far.

    The file before it is kept: best.1.safetensors beside best.safetensors.
    """

    def __init__(self, path: Any = None) -> None:
        self.path = path
        self.vectors: Any = None

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """Forgets the weights of an earlier run, perhaps of another model; a run that goes on keeps its best."""
        if not len(trainer.history):
            self.vectors = None

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """A copy, because training goes on in the same memory."""
        if row.best:
            self.vectors = trainer.model.snapshot()
            if self.path is not None:
                trainer.model.save(self.path, keep=True)

    def end(self, trainer: "Trainer") -> None:
        """The best weights."""
        if self.vectors is not None:
            trainer.model.restore(self.vectors)
