"""From a table to its preparation: what each column becomes, measured on the rows that are trained on."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.columns import (
    MOST_VALUES,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
)
from xpnn.data.tables.labels import choose_label, class_names, guess_task
from xpnn.data.tables.preparation import LeftOut, TablePreparation, check_labelled
from xpnn.data.tables.reading import read_table
from xpnn.data.tables.row_split import RowSplit, all_rows
from xpnn.data.tables.samples import take_samples
from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.summary import FORMATTED, Moments, Summary, median_line, summarize
from xpnn.data.tables.values import CODE, Values, is_number
from xpnn.errors import DataError
from xpnn.printing import joined, listed, to_stderr

ONE_HOT = 20
"""Different words up to this are one-hot, more get an Embedding."""
NEARLY = 0.95
"""From this share of numbers on, words in a column are typing errors, not values."""
NAMED_ID = re.compile(r"(?i:(.*[_ ])?(id|index|uuid|guid))|[A-Za-z0-9]*[a-z](Id|ID)", re.ASCII)
DAY_FIRST = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")
MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
NAMED_MONTH = re.compile(rf"(?i:\d{{1,2}}[. /-]+{MONTH}|{MONTH} \d{{1,2}})[., /-]+\d{{2,4}}( .*)?")


def prepare_table(
    source: Any, label: str | int | None = None, task: str | None = None, *, verbose: int = 1
) -> tuple[Any, NDArray[Any], TablePreparation]:
    """`x, y, preparation`: samples and targets of a table for a network, and what a model remembers about the table.

    source: whatever `read_table` takes. x: float32 (N, features), scaled; with embedded columns a tuple of that and
    ids (N,) for each. y: class ids, or scaled numbers. label, task: chosen as `xpnn train table` does by default.
    verbose: 1 prints to stderr what was chosen, left out, filled and split, a line for each; 0 prints nothing.

        x, y, preparation = prepare_table(df, label="price")
        model = Model([Dense(64), ReLU(), Dense(preparation.outputs)], preparation.input_shape,
                      loss="mse", preparation=preparation)

    Raises as `read_table` does, and UsageError for a label that is not there.
    """
    table = read_table(source, label)
    name, why = choose_label(table, label)
    labels = summarize(table, name, different=True)
    task, guess = (task, "as asked for") if task else guess_task(labels)
    preparation = fit_preparation(table, labels, task)
    (x,), (y,) = take_samples(table, preparation, all_rows(table, 0))
    if verbose:
        lines = [label_line(preparation, labels, why, guess), *what_became(preparation), *table.notes]
        to_stderr(lines + median_line(table))
    return x, y, preparation


def fit_preparation(
    table: AnyTable, labels: Summary, task: str, split: RowSplit | None = None
) -> TablePreparation:
    """Columns, scaling and label of a table, measured on its rows to train on, which are part 0 of `split`, or all.

    labels: the summary of all labels. Raises DataError where no column is left.
    """
    check_labelled(labels)
    classes = class_names(labels) if task == "classification" else ()
    mean, std = (
        (0.0, 1.0) if classes else spread_of(labels.name, summarize(table, labels.name, split).numbers)
    )
    columns: list[Column] = []
    left_out: list[LeftOut] = []
    for name in table:
        if name == labels.name:
            continue
        found = (
            pixel_column(table[name], split) if table.pixels else fit_column(summarize(table, name, split))
        )
        (left_out if isinstance(found, LeftOut) else columns).append(found)  # type: ignore[arg-type]
    if not columns:
        raise DataError(
            f"{table.name} leaves no column to learn from",
            why="; ".join(f"{one.name}: {one.why}" for one in left_out[:5]),
            fix="--label NAME, if another column is the label",
        )
    if all(column.embedding for column in columns):  # a matrix of no features would be no matrix
        first = columns[0]
        assert isinstance(first, CategoryColumn)
        columns[0] = CategoryColumn(first.name, first.values, 0, indicator=True)
    return TablePreparation(
        labels.name, task, classes, tuple(columns), tuple(left_out), mean, std, table.dates
    )


def relabelled(
    known: TablePreparation, table: AnyTable, labels: Summary, task: str, split: RowSplit
) -> TablePreparation:
    """The columns of a preparation with another label."""
    classes = class_names(labels) if task == "classification" else ()
    mean, std = (
        (0.0, 1.0) if classes else spread_of(labels.name, summarize(table, labels.name, split).numbers)
    )
    return replace(known, label=labels.name, task=task, classes=classes, label_mean=mean, label_std=std)


def pixel_column(values: Values, split: RowSplit | None) -> Column | LeftOut:
    """One pixel: all are scaled by the same numbers, since rare ink in a corner is no reason to magnify it."""
    data = values.data if split is None else values.data[split.mask(0)]
    if data.min() == data.max():
        return LeftOut(values.name, f"constant: {data[0]} in every row")
    return NumberColumn(values.name, 0.0, 255.0, 0.0)


def fit_column(column: Summary) -> Column | LeftOut:
    """What a column becomes, by all of its entries; its statistics are those of the training rows."""
    name, missing = column.name, column.train_missing > 0
    if column.is_index():
        return LeftOut(name, "it numbers the rows")
    if column.train_missing == column.train:
        everywhere = column.missing == column.rows
        return LeftOut(name, "nothing in it" if everywhere else "nothing in the rows to train on")
    if not missing and column.constant:
        near = ", or too near to it for float64" if abs(column.numbers.high) > 2**53 else ""
        return LeftOut(name, f"constant: {column.first[:40]}{near} in every row")
    if NAMED_ID.fullmatch(name) and column.train > 2 and column.whole and column.all_different():
        return LeftOut(name, "an id: different in every row")
    if column.kind == "dates":
        return fit_dates(column, missing)
    if column.kind == "numbers":
        return NumberColumn(name, *spread_of(name, column.numbers), column.median(), missing)
    return fit_words(column, missing)


def spread_of(name: str, numbers: Moments) -> tuple[float, float]:
    """Mean and standard deviation. Raises DataError where they exceed float64."""
    mean, std = numbers.spread()
    if not np.isfinite([mean, std]).all():
        raise DataError(
            f"column {name!r} holds numbers from {numbers.low:g} to {numbers.high:g}",
            why="their standard deviation exceeds the range of float64",
            fix="write them in larger units, or as logarithms",
        )
    return mean, std


def fit_words(column: Summary, indicator: bool) -> Column | LeftOut:
    """One-hot up to 20 values, an Embedding of those that occur twice beyond; nothing where hardly any does."""
    check_typos(column)
    words, count = column.words, column.train - column.train_missing
    if nearly_all(words, NAMED_MONTH):
        return LeftOut(column.name, f"dates such as {column.first!r}; write them as 2024-05-31")
    if nearly_all(words, DAY_FIRST):
        return LeftOut(
            column.name,
            f"dates such as {column.first!r}, whose day and month cannot be distinguished; write them as 2024-05-31",
        )
    codes = any(map(CODE.fullmatch, words))
    if not codes and nearly_all(words, FORMATTED) and not all(map(is_number, words)):
        return LeftOut(
            column.name, f"numbers such as {column.first!r}; write them with digits and a point, as 1234.5"
        )
    if len(words) <= ONE_HOT:
        return CategoryColumn(column.name, tuple(sorted(words)), 0, indicator)
    no_numbers = [word for word in words if not is_number(word)]
    if no_numbers and not codes and (odd := sum(words[word] for word in no_numbers)) < count / 2:
        what = f"numbers, but for {odd / count:.0%} such as {no_numbers[0][:40]!r}"
        return LeftOut(column.name, f"{what}; leave them empty if they stand for nothing")
    known = [word for word, number in words.most_common(MOST_VALUES) if number > 1]
    if sum(words[word] for word in known) < count / 2:
        return LeftOut(
            column.name, f"{column.how_many()} different words in {count:,} rows: names or free text"
        )
    width = max(2, min(32, round(len(known) ** 0.5)))
    return CategoryColumn(column.name, tuple(sorted(known)), width)


def nearly_all(words: Counter[str], form: re.Pattern[str]) -> bool:
    """Whether nearly all entries are written in that form."""
    return sum(number for word, number in words.items() if form.fullmatch(word)) > NEARLY * words.total()


def check_typos(column: Summary) -> None:
    """Raises DataError, naming the row, where nearly all words of a column are numbers and one is not."""
    numbers, words = column.typing_errors[True], column.typing_errors[False]
    if column.no_number is not None and numbers >= NEARLY * (numbers + words):
        raise column.no_number


def fit_dates(column: Summary, indicator: bool) -> Column | LeftOut:
    """Those parts of a date that differ between rows."""
    parts = {part: moments for part, moments in column.parts.items() if moments.low < moments.high}
    if not parts:
        return LeftOut(column.name, f"constant: {column.first} in every row that has one")
    means, stds = zip(*(moments.spread() for moments in parts.values()), strict=True)
    return DateColumn(column.name, tuple(parts), means, stds, indicator)


def label_line(preparation: TablePreparation, labels: Summary, why: str, guess: str) -> str:
    """What the label is, and what it was taken for."""
    what = f"label {preparation.label!r} ({why}): {preparation.task} ({guess})"
    if preparation.classes:
        return f"{what}, classes {listed(preparation.classes)}"
    return f"{what}, from {labels.numbers.low:g} to {labels.numbers.high:g}"


def what_became(preparation: TablePreparation) -> list[str]:
    """Lines for people: what is seen of the table, and what is not."""
    lines = []
    columns = preparation.columns
    if hot := [repr(c.name) for c in columns if isinstance(c, CategoryColumn) and not c.width]:
        lines.append(f"one-hot: {joined(hot)}")
    if embedded := [f"{c.name!r} ({len(c.values):,} values)" for c in preparation.embedded]:
        lines.append(f"embedded: {joined(embedded)}; values seen once or never share one row")
    if dates := [f"{c.name!r} ({', '.join(c.parts)})" for c in columns if isinstance(c, DateColumn)]:
        lines.append(f"dates split into parts: {joined(dates)}")
    if filled := [f"{c.name!r} ({c.fill:g})" for c in columns if isinstance(c, NumberColumn) and c.indicator]:
        lines.append(f"missing numbers filled with the median, and marked: {joined(filled)}")
    reasons: dict[str, list[str]] = {}
    for one in preparation.left_out:
        reasons.setdefault(one.why, []).append(repr(one.name))
    return lines + [f"left out: {joined(names)}: {why}" for why, names in reasons.items()]
