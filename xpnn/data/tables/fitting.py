"""From a table to its preparation: what each column becomes, measured on the rows that are trained on."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.columns import (
    MOST_VALUES,
    PARTS,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    date_part,
)
from xpnn.data.tables.labels import choose_label, class_names, guess_task
from xpnn.data.tables.preparation import LeftOut, TablePreparation, check_labelled, joined
from xpnn.data.tables.reading import is_index, read_table
from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.values import Values
from xpnn.errors import DataError

ONE_HOT = 20
"""Different words up to this are one-hot, more get an Embedding."""
NEARLY = 0.95
"""From this share of numbers on, words in a column are typing errors, not values."""
NAMED_ID = re.compile(r"(?i:(.*[_ ])?(id|index|uuid|guid))|[A-Za-z0-9]*[a-z](Id|ID)", re.ASCII)
FORMATTED = re.compile(r"[$€£¥]? ?[-+]?\d[\d.,' ]*( ?[%$€£¥])?")
DAY_FIRST = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?")


def prepare_table(
    source: Any, label: str | int | None = None, task: str | None = None
) -> tuple[Any, NDArray[Any], TablePreparation]:
    """`x, y, preparation`: samples and targets of a table for a network, and what a model remembers about the table.

    source: whatever `read_table` takes. x: float32 (N, features), scaled; with embedded columns a tuple of that and
    ids (N,) for each. y: class ids, or scaled numbers. label, task: chosen as `xpnn train table` does by default.

        x, y, preparation = prepare_table(df, label="price")
        model = Model([Dense(64), ReLU(), Dense(preparation.outputs)], preparation.input_shape,
                      loss="mse", preparation=preparation)

    Raises as `read_table` does, and UsageError for a label that is not there.
    """
    table = read_table(source, label)
    name, _ = choose_label(table, label)
    preparation = fit_preparation(table, name, task or guess_task(table[name])[0], slice(None))
    return preparation.samples(table), preparation.targets(table[name]), preparation


def fit_preparation(table: AnyTable, label: str, task: str, rows: Any) -> TablePreparation:
    """Columns, scaling and label of a table, measured on its `rows`. Raises DataError where no column is left."""
    labels = table[label]
    check_labelled(labels)
    classes = class_names(labels) if task == "classification" else ()
    mean, std = (0.0, 1.0) if classes else spread(labels[rows].numbers())
    columns: list[Column] = []
    left_out: list[LeftOut] = []
    for name, values in table.items():
        if name == label:
            continue
        found = pixel_column(values, rows) if table.pixels else fit_column(values, values[rows])
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
    return TablePreparation(label, task, classes, tuple(columns), tuple(left_out), mean, std)


def relabelled(known: TablePreparation, labels: Values, task: str, rows: Any) -> TablePreparation:
    """The columns of a preparation with another label."""
    check_labelled(labels)
    classes = class_names(labels) if task == "classification" else ()
    mean, std = (0.0, 1.0) if classes else spread(labels[rows].numbers())
    return replace(known, label=labels.name, task=task, classes=classes, label_mean=mean, label_std=std)


def pixel_column(values: Values, rows: Any) -> Column | LeftOut:
    """One pixel: all of them are scaled alike, since rare ink in a corner is no reason to magnify it."""
    data = values.data[rows]
    if data.min() == data.max():
        return LeftOut(values.name, f"constant: {data[0]} in every row")
    return NumberColumn(values.name, 0.0, 255.0, 0.0)


def fit_column(values: Values, train: Values) -> Column | LeftOut:
    """What a column becomes, by all of its entries; its statistics are those of the training rows."""
    name, there = values.name, train[~train.missing]
    if is_index(values):
        return LeftOut(name, "it numbers the rows")
    if not len(there):
        return LeftOut(name, "nothing in it" if values.missing.all() else "nothing in the rows to train on")
    if not train.missing.any() and constant(there):
        return LeftOut(name, f"constant: {str(there[:1].words()[0])[:40]} in every row")
    if (
        NAMED_ID.fullmatch(name)
        and len(train) > 2
        and is_whole(there)
        and count_different(there) == len(train)
    ):
        return LeftOut(name, "it names the rows: different in each, and called an id")
    if values.kind == "dates":
        return fit_dates(there, bool(train.missing.any()))
    if values.kind == "numbers":
        return fit_numbers(there, bool(train.missing.any()))
    return fit_words(values, train)


def constant(there: Values) -> bool:
    """Whether all entries are one."""
    return bool((there.data == there.data[0]).all())


def count_different(there: Values) -> int:
    """How many different entries there are."""
    return len(set(there.data.tolist()))


def is_whole(values: Values) -> bool:
    """Words, or whole numbers."""
    return values.kind == "words" or (
        values.kind == "numbers" and bool(np.array_equal(values.numbers(), np.floor(values.numbers())))
    )


def fit_numbers(there: Values, indicator: bool) -> NumberColumn:
    """Mean, standard deviation and median of what is there; with a missing entry also an indicator."""
    x = there.numbers()
    mean, std = spread(x)
    return NumberColumn(there.name, mean, std, float(np.median(x)), indicator)


def spread(x: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation in float64; std is 1 where all numbers are one, whatever rounding makes of it."""
    mean = float(x.mean())
    std = float((x - mean).std())  # the squares of what is large would cancel
    noise = 8 * np.finfo(np.float64).eps * max(abs(float(x.min())), abs(float(x.max())))
    return mean, std if x.min() < x.max() and std > noise else 1.0


def fit_words(values: Values, train: Values) -> Column | LeftOut:
    """One-hot up to 20 values, an Embedding of those that occur twice beyond; nothing where hardly any does."""
    check_typos(values)
    there = train[~train.missing]
    words = there.words().tolist()
    different = len(set(words))
    dates = sum(bool(DAY_FIRST.fullmatch(word)) for word in words)
    if dates > NEARLY * len(words):
        return LeftOut(
            values.name,
            f"dates such as {words[0]!r}, whose day and month cannot be told apart; write them as 2024-05-31",
        )
    if sum(bool(FORMATTED.fullmatch(word)) for word in words) > NEARLY * len(words):
        return LeftOut(
            values.name, f"numbers such as {words[0]!r}; write them with digits and a point, as 1234.5"
        )
    indicator = bool(train.missing.any())
    if different <= ONE_HOT:
        return CategoryColumn(values.name, tuple(sorted(set(words))), 0, indicator)
    counts = Counter(words)
    known = [word for word, count in counts.most_common(MOST_VALUES) if count > 1]
    if sum(counts[word] for word in known) < len(words) / 2:
        return LeftOut(
            values.name, f"{different:,} different words in {len(there):,} rows: names or free text"
        )
    width = max(2, min(32, round(len(known) ** 0.5)))
    return CategoryColumn(values.name, tuple(sorted(known)), width)


def check_typos(values: Values) -> None:
    """Raises DataError, naming the row, where nearly all words of a column are numbers and one is not."""
    if values.kind != "words":
        return
    there = np.flatnonzero(~values.missing)
    numbers = np.array([is_number(values.data[i]) for i in there])
    if not numbers.all() and numbers.mean() >= NEARLY:
        raise values.bad(there[int(np.argmin(numbers))], "a number, as in nearly all rows of that column")


def is_number(word: Any) -> bool:
    """Whether float takes it."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def fit_dates(there: Values, indicator: bool) -> Column | LeftOut:
    """Those parts of a date that differ between rows."""
    dates = there.dates()
    parts = {part: date_part(dates, part) for part in PARTS}
    parts = {part: x for part, x in parts.items() if x.min() < x.max()}
    if not parts:
        return LeftOut(there.name, f"constant: {dates[0]} in every row that has one")
    means, stds = zip(*map(spread, parts.values()), strict=True)
    return DateColumn(there.name, tuple(parts), means, stds, indicator)


def what_became(preparation: TablePreparation) -> list[str]:
    """Lines for people: what is seen of the table, and what is not."""
    lines = []
    columns = preparation.columns
    if hot := [repr(c.name) for c in columns if isinstance(c, CategoryColumn) and not c.width]:
        lines.append(f"one-hot: {joined(hot)}")
    if embedded := [f"{c.name!r} ({len(c.values):,} values)" for c in preparation.embedded]:
        lines.append(f"embedded: {joined(embedded)}; values met once or never share one row")
    if dates := [f"{c.name!r} ({', '.join(c.parts)})" for c in columns if isinstance(c, DateColumn)]:
        lines.append(f"dates split into parts: {joined(dates)}")
    if filled := [f"{c.name!r} ({c.fill:g})" for c in columns if isinstance(c, NumberColumn) and c.indicator]:
        lines.append(f"missing numbers filled with the median, and marked: {joined(filled)}")
    reasons: dict[str, list[str]] = {}
    for one in preparation.left_out:
        reasons.setdefault(one.why, []).append(repr(one.name))
    return lines + [f"left out: {joined(names)}: {why}" for why, names in reasons.items()]
