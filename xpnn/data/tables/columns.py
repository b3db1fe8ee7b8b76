"""The columns of a table, each with what it takes to turn it into features of the network.

number     (x - mean) / std, in float64, before it narrows; missing: the fill value, and 1 in an indicator
category   one-hot, or an id for an Embedding; what training has not seen: all zeros, or id 0
date       its parts as numbers: year, month, day, weekday, hour, minute, second
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.config import Config
from xpnn.data.preparation import check_names
from xpnn.data.tables.values import Values, spelled_as
from xpnn.errors import UsageError

MOST_VALUES = 10_000
"""Values of one category."""
WIDEST = 1024
"""The largest width of an embedding."""
PARTS = ("year", "month", "day", "weekday", "hour", "minute", "second")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Column(Config):
    """A column called `name`; subclasses say what the network sees."""

    name: str

    @property
    def embedding(self) -> int:
        """The width of its Embedding; 0: it gives features of its own."""
        return 0

    def features(self) -> tuple[str, ...]:
        """The names of its features."""
        raise NotImplementedError

    def encode(self, values: Values) -> Floats:
        """Features (N, number of features). Raises DataError for an entry of another kind."""
        raise NotImplementedError


@dataclass(frozen=True)
class NumberColumn(Column):
    """(x - mean) / std; where missing, x is `fill`, and with `indicator` a second feature is 1."""

    mean: float
    std: float
    fill: float
    indicator: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_spread(self, (self.std,))

    def features(self) -> tuple[str, ...]:
        """Names of the column's features: its own, and that of its indicator."""
        return (self.name, f"{self.name} missing") if self.indicator else (self.name,)

    def encode(self, values: Values) -> Floats:
        x = values.numbers()
        missing = np.isnan(x)
        x = (np.where(missing, self.fill, x) - self.mean) / self.std
        return np.stack([x, missing], axis=1) if self.indicator else x[:, np.newaxis]


@dataclass(frozen=True)
class CategoryColumn(Column):
    """One of `values`, one-hot, or as an id from 1 for an Embedding of that `width` (0: one-hot).

    With `indicator` a last feature is 1 where the entry is missing. A value that is none of them, or rare in training,
    is all zeros, or id 0.
    """

    values: tuple[str, ...]
    width: int = 0
    indicator: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self, "values", self.values, MOST_VALUES)
        if not self.values or not 0 <= self.width <= WIDEST:
            raise UsageError(
                f"{type(self).__name__}: {len(self.values)} values, width {self.width}",
                why=f"wanted at least one value, and a width of 0 to {WIDEST}",
            )

    @property
    def embedding(self) -> int:
        return self.width

    def features(self) -> tuple[str, ...]:
        """`colour=red`, ...; of an embedded column one, its id."""
        if self.width:
            return (self.name,)
        missing = (f"{self.name} missing",) if self.indicator else ()
        return (*(f"{self.name}={value}" for value in self.values), *missing)

    def ids(self, values: Values) -> NDArray[np.int64]:
        """(N,): 1 for the first of `values`, 0 for any other and for missing ones."""
        number = {value: i for i, value in enumerate(self.values, 1)}
        words = spelled_as(values.words(), self.values)
        return np.fromiter((number.get(word, 0) for word in words), np.int64, len(words))

    def encode(self, values: Values) -> Floats:
        """One column for each value, or one of ids."""
        ids = self.ids(values)
        if self.width:
            return ids[:, np.newaxis].astype(np.float64)
        hot = (ids[:, np.newaxis] == np.arange(1, len(self.values) + 1)).astype(np.float64)
        return np.column_stack([hot, values.missing]) if self.indicator else hot

    def unknown(self, values: Values) -> list[str]:
        """The different values that training has not seen, in order."""
        found = set(spelled_as(values.words(), self.values)[~values.missing].tolist())
        return sorted(found - set(self.values))


@dataclass(frozen=True)
class DateColumn(Column):
    """Its `parts`, each (part - mean) / std, 0 where missing; with `indicator` a last feature is 1 there."""

    parts: tuple[str, ...]
    means: tuple[float, ...]
    stds: tuple[float, ...]
    indicator: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts:
            if part not in PARTS:
                raise UsageError(f"{type(self).__name__}: a date has no {part[:40]!r}", fix=", ".join(PARTS))
        if not len(set(self.parts)) == len(self.parts) == len(self.means) == len(self.stds) or not self.parts:
            raise UsageError(f"{type(self).__name__}: parts, means and stds do not belong together")
        check_spread(self, self.stds)

    def features(self) -> tuple[str, ...]:
        """`sold year`, `sold month`, ...."""
        missing = ("missing",) if self.indicator else ()
        return tuple(f"{self.name} {part}" for part in (*self.parts, *missing))

    def encode(self, values: Values) -> Floats:
        dates = values.dates()
        missing = np.isnat(dates)
        parts = [
            np.where(missing, mean, date_part(dates, part))
            for part, mean in zip(self.parts, self.means, strict=True)
        ]
        x = (np.stack(parts, axis=1) - self.means) / self.stds
        return np.column_stack([x, missing]) if self.indicator else x


def date_part(dates: NDArray[Any], part: str) -> Floats:
    """One of PARTS as numbers; weekday 0 is Monday; any number where the date is missing."""
    days = dates.astype("datetime64[D]")
    if part == "year":
        found = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    elif part == "month":
        found = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    elif part == "day":
        found = (days - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) + 1
    elif part == "weekday":
        found = (days.astype(np.int64) + 3) % 7  # 1 January 1970 was a Thursday
    else:
        seconds = (dates.astype("datetime64[s]") - days.astype("datetime64[s]")).astype(np.int64)
        found = {"hour": seconds // 3600, "minute": seconds // 60 % 60, "second": seconds % 60}[part]
    return found.astype(np.float64)


def check_spread(owner: Any, stds: tuple[float, ...]) -> None:
    """Raises UsageError for a standard deviation that is not above 0."""
    if not all(std > 0 for std in stds):
        raise UsageError(f"{type(owner).__name__}: std must be above 0")
