"""Which column is the label, and whether it holds classes or numbers."""

import re

import numpy as np

from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.summary import FORMATTED, Summary
from xpnn.data.tables.values import is_number, plain
from xpnn.errors import DataError, UsageError, did_you_mean

USUAL = ("label", "class", "target", "y")
"""Names of the label's column where none is given, the first of them that is there."""
MOST_CLASSES = 1000
FEW = 20
"""Different whole numbers up to this are classes."""
PER_CLASS = 50
"""Or more of them, counted from 0 or 1 without a gap, with so many samples each."""


def choose_label(table: AnyTable, label: str | int | None) -> tuple[str, str]:
    """The name of the label's column, and why it is that one. Raises UsageError for one that is not there.

    A name comes before a number; numbers count from 0, from the end below 0.
    """
    names = list(table)
    if len(names) < 2:
        raise DataError(
            f"{table.name} holds one column",
            why="wanted a label and at least one column to learn from",
            fix="columns of a file are separated by commas, semicolons, tabs or, if it is not packed, blanks",
        )
    if isinstance(label, bool) or not isinstance(label, str | int | None):
        raise UsageError(
            f"label={label!r}",
            why="wanted the name or the number of a column",
            fix="label='price', or label=-1",
        )
    if isinstance(label, str) and label in table:
        return label, "--label"
    if isinstance(label, int) or (label is not None and re.fullmatch(r"-?\d+", label)):
        number = int(label)
        if not -len(names) <= number < len(names):
            raise UsageError(
                f"{table.name} has no column {number}", why=f"it has {len(names)}, from 0 to {len(names) - 1}"
            )
        return names[number], f"column {number % len(names)}"
    if label is not None:
        if not table.headed:
            raise UsageError(
                f"{table.name} has no column {label!r}",
                why="its first line holds no names",
                fix=f"--label NUMBER, from 0 to {len(names) - 1}",
            )
        raise UsageError(f"{table.name} has no column {label!r}", fix=did_you_mean(label, names))
    for usual in USUAL:
        found = [name for name in names if name.strip().lower() == usual]
        if len(found) == 1 or usual in found:
            return usual if usual in found else found[0], "by its name"
    return names[-1], "the last column"


def guess_task(labels: Summary) -> tuple[str, str]:
    """ "classification" or "regression", and why. Words, booleans and few whole numbers are classes."""
    if labels.kind in ("words", "booleans"):
        return "classification", "words"
    if labels.kind == "dates":
        raise DataError(
            f"column {labels.name!r} holds dates", why="a label is a class or a number", fix="--label NAME"
        )
    different, count = np.array(sorted(labels.different or ())), labels.numbers.n
    if not labels.whole:
        return "regression", "real numbers"
    dense = len(different) and different[0] in (0, 1) and len(different) == different[-1] - different[0] + 1
    if len(different) <= FEW and len(different) <= max(2, count / 2):
        return "classification", f"{len(different)} different whole numbers"
    if dense and len(different) <= MOST_CLASSES and count >= PER_CLASS * len(different):
        return "classification", f"whole numbers from {different[0]:.0f} to {different[-1]:.0f} without a gap"
    return "regression", f"{labels.how_many()} different numbers"


def class_names(labels: Summary) -> tuple[str, ...]:
    """The different labels, numbers by size, words in order. Raises DataError for fewer than 2 or more than 1,000."""
    numbers = labels.kind == "numbers"
    if not numbers and FEW < len(labels.words) > 0.8 * labels.rows:
        first = next(iter(labels.words))
        formatted = FORMATTED.fullmatch(first) is not None
        raise DataError(
            f"column {labels.name!r} holds {labels.how_many()} different labels in {labels.rows:,} rows, "
            f"such as {first[:40]!r}",
            why="they are read as words" if formatted else "they are names or free text, not classes",
            fix="write numbers with digits and a point, as 1234.5"
            if formatted
            else "--label NAME for another column",
        )
    words = {plain(value) for value in labels.different or ()} if numbers else set(labels.words)
    if not 2 <= len(words) <= MOST_CLASSES:
        raise DataError(
            f"column {labels.name!r} holds {labels.how_many()} different label{'s' * (len(words) != 1)} "
            f"in {labels.rows:,} rows",
            why=f"wanted 2 to {MOST_CLASSES:,} classes",
            fix="--label NAME for another column"
            + (", or --task regression" if numbers and len(words) > 1 else ""),
        )
    if numbers or all(map(is_number, words)):
        return tuple(sorted(words, key=lambda word: (float(word), word)))
    return tuple(sorted(words))
