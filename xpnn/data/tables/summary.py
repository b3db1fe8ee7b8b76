"""What a column holds, gathered piece by piece: the table may be larger than memory.

    mean and squares of two parts, d = mean_b - mean_a, n = n_a + n_b:
    mean = mean_a + d n_b / n        squares = squares_a + squares_b + d^2 n_a n_b / n

Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.columns import PARTS, date_part
from xpnn.data.tables.row_split import RowSplit
from xpnn.data.tables.stored import AnyTable, StoredTable
from xpnn.data.tables.values import Values, is_number, unnamed
from xpnn.errors import DataError
from xpnn.random import host_rng

FORMATTED = re.compile(r"[$€£¥]? ?[-+]?\d[\d.,' ]*( ?[%$€£¥])?")
"""Numbers as people write them: $1,234.50 or 12 %."""
MOST_WORDS, MOST_NUMBERS = 1_000_000, 10_000
"""Different words that are counted, and different numbers; a column with more words holds names or free text."""
SAMPLE = 1_000_000
"""Rows of a table on the disk that its medians are taken from, about."""


@dataclass
class Moments:
    """Count, extremes, and mean and sum of squares of numbers, about the first of them: large ones lose no digits."""

    n: int = 0
    origin: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    low: float = np.inf
    high: float = -np.inf

    def add(self, x: NDArray[np.float64]) -> None:
        """Take more numbers into the summary."""
        if not len(x):
            return
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        self.origin = self.origin if self.n else float(x[0])
        with np.errstate(over="ignore", invalid="ignore"):
            x = x - self.origin
            n, mean, total = len(x), float(x.mean()), self.n + len(x)
            d = mean - self.mean if self.n else 0.0
            self.squares += n * float((x - mean).var()) + d * d * (self.n / total) * n
        self.mean = self.mean + d * (n / total) if self.n else mean
        self.n = total

    def spread(self) -> tuple[float, float]:
        """Mean and standard deviation; the latter is 1 where all numbers are equal up to rounding."""
        std = float(np.sqrt(self.squares / self.n)) if self.n else 0.0
        noise = 8 * np.finfo(np.float64).eps * max(abs(self.low), abs(self.high))
        return self.origin + self.mean, std if self.low < self.high and std > noise else 1.0


@dataclass
class Summary:
    """A column: all of its rows, and those that are trained on.

    share: of so many of its numbers, drawn at random, the median is taken.
    """

    name: str
    share: float = 1.0
    kind: str = ""
    rows: int = 0
    missing: int = 0
    first_missing: int = 0
    train: int = 0
    train_missing: int = 0
    first: str = ""
    """The first entry to train on, as a word."""
    constant: bool = True
    whole: bool = True
    numbers: Moments = field(default_factory=Moments)
    parts: dict[str, Moments] = field(default_factory=lambda: {part: Moments() for part in PARTS})
    words: Counter[str] = field(default_factory=Counter)
    different: set[float] | None = None
    """Different numbers, where they are wanted: up to 10,000, or a few more."""
    kept: list[NDArray[np.float64]] = field(default_factory=list)
    typing_errors: Counter[bool] = field(default_factory=Counter)
    """How many words of all rows are no numbers, and how many are."""
    no_number: DataError | None = None
    """The error about the first word that is no number."""

    def add(self, values: Values, keep: NDArray[np.bool_] | None = None) -> None:
        """The next rows; keep: those of them to train on, by default all."""
        there = values if keep is None else values[keep]
        if values.missing.any() and not self.missing:
            self.first_missing = values.row(np.argmax(values.missing))
        if not self.kind or not values.missing.all():
            self.kind = values.kind
        self.rows, self.missing = self.rows + len(values), self.missing + int(values.missing.sum())
        self.train, lost = self.train + len(there), int(there.missing.sum())
        self.train_missing += lost
        if values.kind == "words":
            self._count_numbers(values)
        there = there[~there.missing] if lost else there
        if not len(there):
            return
        self.first = self.first or str(there[:1].words()[0])
        if values.kind in ("words", "booleans"):
            self._add_words(Counter(there.words().tolist()))
        elif values.kind == "dates":
            self._add_dates(there)
        else:
            self._add_numbers(there)

    def median(self) -> float:
        """The median of the numbers to train on, or of that share of them."""
        return float(np.median(np.concatenate(self.kept)))

    def all_different(self) -> bool:
        """Whether the rows to train on, as far as they are kept, all differ."""
        if self.kind == "words":
            return not self.train_missing and len(self.words) == min(self.train, MOST_WORDS)
        kept = np.concatenate(self.kept) if self.kept else np.empty(0)
        return not self.train_missing and len(np.unique(kept)) == len(kept) > 0

    def is_index(self) -> bool:
        """Whether it numbers the rows, as a data frame's index does: without a name, a different number in each."""
        return unnamed(self.name) and self.kind == "numbers" and self.whole and self.all_different()

    def how_many(self) -> str:
        """How many different entries there are, as far as they are counted."""
        count = len(self.words) + len(self.different or ())
        most = MOST_NUMBERS if self.different else MOST_WORDS
        return f"{count:,}" if count < most else f"over {most:,}"

    def _add_words(self, words: Counter[str]) -> None:
        if len(self.words) + len(words) <= MOST_WORDS:
            self.words.update(words)
        else:
            for word, count in words.items():
                if word in self.words or len(self.words) < MOST_WORDS:
                    self.words[word] += count
        self.constant, self.whole = len(self.words) == 1, self.kind == "words"

    def _add_dates(self, there: Values) -> None:
        dates = there.dates()
        self.numbers.add(dates.astype(np.int64).astype(np.float64))
        self.constant, self.whole = self.numbers.low == self.numbers.high, False
        for part, moments in self.parts.items():
            moments.add(date_part(dates, part))

    def _add_numbers(self, there: Values) -> None:
        x = there.numbers()
        self.numbers.add(x)
        self.constant = self.numbers.low == self.numbers.high
        self.whole = self.whole and bool(np.array_equal(x, np.floor(x)))
        if self.share < 1:
            x = x[host_rng(0, "median", self.rows).random(len(x)) < self.share]
        self.kept.append(x)
        if self.different is not None and len(self.different) <= MOST_NUMBERS:
            self.different |= set(np.unique(there.data).tolist())

    def _count_numbers(self, values: Values) -> None:
        """Looks for words among numbers."""
        for word, count in Counter(values.data[~values.missing].tolist()).items():
            fits = is_number(word)
            self.typing_errors[fits] += count
            if not fits and self.no_number is None:
                at = next(i for i in range(len(values)) if not values.missing[i] and values.data[i] == word)
                self.no_number = values.bad(at, "a number, as in nearly all rows of that column")


def summarize(
    table: AnyTable, name: str, split: RowSplit | None = None, *, different: bool = False
) -> Summary:
    """The summary of a column; split: of which part 0 is trained on, else all. different: also of its numbers."""
    found, start = Summary(name, median_share(table), different=set() if different else None), 0
    for values in table.pieces(name):
        keep = None if split is None else split.mask(0, start, start + len(values))
        found.add(values, keep)
        start += len(values)
    return found


def median_share(table: AnyTable) -> float:
    """The share of the rows that the medians are taken from."""
    return min(1.0, SAMPLE / max(1, table.rows)) if isinstance(table, StoredTable) else 1.0


def median_line(table: AnyTable) -> list[str]:
    """The line that says so where medians are taken from a part of the rows."""
    return [f"medians are those of about {SAMPLE:,} rows, drawn at random"] if median_share(table) < 1 else []
