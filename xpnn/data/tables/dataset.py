"""A table as a dataset: split by a hash of each row, prepared by what the training rows say."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from xpnn.data.dataset import Dataset
from xpnn.data.folds import hash_split, keep_classes
from xpnn.data.tables.fitting import fit_preparation, relabelled, what_became
from xpnn.data.tables.labels import choose_label, guess_task
from xpnn.data.tables.preparation import TablePreparation, count_of, listed
from xpnn.data.tables.reading import read_table
from xpnn.data.tables.stored import AnyTable, StoredTable
from xpnn.errors import DataError, FileError, UsageError
from xpnn.scratch import Scratch, temporary_place

TEST = 0.2
FEW, MANY = 1 << 12, 1 << 16
"""Rows that are looked at together: of a table in memory, and of one on the disk, where each look takes a while."""
KEPT = 200_000
"""Rows of a table on the disk that are held out at most, and kept in memory."""


def table_dataset(
    name: str,
    source: Any,
    label: str | int | None = None,
    task: str | None = None,
    known: TablePreparation | None = None,
    relabel: bool = False,
) -> Dataset:
    """The table for training, a fifth held out by a hash of each row; its notes say what was chosen and why.

    known: the preparation of a model that goes on with it; with relabel only its columns are kept. Raises as
    `read_table` does, UsageError for a label that is not there, DataError for what cannot be learnt from.
    """
    table = read_table(source, label)
    if known is not None and not relabel:
        check_same_label(table, known, label, task)
        label, task, why, guess = check_label(table, known), known.task, "as in the model", "as in the model"
    else:
        label, why = choose_label(table, label)
        task, guess = (task, "--task") if task is not None else guess_task(table[label])
    share = min(TEST, KEPT / 1.1 / table.rows) if isinstance(table, StoredTable) else TEST
    train, held = hash_split(row_keys(table, label), share)
    notes = list(table.notes)
    if task == "classification":
        train, held, moved = keep_classes(table[label].words(), train, held)
        notes += moved_line(moved)
    if not len(held) or not len(train):
        raise DataError(
            f"{table.name} holds {table.rows} rows, and a fifth of them is none",
            why="rows to test with are taken by a hash",
            fix="more rows",
        )
    if known is None:
        preparation = fit_preparation(table, label, task, train)
        notes = what_became(preparation) + notes
    else:
        preparation = relabelled(known, table[label], task, train) if relabel else known
        notes += preparation.remarks(table)
    y = preparation.targets(table[label])
    x, x_test = split_samples(table, preparation, train, held)
    much = "a fifth" if share == TEST else f"{100 * share:.2g} %"
    return Dataset(
        name,
        x, y[train], x_test, y[held],
        preparation.classes,
        f"{source}, {much} held out by hash",
        preparation,
        (label_line(preparation, table, why, guess), *notes),
        held_out=True,
    )  # fmt: skip


def whole_table(source: Any, preparation: TablePreparation) -> Dataset:
    """All rows of a table as test samples of a model, matched by name. Raises DataError for what it does not know."""
    table = read_table(source, preparation.label)
    labels = table[check_label(table, preparation)]
    y = preparation.targets(labels)
    none, x = split_samples(table, preparation, np.arange(0), np.arange(table.rows))
    notes = (*table.notes, *preparation.remarks(table), f"all {table.rows:,} rows of {source} are used")
    return Dataset("table", none, y[:0], x, y, preparation.classes, str(source), preparation, notes)


def check_same_label(
    table: AnyTable, known: TablePreparation, label: str | int | None, task: str | None
) -> None:
    """Raises UsageError where another label or task is asked for than the model's."""
    asked = known.label if label is None else choose_label(table, label)[0]
    if asked != known.label or task not in (None, known.task):
        raise UsageError(
            f"the model's label is {known.label!r} ({known.task}), asked for is {asked!r} ({task or known.task})",
            fix="--replace-head, for outputs of its own, or leave --label and --task out",
        )


def check_label(table: AnyTable, preparation: TablePreparation) -> str:
    """The name of the model's label. Raises DataError where the table has no such column."""
    if preparation.label not in table:
        raise DataError(
            f"{table.name} has no column {preparation.label!r}, the label of the model",
            why=f"it has {listed(table)}",
            fix="add the labels, or use xpnn predict, which needs none",
        )
    return preparation.label


def label_line(preparation: TablePreparation, table: AnyTable, why: str, guess: str) -> str:
    """What the label is, and what it was taken for."""
    what = f"label {preparation.label!r} ({why}): {preparation.task} ({guess})"
    if preparation.classes:
        return f"{what}, classes {listed(preparation.classes)}"
    numbers = table[preparation.label].numbers()
    return f"{what}, from {numbers.min():g} to {numbers.max():g}"


def moved_line(names: list[str]) -> list[str]:
    """What is said of classes whose only samples had been held out."""
    return (
        [f"{count_of(names, 'class')} {listed(names)}: all were held out, so one is trained on"]
        if names
        else []
    )


def row_keys(table: AnyTable, label: str) -> Iterator[bytes]:
    """What names each row: the bytes of its numbers and its words, the label left out."""
    names = [name for name in table if name != label]
    size = MANY if isinstance(table, StoredTable) else FEW
    for start in range(0, table.rows, size):
        part = table.part(slice(start, start + size))
        if not start:
            numbers = [name for name in names if part[name].kind in ("numbers", "booleans")]
            words = [name for name in names if name not in numbers]
        some: Iterable[bytes] = (b"",) * part.rows
        if numbers:
            matrix = np.stack([part[name].numbers() for name in numbers], axis=1).astype("<f8")
            some = (row.tobytes() for row in matrix)
        if words:
            text = zip(*(part[name].words() for name in words), strict=True)
            some = (a + "\0".join(row).encode() for a, row in zip(some, text, strict=True))
        yield from some


def check_room(size: int) -> None:
    """Raises FileError where the folder for temporary files has no room for so many bytes."""
    folder, free = temporary_place()
    if size > free:
        raise FileError(
            f"the samples of this table take {size / 1e9:.1f} GB, {folder} has {free / 1e9:.1f} GB free",
            fix="TMPDIR=FOLDER, on a larger disk",
        )


def split_samples(table: AnyTable, preparation: TablePreparation, *parts: Any) -> list[Any]:
    """The samples of several parts of a table, each given by the numbers of its rows, rising.

    Of a table on the disk they are on the disk too, but for a part of at most 200,000 rows.
    """
    if not isinstance(table, StoredTable):
        return [preparation.samples(table.part(rows)) for rows in parts]
    check_room(table.rows * (4 * len(preparation.features) + 8 * len(preparation.embedded)))
    shapes = ((len(preparation.features),), *((),) * len(preparation.embedded))
    dtypes = ("float32", *("int64",) * len(preparation.embedded))
    files = [[Scratch(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)] for _ in parts]
    for start in range(0, table.rows, MANY):
        piece = preparation.samples(table.part(slice(start, start + MANY)))
        arrays = piece if isinstance(piece, tuple) else (piece,)
        for rows, several in zip(parts, files, strict=True):
            low, high = np.searchsorted(rows, (start, start + MANY))
            for array, file in zip(arrays, several, strict=True):
                file.write(array[rows[low:high] - start])
    found = [tuple(file.array() for file in several) for several in files]
    found = [tuple(map(np.array, one)) if len(one[0]) <= KEPT else one for one in found]
    return [one if preparation.embedded else one[0] for one in found]
