"""The scaling of a table's numbers apart from the rest, so that files for other programs can hold it.

Words and dates have to be turned into numbers before: a word is 1 where it is that one, else 0.
"""

from dataclasses import replace

import numpy as np

from xpnn.data.tables.columns import Column, DateColumn, Floats, NumberColumn
from xpnn.data.tables.preparation import TablePreparation


def feature_scale(preparation: TablePreparation) -> tuple[Floats, Floats]:
    """Mean and standard deviation (features,) that the numbers of each feature are scaled by; 0 and 1 for others."""
    mean, std = np.zeros(len(preparation.features)), np.ones(len(preparation.features))
    at = 0
    for column in preparation.columns:
        if column.embedding:
            continue
        if isinstance(column, NumberColumn):
            mean[at], std[at] = column.mean, column.std
        at += len(column.features())
    return mean, std


def unscaled(preparation: TablePreparation) -> TablePreparation:
    """The same columns for a network that scales numbers, and its label, itself."""
    columns = tuple(
        replace(one, mean=0.0, std=1.0) if isinstance(one, NumberColumn) else one
        for one in preparation.columns
    )
    return replace(preparation, columns=columns, label_mean=0.0, label_std=1.0)


def meanings(preparation: TablePreparation, *, scaled: bool) -> list[str]:
    """What each input of the network holds. scaled: numbers as the network was trained on, not as in the table."""
    numbers = [
        word for column in preparation.columns if not column.embedding for word in words_of(column, scaled)
    ]
    ids = [
        f"{one.name}: " + ", ".join(f"{i} {value}" for i, value in enumerate(("any other", *one.values)))
        for one in preparation.embedded
    ]
    return [", ".join(numbers), *ids]


def words_of(column: Column, scaled: bool) -> list[str]:
    """The features of one column: "town=Ulm" is 1 or 0, "(age - 40.5) over 12" a number that is scaled."""
    names = list(column.features())
    if isinstance(column, NumberColumn) and scaled:
        names[0] = f"({names[0]} - {column.mean:.9g}) over {column.std:.9g}"
    if isinstance(column, DateColumn):
        for i, (mean, std) in enumerate(zip(column.means, column.stds, strict=True)):
            names[i] = f"({names[i]} - {mean:.9g}) over {std:.9g}"
    return names
