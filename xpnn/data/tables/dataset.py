"""A table as a dataset: split by a hash of each row, prepared by what the training rows say."""

from typing import Any

import numpy as np

from xpnn.data.dataset import Dataset
from xpnn.data.folds import hash_split, keep_classes
from xpnn.data.tables.fitting import fit_preparation, relabelled, what_became
from xpnn.data.tables.labels import choose_label, guess_task
from xpnn.data.tables.preparation import TablePreparation, count_of, listed
from xpnn.data.tables.reading import read_table
from xpnn.data.tables.table import Table
from xpnn.errors import DataError

TEST = 0.2
CHUNK = 4096
"""Rows whose keys are made at a time."""


def table_dataset(
    name: str,
    source: Any,
    label: str | int | None = None,
    task: str | None = None,
    known: TablePreparation | None = None,
    relabel: bool = False,
) -> Dataset:
    """The table for training, a fifth of it held out by a hash of each row; its notes say what was chosen and why.

    known: the preparation of a model that goes on with it; with relabel only its columns are kept. Raises as
    `read_table` does, UsageError for a label that is not there, DataError for what cannot be learnt from.
    """
    table = read_table(source, label)
    if known is not None and not relabel:
        label, task, why, guess = check_label(table, known), known.task, "as in the model", "as in the model"
    else:
        label, why = choose_label(table, label)
        task, guess = (task, "--task") if task is not None else guess_task(table[label])
    train, held = hash_split(row_keys(table, label), TEST)
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
    return Dataset(
        name,
        preparation.samples(table.part(train)), y[train],
        preparation.samples(table.part(held)), y[held],
        preparation.classes,
        f"{source}, a fifth held out by hash",
        preparation,
        (label_line(preparation, table, why, guess), *notes),
        held_out=True,
    )  # fmt: skip


def whole_table(source: Any, preparation: TablePreparation) -> Dataset:
    """All rows of a table as test samples of a model, matched by name. Raises DataError for what it does not know."""
    table = read_table(source, preparation.label)
    labels = table[check_label(table, preparation)]
    x, y = preparation.samples(table), preparation.targets(labels)
    none = preparation.samples(table.part(slice(0)))
    notes = (*table.notes, *preparation.remarks(table), f"all {table.rows:,} rows of {source} are used")
    return Dataset("table", none, y[:0], x, y, preparation.classes, str(source), preparation, notes)


def check_label(table: Table, preparation: TablePreparation) -> str:
    """The name of the model's label. Raises DataError where the table has no such column."""
    if preparation.label not in table:
        raise DataError(
            f"{table.name} has no column {preparation.label!r}, the label of the model",
            why=f"it has {listed(table)}",
            fix="add the labels, or use xpnn predict, which needs none",
        )
    return preparation.label


def label_line(preparation: TablePreparation, table: Table, why: str, guess: str) -> str:
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


def row_keys(table: Table, label: str) -> list[bytes]:
    """What names each row: the bytes of its numbers and its words, the label left out."""
    names = [name for name in table if name != label]
    numbers = [name for name in names if table[name].kind in ("numbers", "booleans")]
    words = [name for name in names if name not in numbers]
    keys: list[bytes] = []
    for start in range(0, table.rows, CHUNK):
        part = table.part(slice(start, start + CHUNK))
        if numbers:
            matrix = np.stack([part[name].numbers() for name in numbers], axis=1).astype("<f8")
            some = [row.tobytes() for row in matrix]
        else:
            some = [b""] * part.rows
        if words:
            text = zip(*(part[name].words() for name in words), strict=True)
            some = [a + "\0".join(row).encode() for a, row in zip(some, text, strict=True)]
        keys += some
    return keys
