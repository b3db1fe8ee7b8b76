"""One column of a table as NumPy has it, whatever it was read from, and the three ways to look at it.

numbers   float64, NaN where missing
words     str, "" where missing: whole numbers without a decimal point, booleans as False and True
dates     datetime64[us], NaT where missing
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import DataError

Bools = NDArray[np.bool_]
CODE = re.compile(r"0\d+", re.ASCII)
"""Digits that no number begins with, such as 01234: a code, whose spelling counts."""


@dataclass(frozen=True, eq=False)
class Values:
    """`data` (N,): numbers, booleans, str objects or datetime64; `missing` (N,) says where there is none.

    `name` is what messages call the column, `first` the number of its first row in the file, from 1.
    """

    name: str
    data: NDArray[Any]
    missing: Bools
    first: int = 1

    @property
    def kind(self) -> str:
        """ "numbers", "booleans", "dates" or "words"."""
        return {"b": "booleans", "M": "dates", "O": "words"}.get(self.data.dtype.kind, "numbers")

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, rows: Any) -> "Values":
        return Values(self.name, self.data[rows], self.missing[rows], self.first)

    def row(self, i: Any) -> int:
        """The number of entry i in the file."""
        return self.first + int(i)

    def numbers(self) -> NDArray[np.float64]:
        """Raises DataError, naming the row, for what is no number, and for infinity."""
        if self.kind == "words":
            found = np.full(len(self), np.nan)
            for i in np.flatnonzero(~self.missing):
                if not is_number(self.data[i]):
                    raise self.bad(i, "a number")
                found[i] = float(self.data[i])
        elif self.kind == "dates":
            raise self.bad(int(np.argmin(self.missing)), "a number")
        else:
            found = self.data.astype(np.float64)
            found[self.missing] = np.nan
        if np.isinf(found).any():
            raise self.bad(int(np.argmax(np.isinf(found))), "a finite number")
        return found

    def words(self) -> NDArray[np.object_]:
        """The text of each entry."""
        if self.kind == "words":
            found = self.data.copy()
        elif self.kind == "dates":
            found = np.array([str(value) for value in self.data], object)
        elif self.kind == "booleans":
            found = np.where(self.data, "True", "False").astype(object)
        else:
            different, place = np.unique(self.data, return_inverse=True)
            found = np.array([plain(value) for value in different.tolist()], object)[place]
        found[self.missing] = ""
        return found

    def dates(self) -> NDArray[np.datetime64]:
        """Raises DataError, naming the row, for what is no date."""
        if self.kind == "dates":
            found = self.data.astype("datetime64[us]")
        elif self.kind == "words":
            found = np.full(len(self), np.datetime64("NaT", "us"), "datetime64[us]")
            for i in np.flatnonzero(~self.missing):
                try:
                    found[i] = np.datetime64(iso(str(self.data[i])), "us")
                except ValueError:
                    raise self.bad(i, "a date such as 2024-05-31, or a time such as 10:30") from None
        elif self.missing.all():
            found = np.full(len(self), np.datetime64("NaT", "us"), "datetime64[us]")
        else:
            raise self.bad(int(np.argmin(self.missing)), "a date such as 2024-05-31")
        found[self.missing] = np.datetime64("NaT", "us")
        return found

    def bad(self, i: Any, wanted: str) -> DataError:
        """The error about entry i."""
        return DataError(
            f"column {self.name!r}, row {self.row(i):,}: {str(self.data[i])[:40]!r}",
            why=f"wanted {wanted}; rows count from 1, without the header",
            fix="remove that row, if it repeats the names or gives units; else correct it"
            if self.row(i) == 1
            else "correct that entry, or leave it empty: missing entries are filled",
        )


def is_number(word: str) -> bool:
    """Whether it is a number as files write them; not 1_000, which Python takes too."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def unnamed(name: str) -> bool:
    """What a column without a name is called."""
    return name in ("", "column0", "__index_level_0__") or name.startswith("Unnamed:")


def iso(text: str) -> str:
    """A date and time as NumPy reads them; a time alone is one of the first day of 1970."""
    text = text.strip().replace(" ", "T")
    return f"1970-01-01T{text if text[1:2] != ':' else '0' + text}" if ":" in text[:3] else text


def plain(value: Any) -> str:
    """A number as people write it: 3 for 3.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return str(int(value))
    return str(value)


def spelled_as(words: NDArray[np.object_], known: tuple[str, ...]) -> NDArray[np.object_]:
    """The words, those for true and false in the spelling of `known`: True of a data frame is true of a file."""
    if {name.lower() for name in known} != {"true", "false"}:
        return words
    spelling = {name.lower(): name for name in known}
    return np.array([spelling.get(word.lower(), word) for word in words], object)
