"""A table as a dataset: split by a hash of each row, prepared by what the training rows say."""

from typing import Any

from xpnn.data.dataset import Dataset
from xpnn.data.tables.fitting import fit_preparation, label_line, relabelled, what_became
from xpnn.data.tables.labels import choose_label, class_names, guess_task
from xpnn.data.tables.preparation import TablePreparation, check_labelled
from xpnn.data.tables.reading import read_table
from xpnn.data.tables.row_split import all_rows, keep_classes, split_by_hash
from xpnn.data.tables.samples import KEPT, take_samples
from xpnn.data.tables.stored import AnyTable, StoredTable
from xpnn.data.tables.summary import median_line, summarize
from xpnn.errors import DataError, UsageError
from xpnn.printing import count_of, counted, listed

TEST, VALIDATION = 0.2, 0.08
"""Shares of the rows that are held out, the second only of a table on the disk."""


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
    table = read_table(source, label, dates=known.dates if known else "")
    if known is not None and not relabel:
        check_same_label(table, known, label, task)
        label, why = check_label(table, known), "as in the model"
    else:
        label, why = choose_label(table, label)
    labels = summarize(table, label, different=True)
    if known is not None and not relabel:
        task, guess = known.task, "as in the model"
    else:
        task, guess = (task, "--task") if task is not None else guess_task(labels)
    check_labelled(labels, "fill them, leave those rows out, or name another column with --label")
    if task == "classification" and (known is None or relabel):
        class_names(labels)  # refuses names and free text, before a row of each is moved to be trained on
    large = isinstance(table, StoredTable)
    split = split_by_hash(table, label, shares_of(table))
    notes = list(table.notes)
    if not all(map(split.count, (0, 1))):
        split = split_by_hash(table, label, shares_of(table), numbered=True)
        notes.append("few rows differ: equal rows are held out one by one, and may be in both parts")
    if task == "classification":
        split, moved = keep_classes(table, label, split)
        notes += moved_line(moved)
        if moved and not split.count(1):
            raise DataError(
                f"column {label!r} holds {labels.how_many()} different labels in {table.rows:,} rows",
                why="a row of each is trained on, and none is left to test with",
                fix="more rows, or another column with --label"
                + (", or --task regression" if labels.kind == "numbers" else ""),
            )
    if not all(split.count(part) for part in (0, 1)):
        share = "none" if split.count(0) else "all"
        raise DataError(
            f"{share} of the {counted(table.rows, 'row')} of {table.name} would be held out to test with",
            why="a fifth is chosen by a hash of each row",
            fix="more rows",
        )
    if known is None:
        preparation = fit_preparation(table, labels, task, split)
        notes = what_became(preparation) + notes
    else:
        preparation = relabelled(known, table, labels, task, split) if relabel else known
        notes += preparation.remarks(table)
    if known is None:
        notes += median_line(table)
    (x, x_test, *x_valid), (y, y_test, *y_valid) = take_samples(table, preparation, split)
    much = " % for the test, ".join(f"{100 * share:.2g}" for share in shares_of(table))
    much = f"{much} % to choose the best epoch by," if large else "a fifth"
    return Dataset(
        name,
        x, y, x_test, y_test,
        preparation.classes,
        f"{source}, {much} held out by hash",
        preparation,
        (label_line(preparation, labels, why, guess), *notes),
        held_out=True,
        validation=(x_valid[0], y_valid[0]) if large and len(y_valid[0]) else None,
    )  # fmt: skip


def shares_of(table: AnyTable) -> tuple[float, ...]:
    """What is held out: a fifth; of a table on the disk a part for the test, and one to choose the best epoch by."""
    if not isinstance(table, StoredTable):
        return (TEST,)
    most = KEPT / 1.1 / table.rows
    return min(TEST, most), min(VALIDATION, most)


def whole_table(source: Any, preparation: TablePreparation) -> Dataset:
    """All rows of a table as test samples of a model, matched by name. Raises DataError for what it does not know."""
    table = read_table(source, preparation.label, dates=preparation.dates)
    check_labelled(summarize(table, check_label(table, preparation)))
    preparation.check_columns(table)
    notes = (*table.notes, *preparation.remarks(table), f"all {table.rows:,} rows of {source} are used")
    (none, x), (no_y, y) = take_samples(table, preparation, all_rows(table, 1))
    return Dataset("table", none, no_y, x, y, preparation.classes, str(source), preparation, notes)


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
            fix=f"call its column of labels {preparation.label!r}, or use xpnn predict, which needs none",
        )
    return preparation.label


def moved_line(names: list[str]) -> list[str]:
    """What is said of classes whose only samples had been held out."""
    return (
        [f"{count_of(names, 'class')} {listed(names)}: all were held out, so one is trained on"]
        if names
        else []
    )
