"""Curves for TensorBoard, written by tensorboardX."""

from pathlib import Path

from xpnn.errors import BackendError
from xpnn.system import user_path
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run
from xpnn.training.statistics import Statistics


class TensorBoard(Callback):
    """Every row as scalars over the epochs: loss/train, accuracy/train, loss/valid, f1/valid, lr, and so on.

    folder: of the event files, for `tensorboard --logdir FOLDER`. statistics: the norms of a `Statistics` before it
    among the callbacks too, as weight/0.W and gradient/0.W. A run that goes on hides what an interrupted one wrote
    beyond its checkpoint. Raises BackendError without tensorboardX (the extra `tensorboard`).
    """

    everywhere = False

    def __init__(self, folder: str | Path, statistics: Statistics | None = None) -> None:
        self.folder, self.statistics = user_path(folder), statistics

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            raise BackendError(
                "TensorBoard needs tensorboardX, which is not installed",
                fix="pip install 'xpnn[tensorboard]'",
            ) from error
        self.writer = SummaryWriter(str(self.folder), purge_step=len(run.history) + 1)

    def epoch(self, run: Run, row: Row) -> None:
        curves = {
            "loss/train": row.train_loss,
            "loss/valid": row.valid_loss,
            "accuracy/train": row.train_accuracy,
            "accuracy/valid": row.valid_accuracy,
            "lr": row.lr,
            "seconds": row.seconds,
            **{f"{name}/train": value for name, value in row.train_metrics.items()},
            **{f"{name}/valid": value for name, value in row.metrics.items()},
        }
        if self.statistics is not None:
            for path, kinds in self.statistics.rows[-1]["parameters"].items():
                curves |= {f"{kind}/{path}": numbers["norm"] for kind, numbers in kinds.items()}
        for name, value in curves.items():
            if value is not None:
                self.writer.add_scalar(name, value, row.epoch)
        self.writer.flush()

    def end(self, run: Run) -> None:
        self.writer.close()
