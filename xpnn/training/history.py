"""The history of a training run: one row per epoch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from xpnn.errors import UsageError, did_you_mean
from xpnn.html import html_table

KERAS = {
    "loss": "train_loss",
    "accuracy": "train_accuracy",
    "val_loss": "valid_loss",
    "val_accuracy": "valid_accuracy",
}
"""Columns by the names that Keras gives them."""


@dataclass
class Tally:
    """How many labels of an epoch were right so far, and how many counted."""

    correct: int = 0
    labels: int = 0

    def add(self, hits: np.ndarray[Any, Any], labels: int) -> None:
        """Add the hits of some batches, (batches,), of so many labels; or (batches, 2): hits, and labels that count."""
        self.correct += int(hits.sum() if hits.ndim == 1 else hits[:, 0].sum())
        self.labels += labels if hits.ndim == 1 else int(hits[:, 1].sum())

    @property
    def share(self) -> float:
        """The accuracy; NaN where no label counted."""
        return self.correct / self.labels if self.labels else math.nan


@dataclass(frozen=True)
class Row:
    """One epoch. Losses are means over the samples, or sums over all of them for a loss with reduction="sum".

    `train_loss` and `train_accuracy` are measured while the weights change, with dropout and augmentation. The accuracy
    is None for a regression, where labels are mixed (Mixup, CutMix), with LBFGS, and with several outputs. metrics:
    what `fit(metrics=...)` asked for, of the validation samples.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    valid_accuracy: float | None
    lr: float
    seconds: float
    best: bool
    train_accuracy: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """{column: value}: the fields, with a column for each metric, called valid_f1 and so on."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "metrics"}
        return plain | {f"valid_{name}": value for name, value in self.metrics.items()}


@dataclass
class History:
    """The rows of a run, in order; `history["valid_accuracy"]` is one column, and so is Keras's "accuracy".

    A notebook shows it as a table.
    """

    rows: list[Row] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        """Raises UsageError for a column that does not exist."""
        name = KERAS.get(column, column)
        if self.rows and name not in self.columns:
            raise UsageError(f"no column {column!r}", fix=did_you_mean(column, [*self.columns, *KERAS]))
        return [row.to_dict().get(name) for row in self.rows]

    @property
    def columns(self) -> list[str]:
        """The names of the columns; those of metrics that only some epochs have come last."""
        names = [one.name for one in fields(Row) if one.name != "metrics"]
        return list(dict.fromkeys([*names, *(name for row in self.rows for name in row.to_dict())]))

    def to_pandas(self) -> Any:
        """A DataFrame with a row per epoch. Raises UsageError where pandas is not installed."""
        try:
            import pandas as pd
        except ImportError as error:
            raise UsageError(
                "to_pandas needs pandas, which is not installed", fix="pip install pandas"
            ) from error
        return pd.DataFrame([row.to_dict() for row in self.rows], columns=self.columns)

    def score(self, row: Row) -> tuple[float, float]:
        """Return a key, higher is better: validation accuracy, then minus the validation loss (else training loss)."""
        loss = row.train_loss if row.valid_loss is None else row.valid_loss
        accuracy = row.valid_accuracy or 0.0
        return 0.0 if math.isnan(accuracy) else accuracy, -math.inf if math.isnan(loss) else -loss

    @property
    def best(self) -> Row | None:
        """Return the first epoch with the highest score."""
        return max(self.rows, key=self.score, default=None)

    def _repr_html_(self) -> str:
        """The rows as a table."""
        shown = [name for name in self.columns if any(value is not None for value in self[name])]
        cells = [[text(row.to_dict().get(name)) for name in shown] for row in self.rows]
        return html_table(shown, cells, note=f"{len(self)} epochs")


def text(value: Any) -> str:
    """A number of the history with four digits; a star for the best epoch."""
    if isinstance(value, bool):
        return "*" if value else ""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
