"""The events of `xpnn train --json`: a line for each epoch."""

from typing import TYPE_CHECKING

from xpnn.cli.output import emit
from xpnn.training.callbacks import Callback
from xpnn.training.history import Row

if TYPE_CHECKING:
    from xpnn.training.run import Run as TrainingRun


class Events(Callback):
    """A callback that prints every row as a JSON line. If the reader has gone, the run ends as by Ctrl-C."""

    everywhere = False

    error: OSError | None = None

    def epoch(self, run: "TrainingRun", row: Row) -> None:
        """Print the row."""
        try:
            if self.error is None:
                emit({"event": "epoch", **row.to_dict()})
        except OSError as error:
            self.error, run.stopped = error, "a reader that has gone"
