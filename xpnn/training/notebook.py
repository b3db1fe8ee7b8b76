"""Progress in a notebook: one table that grows, with a bar below it, in place of a block of text per epoch."""

import sys
import time
from typing import Any

from xpnn.html import escaped, html_table
from xpnn.training.history import History, Row
from xpnn.training.progress import Progress
from xpnn.training.run import Callback, Run

BETWEEN = 0.2
"""Seconds between two drawings of the bar."""


def in_notebook() -> bool:
    """Whether IPython is loaded and shows HTML; its shell in a terminal does not."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and getattr(shell, "kernel", None) is not None


def progress() -> Callback:
    """What shows a run here: a table in a notebook, lines on stderr elsewhere."""
    return NotebookProgress() if in_notebook() else Progress()


class NotebookProgress(Callback):
    """Shows the history as a table, by IPython.display, and until the end a bar with the time that is left."""

    everywhere = False

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        from IPython.display import HTML, display

        self.html, self.first = HTML, len(run.history)
        self.samples, self.whole, self.last = samples, epochs * samples, self.first + epochs
        self.rows, self.began, self.shown_at = History(list(run.history)), time.perf_counter(), 0.0
        self.handle: Any = display(HTML(self._page("")), display_id=True)

    def progress(self, epoch: int, samples: int, loss: float) -> None:
        now = time.perf_counter()
        if now - self.shown_at < BETWEEN:
            return
        self.shown_at, done = now, (epoch - 1 - self.first) * self.samples + samples
        left = (now - self.began) * (self.whole - done) / max(1, done)
        note = f"epoch {epoch} of {self.last}, loss {loss:.4f}, {left:.0f} s to go"
        self._show(f'<progress value="{done}" max="{self.whole}"></progress> {escaped(note)}')

    def epoch(self, run: Run, row: Row) -> None:
        self.rows.rows.append(row)
        self._show("")

    def end(self, run: Run) -> None:
        self._show(f"{escaped(f'stopped by {run.stopped}')}" if run.stopped else "")

    def _show(self, below: str) -> None:
        if self.handle is not None:
            self.handle.update(self.html(self._page(below)))

    def _page(self, below: str) -> str:
        return (self.rows._repr_html_() if len(self.rows) else html_table((), ())) + below
