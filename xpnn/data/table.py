"""Tables as comma-separated text: numbers, and one column of labels.

The first line names the columns unless every entry of it but the label's is a number. A label may be any word; classes
are numbered in order (of their numbers, where all are). Every error names the file, the line and the column.
"""

import csv
import io
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.errors import DataError, UsageError, did_you_mean
from xpnn.system import open_regular

USUAL = ("label", "class", "target", "y")
"""Names of the label's column where none is given; else it is the last one."""
MOST_CLASSES = 1000

Table = tuple[NDArray[np.float64], NDArray[np.int64], tuple[str, ...]]


def read_csv(path: str | os.PathLike[str], label: str | int | None = None) -> Table:
    """`x, y, classes`: numbers float64 (N, features), class numbers int64 (N,), and the labels as they stand.

    `label`: the name or the number (from 0; from the end below 0) of its column. Raises FileError when the file cannot
    be read, UsageError for a column that is not there, and DataError for what is no number, missing or not finite, for
    lines of another length, for fewer than two classes or more than 1,000.
    """
    path = Path(path)
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig", newline="") as file:
            lines = _lines(csv.reader(file, strict=True), str(path))
            return _table(lines, label, str(path))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in UTF-8", why=str(error), fix="save it as CSV in UTF-8"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        if isinstance(error, DataError | UsageError):
            raise
        raise cannot_read(str(path), error) from error


def _lines(reader: Iterator[list[str]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and its entries, empty lines left out."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number = reader.line_num  # type: ignore[attr-defined]
            raise DataError(
                f"{name}, line {number}: {error}", fix="quote entries that hold commas"
            ) from error
        if row and any(entry.strip() for entry in row):
            yield reader.line_num, row  # type: ignore[attr-defined]


def _table(lines: Iterator[tuple[int, list[str]]], label: str | int | None, name: str) -> Table:
    number, first = next(lines, (0, []))
    if len(first) < 2:
        raise DataError(
            f"{name} holds {'one column' if first else 'nothing'}",
            why="wanted numbers and a label, separated by commas",
            fix="a line such as 5.1,3.5,setosa",
        )
    names = [entry.strip() for entry in first]
    headed = sum(_number(entry) is None for entry in first) > 1 or isinstance(label, str)
    column = _column(label, names if headed else None, len(first), name)
    columns = [names[i] if headed else str(i) for i in range(len(first))]
    rows, labels = [], []
    for line, row in lines if headed else itertools.chain([(number, first)], lines):
        if len(row) != len(first):
            raise DataError(
                f"{name}, line {line}: {len(row)} entries, wanted {len(first)}",
                why=f"the first line has {len(first)}",
                fix="one entry for each column",
            )
        rows.append([_checked(e, name, line, columns[i]) for i, e in enumerate(row) if i != column])
        labels.append(row[column].strip())
        if not labels[-1]:
            raise DataError(
                f"{name}, line {line}, column {columns[column]}: no label", fix="fill it or drop the line"
            )
    classes = _classes(labels, name, columns[column])
    ids = {text: i for i, text in enumerate(classes)}
    return np.array(rows), np.array([ids[text] for text in labels], np.int64), classes


def _column(label: str | int | None, names: list[str] | None, count: int, name: str) -> int:
    """The number of the label's column."""
    if isinstance(label, str):
        assert names is not None
        if label in names:
            return names.index(label)
        raise UsageError(f"{name} has no column {label!r}", fix=did_you_mean(label, names))
    if label is not None:
        if not -count <= label < count:
            raise UsageError(f"{name} has no column {label}", why=f"it has {count}, from 0 to {count - 1}")
        return label % count
    usual = [i for i, entry in enumerate(names or ()) if entry.lower() in USUAL]
    return usual[0] if usual else count - 1


def _number(entry: str) -> float | None:
    try:
        return float(entry)
    except ValueError:
        return None


def _checked(entry: str, name: str, line: int, column: str) -> float:
    value = _number(entry)
    if value is None or not np.isfinite(value):
        raise DataError(
            f"{name}, line {line}, column {column}: {entry.strip()[:40]!r}",
            why="wanted a finite number",
            fix="fill it or drop the line; words as numbers, one column for each",
        )
    return value


def _classes(labels: list[str], name: str, column: str) -> tuple[str, ...]:
    """The different labels, in order."""
    found = set(labels)
    if not 2 <= len(found) <= MOST_CLASSES:
        raise DataError(
            f"{name}, column {column}: {len(found)} different labels in {len(labels)} lines",
            why=f"wanted 2 to {MOST_CLASSES} classes",
            fix="is it the column of the labels? --label NAME",
        )
    numbers = {text: _number(text) for text in found}
    if all(value is not None for value in numbers.values()):
        return tuple(sorted(found, key=lambda text: (numbers[text], text)))
    return tuple(sorted(found))
