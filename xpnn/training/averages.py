"""The averaged weights of an optimizer that keeps them."""

from typing import TYPE_CHECKING

from xpnn.errors import UsageError
from xpnn.training.callbacks import Callback

if TYPE_CHECKING:
    from xpnn.training.trainer import Trainer


class UseAverage(Callback):
    """Puts the average of EMA or SWA in place of the model's weights at the end of the run.

    Until then the model trains, and is validated, with its own. A run that goes on goes on from the average.
    """

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """Raises UsageError for an optimizer that keeps no average."""
        if "average" not in trainer.state:
            raise UsageError(
                f"{type(trainer.optimizer).__name__} keeps no average of the weights",
                fix="wrap it: EMA(optimizer) or SWA(optimizer)",
            )

    def end(self, trainer: "Trainer") -> None:
        """A copy: the average itself goes on changing."""
        be = trainer.model.backend
        with be.device_context():
            trainer.model.theta = trainer.state["average"] + be.scalar(0)
