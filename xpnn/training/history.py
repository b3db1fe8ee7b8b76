"""The history of a training run: one row per epoch."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One epoch. Losses are means over the samples, or sums over all of them for a loss with reduction="sum".

    `train_loss` is measured while the weights change.
    """

    epoch: int
    train_loss: float
    valid_loss: float | None
    valid_accuracy: float | None
    lr: float
    seconds: float
    best: bool


@dataclass
class History:
    """The rows of a run, in order; `history["valid_accuracy"]` is one column."""

    rows: list[Row] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> list[Any]:
        return [asdict(row)[column] for row in self.rows]

    def score(self, row: Row) -> tuple[float, float]:
        """Return a key, higher is better: validation accuracy, then minus the validation loss (else training loss)."""
        loss = row.train_loss if row.valid_loss is None else row.valid_loss
        accuracy = row.valid_accuracy or 0.0
        return 0.0 if math.isnan(accuracy) else accuracy, -math.inf if math.isnan(loss) else -loss

    @property
    def best(self) -> Row | None:
        """Return the first epoch with the highest score."""
        return max(self.rows, key=self.score, default=None)
