"""metrics.jsonl: one line for each epoch, appended, with a checksum of its own."""

import json
import zlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.cli.output import status
from xpnn.cli.schema import NUMBER, misfit
from xpnn.durable import append_durably, write_durably
from xpnn.errors import CheckpointError
from xpnn.reading import read_bounded
from xpnn.training.callbacks import Callback
from xpnn.training.container import read_json
from xpnn.training.history import History, Row

if TYPE_CHECKING:
    from xpnn.training.trainer import Trainer

METRICS = "metrics.jsonl"
MOST = 1 << 28
"""Bytes: a million epochs."""
ROW: dict[str, Any] = {
    "epoch": int, "train_loss": NUMBER, "valid_loss": (*NUMBER, None), "valid_accuracy": (*NUMBER, None),
    "lr": NUMBER, "seconds": NUMBER, "best": bool,
}  # fmt: skip


class Log(Callback):
    """Every row as a JSON line in metrics.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """A run that goes on has its rows already; what was written after its checkpoint will be written again."""
        write_durably(self.path, "".join(map(line_of, trainer.history)).encode())

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """One line more: what an epoch writes does not grow with the number of epochs before it."""
        append_durably(self.path, line_of(row).encode())


def line_of(row: Row) -> str:
    """A row as JSON; the last entry is the CRC-32 of what stands before it."""
    text = json.dumps(asdict(row), allow_nan=False)[:-1]
    return f'{text}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'


def read_history(folder: Path) -> History:
    """The rows of metrics.jsonl; none without that file. Raises CheckpointError when it is damaged, FileError.

    A last line that was cut off while it was written is left out, and that is said.
    """
    path = folder / METRICS
    if not path.exists() and not path.is_symlink():
        return History()
    lines = read_bounded(path, MOST).split(b"\n")
    if lines[-1]:
        status(f"note   {path}: the last line is cut short, and left out")
    return History([_row(line, path, number) for number, line in enumerate(lines[:-1], 1)])


def _row(line: bytes, path: Path, number: int) -> Row:
    try:
        entries = read_json(line, "line")
        if not isinstance(entries, dict):
            raise CheckpointError("it is no JSON object")
        told = entries.pop("crc32", None)
        if told is not None and told != f"{zlib.crc32(line.rpartition(b', ')[0]):08x}":
            raise CheckpointError("its checksum does not match")
        names = [field.name for field in fields(Row)]
        if entries.keys() != set(names):
            raise CheckpointError(f"wanted {', '.join(names)}")
        if found := misfit(entries, ROW):
            raise CheckpointError(found)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} is damaged", why=f"line {number}: {error.why or error.what}"
        ) from error
    return Row(**entries)
