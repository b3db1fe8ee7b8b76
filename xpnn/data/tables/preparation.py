"""What a model of a table remembers: its columns, their scaling, the label, and what was left out and why."""

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xpnn.config import Config
from xpnn.data.preparation import MOST_CLASSES, Preparation, check_choice, check_names, check_shapes
from xpnn.data.tables.columns import CategoryColumn, Column, NumberColumn
from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.summary import Summary
from xpnn.data.tables.values import Values, spelled_as
from xpnn.errors import DataError, UsageError
from xpnn.printing import count_of, listed

TASKS = ("classification", "regression")
MOST_COLUMNS = 100_000


class Predictor(Protocol):
    """What predicts for rows: a `Model`."""

    preparation: Any

    def predict(self, x: Any) -> Any:
        """See `Model.predict`."""

    def predict_proba(self, x: Any) -> Any:
        """See `Model.predict_proba`."""


@dataclass(frozen=True)
class LeftOut(Config):
    """A column that the network does not see, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class TablePreparation(Preparation):
    """Columns by name become samples; the label becomes class ids, or numbers y = (label - mean) / std.

    label: the name of its column. classes: their names in the order of the outputs, none for a regression. columns: in
    the order of the features. left_out: the columns of the training table that no feature comes from.
    dates: how a CSV file of such rows writes them, such as %d/%m/%Y, where it is not as 2024-05-31.
    Samples are one matrix (N, features); with embedded columns a tuple of that matrix and ids (N,) for each of them.
    """

    label: str
    task: str
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    left_out: tuple[LeftOut, ...] = ()
    label_mean: float = 0.0
    label_std: float = 1.0
    dates: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice(self, "task", TASKS)
        check_names(self, "classes", self.classes, MOST_CLASSES)
        check_names(self, "columns", tuple(column.name for column in self.columns), MOST_COLUMNS)
        if not self.columns or not self.features:
            raise UsageError(f"{type(self).__name__}: no column is left to learn from")
        if not re.fullmatch(r"(%[dmyYHMSfIpbB]|[-./:, T])*", self.dates[:41]) or len(self.dates) > 40:
            raise UsageError(
                f"{type(self).__name__}(dates={self.dates[:41]!r}): wanted a form such as %d/%m/%Y"
            )
        if (len(self.classes) > 1) != (self.task == "classification") or not self.label_std > 0:
            raise UsageError(
                f"{type(self).__name__}: a {self.task} with {len(self.classes)} classes, std {self.label_std}"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the columns of the matrix."""
        return tuple(name for column in self.columns if not column.embedding for name in column.features())

    @property
    def embedded(self) -> tuple[CategoryColumn, ...]:
        """The columns that come as ids."""
        return tuple(c for c in self.columns if isinstance(c, CategoryColumn) and c.embedding)

    @property
    def input_shape(self) -> Any:
        """The shape of one sample."""
        matrix = (len(self.features),)
        return (matrix, *((),) * len(self.embedded)) if self.embedded else matrix

    @property
    def outputs(self) -> int:
        """Outputs of the network: one for each class, one for a regression."""
        return len(self.classes) or 1

    def check_model(self, input_shape: Any, output_shape: Any) -> None:
        """Raises UsageError for a network of other samples or outputs."""
        check_shapes(self, self.input_shape, self.outputs, input_shape, output_shape)

    def inputs(self, x: Any) -> Any:
        """Rows with names, such as a DataFrame or a list of dicts, as samples; arrays as they are."""
        from xpnn.data.tables.frames import from_memory, is_frame

        if not is_frame(x):
            return x
        table = from_memory(x)
        samples = self.samples(table)
        self.warn(table, 6)
        return samples

    def predict(
        self, model: Predictor, table: Mapping[str, Values]
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """`answers` for each row of a table, and the probabilities (N, classes); None of a regression."""
        x = self.samples(table)
        answers = self.answers(model.predict(x))
        return answers, model.predict_proba(x) if self.classes else None

    def samples(self, table: Mapping[str, Values], dtype: str = "float32") -> Any:
        """What the network takes. Raises DataError for a column that is missing, or holds what it cannot take."""
        self.check_columns(table)
        n = len(table[self.columns[0].name])
        matrix, at = np.empty((n, len(self.features)), dtype), 0
        for column in self.columns:
            if not column.embedding:
                width = len(column.features())
                matrix[:, at : at + width] = narrow(column.encode(table[column.name]), dtype, column.name)
                at += width
        ids = [column.ids(table[column.name]) for column in self.embedded]
        return (matrix, *ids) if ids else matrix

    def check_columns(self, names: Iterable[str]) -> None:
        """Raises DataError for a column that is not among the names."""
        there = set(names)
        lost = [column.name for column in self.columns if column.name not in there]
        if lost:
            raise DataError(
                f"the table has no {count_of(lost, 'column')} {listed(lost)}",
                why=f"the model was trained on {listed([column.name for column in self.columns])}",
                fix="columns are matched by name, in any order; the table has "
                + (listed(sorted(there)) or "none"),
            )

    def targets(self, labels: Values) -> NDArray[Any]:
        """Class ids int64 (N,), or scaled numbers float64 (N,). Raises DataError for a missing or unknown label."""
        if labels.missing.any():
            found = Summary(labels.name)
            found.add(labels)
            check_labelled(found)
        if self.task == "regression":
            return (labels.numbers() - self.label_mean) / self.label_std
        number = {name: i for i, name in enumerate(self.classes)}
        words = spelled_as(labels.words(), self.classes)
        unknown = sorted(set(words) - number.keys())
        if unknown:
            count = int(np.isin(words, unknown).sum())
            raise DataError(
                f"column {labels.name!r} holds {count_of(unknown, 'class')} {listed(unknown)}, "
                f"in {count:,} of {len(words):,} rows",
                why=f"the model knows {listed(self.classes)}",
                fix="leave those rows out, or train a model that knows these classes (from this one: --replace-head)",
            )
        return np.fromiter((number[word] for word in words), np.int64, len(words))

    def answers(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Names (N,) for class ids; for a regression's outputs the numbers in the label's own units."""
        if self.task == "regression":
            return outputs.astype(np.float64) * self.label_std + self.label_mean
        names: NDArray[Any] = np.array(self.classes, object)[outputs]
        return names

    def warn(self, table: AnyTable, stacklevel: int) -> None:
        """Warn of everything in `remarks`, once of each in a program as Python's warnings do."""
        for line in self.remarks(table):
            warnings.warn(line, stacklevel=stacklevel)

    def remarks(self, table: AnyTable) -> list[str]:
        """What is said of a table before it is scored: what it has that training had not."""
        known = {column.name for column in self.columns} | {one.name for one in self.left_out} | {self.label}
        found = [
            f"{name!r} is not a column of the training table, and is left out"
            for name in table
            if name not in known
        ]
        for column in self.columns:
            if isinstance(column, NumberColumn) and not column.indicator:
                missing = sum(int(values.missing.sum()) for values in table.pieces(column.name))
                line = f"{missing:,} missing, filled with the training median {column.fill:g}"
                found += [f"{column.name!r}: {line}"] if missing else []
            if isinstance(column, CategoryColumn):
                new = sorted(
                    {word for values in table.pieces(column.name) for word in column.unknown(values)}
                )
                line = f"{count_of(new, 'value')} {listed(new)} not seen in training"
                found += [f"{column.name!r}: {line}"] if new else []
        return found


def check_labelled(labels: Summary, fix: str = "fill them, or leave those rows out") -> None:
    """Raises DataError, naming the first row, where a label is missing."""
    if labels.missing:
        raise DataError(
            f"column {labels.name!r} has no label in {labels.missing:,} of {labels.rows:,} rows, "
            f"first in row {labels.first_missing:,}",
            why="a missing label is not a class; rows count from 1, without the header",
            fix=fix,
        )


def narrow(x: NDArray[Any], dtype: str, name: str) -> NDArray[Any]:
    """In the model's dtype. Raises DataError for numbers too large for it."""
    with np.errstate(over="ignore"):
        found: NDArray[Any] = x.astype(dtype)
    if not np.isfinite(found).all():
        raise DataError(
            f"column {name!r} holds numbers that are, scaled, too large for {dtype}",
            why="they are far from all that was trained on",
            fix="--dtype float64, or correct them",
        )
    return found
