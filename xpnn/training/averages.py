"""The averaged weights of an optimizer that keeps them."""

from xpnn.errors import UsageError
from xpnn.training.run import Callback, Run


class UseAverage(Callback):
    """Puts the average of EMA or SWA in place of the model's weights at the end of the run.

    Until then the model trains, and is validated, with its own. A run that goes on goes on from the average.
    """

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Raises UsageError for an optimizer that keeps no average."""
        if "average" not in run.state:
            raise UsageError(
                f"{type(run.optimizer).__name__} keeps no average of the weights",
                fix="wrap it: EMA(optimizer) or SWA(optimizer)",
            )

    def end(self, run: Run) -> None:
        """A copy: the average itself goes on changing."""
        be = run.model.backend
        with be.device_context():
            run.model.theta = run.state["average"] + be.scalar(0)
