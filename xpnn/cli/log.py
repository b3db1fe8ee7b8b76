"""metrics.jsonl: a line for each epoch."""

from pathlib import Path
from typing import Any

from xpnn.cli.output import status
from xpnn.durable import append_durably, write_durably
from xpnn.training.history import History, Row
from xpnn.training.json_lines import line_of, read_lines
from xpnn.training.run import Callback, Run

METRICS = "metrics.jsonl"
NUMBER = (int, float)
ROW: dict[str, Any] = {
    "epoch": int, "train_loss": NUMBER, "valid_loss": (*NUMBER, None), "valid_accuracy": (*NUMBER, None),
    "lr": NUMBER, "seconds": NUMBER, "best": bool, "train_accuracy": (*NUMBER, None),
}  # fmt: skip


class Log(Callback):
    """A callback that writes every row as a JSON line to metrics.jsonl."""

    everywhere = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Keep the rows of a resumed run up to its checkpoint; those after it will be written again."""
        lines = (line_of(row.to_dict()) for row in run.history)
        write_durably(self.path, "".join(lines).encode())

    def epoch(self, run: Run, row: Row) -> None:
        """Append a line, so that the cost does not grow with the number of epochs."""
        append_durably(self.path, line_of(row.to_dict()).encode())


def read_history(folder: Path, quiet: bool = False) -> History:
    """Return the rows of metrics.jsonl; [] without that file. Raises CheckpointError when it is damaged, FileError.

    A last line that was cut off while it was written is left out, with a message; without one where `quiet`: a run
    that trains may be in the middle of writing it.
    """
    path = folder / METRICS
    if not path.exists() and not path.is_symlink():
        return History()
    rows, cut = read_lines(path, ROW, optional={"train_accuracy"})
    if cut and not quiet:
        status(f"note   {path}: the last line is cut short, and left out")
    return History([Row(**entries) for entries in rows])
