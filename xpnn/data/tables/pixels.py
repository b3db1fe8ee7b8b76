"""Wide tables of small whole numbers, such as images with a pixel in each column: read as bytes, many times faster."""

import csv
from pathlib import Path

import numpy as np

from xpnn.data.tables.files import TableFile
from xpnn.data.tables.table import Table
from xpnn.data.tables.values import CODE, Values

WIDE = 64
"""Columns from which it is worth a try."""


def read_pixels(file: TableFile, name: str) -> Table | None:
    """The table, where it is plain CSV and every entry is a whole number from 0 to 255; else None."""
    if file.format != "csv" or file.packed:
        return None
    first, second = first_lines(file.path)
    if len(first) < WIDE or len(first) != len(second) or not all(entry.isdecimal() for entry in second):
        return None
    words = [entry for entry in first if not entry.isdecimal()]
    if (
        any(map(CODE.fullmatch, second))
        or (len(set(first)) < len(first) and words)
        or any(map(is_number_or_nothing, words))
    ):
        return None
    headed = bool(words) or first == list(map(str, range(len(first))))
    try:
        found = np.loadtxt(
            file.path,
            np.uint8,
            delimiter=",",
            skiprows=int(headed),
            comments=None,
            ndmin=2,
            encoding="utf-8-sig",
        )
    except ValueError:  # an entry that is empty, larger, a word: another reader's business
        return None
    if not len(found) or found.shape[1] != len(first):
        return None
    none = np.zeros(len(found), bool)
    names = first if headed else list(map(str, range(len(first))))
    columns = {column: Values(column, found[:, i], none) for i, column in enumerate(names)}
    return Table(name, columns, headed, pixels=True)


def first_lines(path: Path) -> tuple[list[str], list[str]]:
    """The entries of the first two lines; none where that is no such file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [file.readline(1 << 20) for _ in range(2)]
        rows = [next(csv.reader([line], strict=True), []) for line in lines]
    except (UnicodeDecodeError, csv.Error):
        return [], []
    return [entry.strip() for entry in rows[0]], [entry.strip() for entry in rows[1]]


def is_number_or_nothing(entry: str) -> bool:
    """An entry that makes a first line no header."""
    try:
        return not entry or float(entry) is not None
    except ValueError:
        return False
