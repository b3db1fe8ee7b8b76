"""A table in memory: columns by name, and what was said while it was read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.values import CODE, Values, is_number, iso
from xpnn.errors import DataError

MISSING = frozenset(
    ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "-nan", "NULL", "null", "None")
)
"""Words that stand for a missing value."""


@dataclass(frozen=True, eq=False)
class Table(Mapping[str, Values]):
    """{name: column} in the order of the file, all of one length `rows`.

    name: what messages call it. headed: whether the columns have names of their own, else they are "0", "1", ....
    notes: what a user should hear of how it was read. pixels: every entry is a whole number from 0 to 255. dates: how
    they are written in the file, where it is not as 2024-05-31.
    """

    name: str
    columns: dict[str, Values]
    headed: bool = True
    notes: tuple[str, ...] = ()
    pixels: bool = False
    dates: str = ""

    def __getitem__(self, key: str) -> Values:
        return self.columns[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()))) if self.columns else 0

    @property
    def kinds(self) -> dict[str, str]:
        """{name: kind of the column}."""
        return {name: values.kind for name, values in self.items()}

    def pieces(self, name: str) -> Iterator[Values]:
        """A column, piece by piece, each of a multiple of 8 rows but for the last: here in one."""
        yield self[name]

    def parts(self) -> Iterator[tuple[int, "Table"]]:
        """All rows, part by part, each with the number of its first row: here in one."""
        yield 0, self

    def part(self, rows: Any) -> "Table":
        """Return those rows."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Table(self.name, columns, self.headed, self.notes, self.pixels, self.dates)


def make_table(
    name: str, columns: dict[str, Values], as_words: tuple[str, ...] = (), notes: tuple[str, ...] = ()
) -> Table:
    """The table, its words tidied but for those columns. Raises DataError for no rows, or columns of other lengths."""
    lengths = {len(values) for values in columns.values()}
    if not lengths or lengths == {0}:
        raise DataError(f"{name} holds no rows", why="wanted columns with a row for each sample")
    if len(lengths) > 1:
        raise DataError(f"{name} has columns of different lengths: {sorted(lengths)}")
    found = {key: values if key in as_words else tidy(values) for key, values in columns.items()}
    return Table(name, found, notes=notes)


def numbered_columns(columns: dict[str, Values]) -> dict[str, Values]:
    """Columns without names of their own, called "0", "1", ...."""
    return {str(i): replace(values, name=str(i)) for i, values in enumerate(columns.values())}


def as_values(name: str, data: Any, missing: Any = None, first: int = 1) -> Values:
    """A column from a NumPy array, masked or not, or a list. Raises DataError for what is no plain column."""
    if isinstance(data, list | tuple):
        data = from_list(name, list(data))
    hidden = np.ma.getmaskarray(data) if isinstance(data, np.ma.MaskedArray) else np.zeros(len(data), bool)
    plain: NDArray[Any] = np.ma.getdata(data)
    if plain.ndim != 1:
        raise DataError(
            f"column {name!r} holds arrays of shape {plain.shape[1:]}", why="wanted one value in each row"
        )
    hidden = hidden.copy() if missing is None else np.asarray(missing, bool) | hidden
    if plain.dtype.kind == "f":
        hidden |= np.isnan(plain)
    elif plain.dtype.kind == "M":
        hidden |= np.isnat(plain)
    elif plain.dtype.kind == "m":
        plain = plain / np.timedelta64(1, "s")
    elif plain.dtype.kind in "US":
        plain = plain.astype(str).astype(object)
    elif plain.dtype.kind == "O":
        plain = from_objects(name, plain, hidden)
    elif plain.dtype.kind not in "biu":
        raise DataError(
            f"column {name!r} holds {plain.dtype}", why="wanted numbers, words, booleans or dates"
        )
    return Values(name, plain, hidden, first)


CONTAINERS = (list, tuple, dict, set, bytes, np.ndarray)
"""Types of cells that are not a single number, word or date."""


def from_list(name: str, entries: list[Any]) -> NDArray[Any]:
    """Numbers and booleans as such, everything else as objects."""
    kinds = {type(entry) for entry in entries if entry is not None}
    if kinds == {int} and None not in entries and max(map(abs, entries)) < 2**63:
        return np.array(entries, np.int64)
    if kinds and kinds <= {int, float}:
        return np.array([np.nan if entry is None else entry for entry in entries], np.float64)
    found = np.empty(len(entries), object)
    found[:] = entries
    return found


def from_objects(name: str, data: NDArray[Any], missing: NDArray[np.bool_]) -> NDArray[Any]:
    """Objects as one kind; `missing` is marked in place where there is None or NaN."""
    import datetime

    if {str}.issuperset(map(type, data[~missing])):
        return np.where(missing, "", data)
    for i, entry in enumerate(data):
        if not missing[i] and not isinstance(entry, CONTAINERS):  # arrays of arrays have no truth
            # pandas.NA has none either, so its name is looked at first
            missing[i] = entry is None or str(entry) == "<NA>" or bool(entry != entry)
    there = [entry for entry, lost in zip(data, missing, strict=True) if not lost]
    if there and all(isinstance(entry, bool | np.bool_) for entry in there):
        return np.where(missing, False, data).astype(bool)
    if there and all(isinstance(entry, int | float | np.number) for entry in there):
        return np.where(missing, np.nan, data).astype(np.float64)
    if there and all(isinstance(entry, datetime.timedelta) for entry in there):
        seconds = (np.nan if entry is None else entry.total_seconds() for entry in without(data, missing))
        return np.fromiter(seconds, np.float64, len(data))
    if there and all(isinstance(entry, datetime.time) for entry in there):
        times = (
            "NaT" if entry is None else iso(str(entry.replace(tzinfo=None)))
            for entry in without(data, missing)
        )
        return np.array(list(times), "datetime64[us]")
    if there and all(isinstance(entry, datetime.date) for entry in there):
        found = (
            np.datetime64("NaT", "us") if entry is None else in_utc(entry) for entry in without(data, missing)
        )
        return np.array(list(found), "datetime64[us]")
    for entry in there:
        if isinstance(entry, CONTAINERS):
            what = "bytes" if isinstance(entry, bytes) else "objects" if isinstance(entry, dict) else "lists"
            raise DataError(
                f"column {name!r} holds {what}",
                why="wanted one number, word, boolean or date in each row",
                fix="give each of their entries a column of its own",
            )
    return np.array(["" if lost else str(entry) for entry, lost in zip(data, missing, strict=True)], object)


def in_utc(date: Any) -> Any:
    """A date or time without its zone."""
    import datetime

    zoned = getattr(date, "tzinfo", None) is not None
    return date.astimezone(datetime.UTC).replace(tzinfo=None) if zoned else date


def without(data: NDArray[Any], missing: NDArray[np.bool_]) -> list[Any]:
    """The entries, None where they are missing."""
    return [None if lost else entry for entry, lost in zip(data, missing, strict=True)]


def tidy(values: Values) -> Values:
    """Words without blanks around them, the words for nothing as missing; numbers, where all that is left are some.

    Not where one begins with 0, such as 01234: that is a code.
    """
    if values.kind != "words":
        return values
    words = np.array([str(word).strip() for word in values.data], object)
    missing = values.missing | np.isin(words, list(MISSING))
    words[missing] = ""
    there = words[~missing].tolist()
    if not there or not all(map(is_number, there)) or any(map(CODE.fullmatch, there)):
        return Values(values.name, words, missing, values.first)
    numbers = np.full(len(words), np.nan)
    numbers[~missing] = [float(word) for word in there]
    return Values(values.name, numbers, missing, values.first)
