"""`read_table`: a table from wherever it is."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.duckdb_files import read_files
from xpnn.data.tables.files import STDIN, described, expand, standard_input
from xpnn.data.tables.frames import from_memory
from xpnn.data.tables.labels import choose_label, class_names, guess_task
from xpnn.data.tables.pixels import read_pixels
from xpnn.data.tables.preparation import check_labelled
from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.summary import summarize
from xpnn.data.tables.values import unnamed
from xpnn.errors import DataError
from xpnn.printing import listed, to_stderr

INPUT = "standard input"


def read_table(
    source: Any, label: str | int | None = None, as_words: tuple[str, ...] = (), dates: str = ""
) -> AnyTable:
    """The table in a file, in all files that a name with wildcards fits or a folder holds, or in memory.

    CSV, TSV, Parquet, JSON lines, each also packed with gzip or zstd; "-" is standard input. A DataFrame, a PyArrow
    table, a list of dicts or a dict of columns is taken as it is. `label` helps to see whether a CSV file begins with
    the names of its columns; columns in `as_words` keep the spelling of the file; `dates`, such as "%d/%m/%Y", says how
    a CSV file writes them, where they alone could be read in two ways. Raises FileError for a file that cannot be read,
    DataError for what is no table, and BackendError where DuckDB (`pip install 'xpnn[tables]'`) is wanted and not
    installed.
    """
    if isinstance(source, str | os.PathLike) and str(source) == STDIN:
        with standard_input() as path:
            return read_paths([path], INPUT, label, as_words, dates)
    if isinstance(source, str | os.PathLike):
        return read_paths(expand(source), str(source), label, as_words, dates)
    return from_memory(source)


def read_paths(
    paths: list[Path],
    name: str,
    label: str | int | None = None,
    as_words: tuple[str, ...] = (),
    dates: str = "",
) -> AnyTable:
    """The files, one below the other; messages call them `name`."""
    files = [described(path, INPUT if name == INPUT else "") for path in paths]
    table = read_pixels(files[0], name) if len(files) == 1 else None
    if table is not None and not any(word in table for word in as_words):
        return table
    return read_files(files, name, label, as_words, dates)


def read_csv(
    path: str | os.PathLike[str],
    label: str | int | None = None,
    task: str | None = None,
    *,
    verbose: int = 1,
) -> tuple[NDArray[Any], NDArray[Any], tuple[str, ...]]:
    """`x, y, classes` of a table of numbers: x (N, features) as they stand, class ids int64 (N,) and their names.

    label: the name or the number (from 0; from the end below 0) of its column; by default `label`, `class`, `target`
    or `y`, whichever is there first in that order, else the last. Where the label is a real number (or task is
    "regression"), y is float64 (N,) and classes is (). verbose: 1 prints to stderr which column is the label, whether
    it holds classes or numbers, and which column numbers the rows and is left out; 0 prints nothing. Raises as
    `read_table` does, UsageError for a label that is not there, and DataError for a missing or infinite number and for
    words; `prepare_table` takes those too.
    """
    table = read_table(path, label)
    name, why = choose_label(table, label)
    labels, found = table[name], summarize(table, name, different=True)
    check_labelled(found)
    task, guess = (task, "as asked for") if task else guess_task(found)
    index = [key for key in table if key != name and unnamed(key) and summarize(table, key).is_index()]
    features = [values for key, values in table.items() if key != name and key not in index]
    if verbose:
        numbering = [f"left out: {listed(index)}: it numbers the rows"] if index else []
        to_stderr([f"label {name!r} ({why}): {task} ({guess})", *numbering, *table.notes])
    for values in features:
        lost = values.missing
        if values.kind not in ("numbers", "booleans") or lost.any():
            i = int(np.argmax(lost)) if lost.any() else 0
            raise DataError(
                f"{table.name}, column {values.name!r}, row {values.row(i):,}: "
                + ("nothing" if lost.any() else repr(str(values.data[i])[:40])),
                why="read_csv wants a number in every entry; rows count from 1, without the header",
                fix="xpnn.data.prepare_table(path) takes words, dates and missing entries",
            )
    x = as_matrix(table, features)
    if task == "regression":
        return x, labels.numbers(), ()
    classes = class_names(found)
    number = {word: i for i, word in enumerate(classes)}
    return x, np.array([number[word] for word in labels.words()], np.int64), classes


def as_matrix(table: AnyTable, features: list[Any]) -> NDArray[Any]:
    """Bytes where all are bytes, else float64."""
    if table.pixels:
        return np.stack([values.data for values in features], axis=1)
    return np.stack([values.numbers() for values in features], axis=1)
