"""The history of a training run: one row per epoch."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import UsageError, did_you_mean
from xpnn.html import html_table
from xpnn.name_hints import HISTORY, no_attribute
from xpnn.printing import counted

KERAS = {
    "loss": "train_loss",
    "accuracy": "train_accuracy",
    "val_loss": "valid_loss",
    "val_accuracy": "valid_accuracy",
}
"""Columns by the names that Keras gives them."""


@dataclass
class Tally:
    """How many labels of an epoch were right so far, and how many counted: both for each output that has labels."""

    counts: list[int] = field(default_factory=list)

    def add(self, hits: np.ndarray[Any, Any], labels: int) -> None:
        """Add the hits of some batches, (batches,), of so many labels; or what `training.step.counted` gives of each.

        That is (batches, 2 outputs): hits and labels that count, of one output after the other.
        """
        more = [int(hits.sum()), labels] if hits.ndim == 1 else hits.sum(axis=0).astype(int).tolist()
        self.counts = [a + b for a, b in zip(self.counts or [0] * len(more), more, strict=True)]

    @property
    def shares(self) -> list[float]:
        """The accuracy of each output; NaN where no label counted."""
        pairs = zip(self.counts[::2], self.counts[1::2], strict=True)
        return [correct / labels if labels else math.nan for correct, labels in pairs]


@dataclass(frozen=True)
class Row:
    """One epoch. Losses are means over the samples, or sums over all of them for a loss with reduction="sum".

    `train_loss` and `train_accuracy` are measured while the weights change, with dropout and augmentation; with LBFGS
    at the point that the iteration reached. Where labels are mixed (Mixup, CutMix), right is the class with the largest
    share. The accuracy is None for a regression, and for several outputs, each of which has its own: `train_metrics`
    and `metrics` hold {"accuracy[0]": ...}, of the training and of the validation samples, as `Model.evaluate` names
    them. metrics: also what `fit(metrics=...)` asked for.
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
    train_metrics: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """{column: value}: the fields, with a column for each metric, called valid_f1, train_accuracy[0] and so on."""
        return {name: getattr(self, name) for name in COLUMNS} | self.more

    @property
    def more(self) -> dict[str, float]:
        """The metrics by the names of their columns."""
        train = {f"train_{name}": value for name, value in self.train_metrics.items()}
        return train | {f"valid_{name}": value for name, value in self.metrics.items()}


COLUMNS = [one.name for one in fields(Row) if one.name not in ("metrics", "train_metrics")]
"""The columns that every history has."""


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

    if not TYPE_CHECKING:  # which would take every name for one that exists

        def __getattr__(self, name: str) -> Any:
            raise no_attribute("History", name, HISTORY)

    def __getitem__(self, column: str) -> list[Any]:
        """Raises UsageError for a column that does not exist."""
        name = KERAS.get(column, column)
        if self.rows and name not in self.columns:
            raise UsageError(f"no column {column!r}", fix=did_you_mean(column, [*self.columns, *KERAS]))
        return [row.to_dict().get(name) for row in self.rows]

    @property
    def columns(self) -> list[str]:
        """The names of the columns; those of metrics that only some epochs have come last."""
        return list(dict.fromkeys([*COLUMNS, *(name for row in self.rows for name in row.more)]))

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
        return html_table(shown, cells, note=counted(len(self), "epoch"))


def text(value: Any) -> str:
    """A number of the history with four digits; a star for the best epoch."""
    if isinstance(value, bool):
        return "*" if value else ""
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
