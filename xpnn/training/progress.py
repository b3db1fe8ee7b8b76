"""Progress on stderr: a row per epoch, and on a terminal a progress bar below the rows."""

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from xpnn.training.history import Row
from xpnn.training.run import Callback, Run

if TYPE_CHECKING:
    from rich.console import Console


HEAD = "epoch   train_loss  train_acc  valid_loss  valid_acc        lr    time"


class Lasting:
    """A stream that ignores write errors: a closed terminal or pipe must not end a training."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write the text if the stream is still open."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream if it is still open."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()


class Progress(Callback):
    """Prints rows to a rich console (stderr by default); the bar and its time to go appear on a terminal only."""

    everywhere = False

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self.console = console or Console(file=Lasting(sys.stderr), highlight=False)  # type: ignore[arg-type]

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.samples, self.done, self.last = samples, len(run.history), len(run.history) + epochs
        self.first = self.done
        names = "".join(f"  {heading(name):>10}" for name in run.columns)
        self.console.print(HEAD + names, style="bold", soft_wrap=True)
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[note]}"),
            TextColumn("eta"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task(f"{self.done + 1}/{self.last}", total=epochs * samples, note="")
        self.bar.start()

    def progress(self, epoch: int, samples: int, loss: float) -> None:
        done = (epoch - 1 - self.first) * self.samples + samples
        self.bar.update(
            self.task, completed=done, description=f"{epoch}/{self.last}", note=f"loss {loss:.4f}"
        )

    def epoch(self, run: Run, row: Row) -> None:
        """Print a row; a star marks the best epoch so far."""
        self.console.print(format_row(row), soft_wrap=True)

    def end(self, run: Run) -> None:
        self.bar.stop()


def format_row(row: Row) -> str:
    """One line of the table under HEAD, and under the names of the metrics."""
    loss = "-" if row.valid_loss is None else f"{row.valid_loss:.4f}"
    star, more = "*" if row.best else " ", "".join(f"  {cell(name, row.more[name])}" for name in row.more)
    return (
        f"{row.epoch:5d}{star}{row.train_loss:12.4f}{share(row.train_accuracy):>11}{loss:>12}"
        f"{share(row.valid_accuracy):>11}{row.lr:10.2e}{row.seconds:7.1f}s{more}"
    )


def heading(column: str) -> str:
    """The head of a metric's column: train_acc[0] for train_accuracy[0], f1 for valid_f1."""
    if "accuracy[" in column:
        return column.replace("accuracy", "acc")
    return column.removeprefix("valid_")[:10]


def cell(column: str, value: float) -> str:
    """A metric as wide as the head of its column."""
    text = share(value) if "accuracy[" in column else f"{value:.4f}"
    return f"{text:>{max(10, len(heading(column)))}}"


def share(value: float | None) -> str:
    """A share as a percentage; - for None."""
    return "-" if value is None else f"{100 * value:.2f} %"
