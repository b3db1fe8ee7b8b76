"""A callback that uses the averaged weights of EMA or SWA."""

import numpy as np

from xpnn.data.batches import Slices
from xpnn.errors import UsageError
from xpnn.training.batch_statistics import measure
from xpnn.training.run import Callback, Run


class UseAverage(Callback):
    """Puts the average of EMA or SWA in place of the model's weights at the end of the run.

    Until then the model trains, and is validated, with its own. The running statistics of BatchNorm are measured again
    for the average, on the training samples, as `update_bn` does. Further training starts from the average.
    """

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Raises UsageError for an optimizer that keeps no average."""
        if run.data[0] is None and run.model.layout.size["phi"]:
            raise UsageError(
                "UseAverage on ready-made batches",
                why="BatchNorm's statistics are measured again on the training samples",
                fix="training.update_bn after the fit",
            )
        if "average" not in run.state:
            raise UsageError(
                f"{type(run.optimizer).__name__} keeps no average of the weights",
                fix="wrap it: EMA(optimizer) or SWA(optimizer)",
            )

    def end(self, run: Run) -> None:
        """Copy the average: the original keeps changing in further training."""
        be = run.model.backend
        with be.device_context():
            run.model.theta = run.state["average"] + be.scalar(0)
            if run.data[0] is None:
                return
            parts = Slices(len(run.train), run.batch_size)
            measure(run.model, run.data[0], (be.asarray(np.asarray(run.train[part])) for part in parts))
