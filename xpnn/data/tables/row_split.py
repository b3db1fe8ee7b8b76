"""Which rows of a table are held out, by a hash of each: a bit for each row, also of a table larger than memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xpnn.data.folds import hash_parts
from xpnn.data.tables.stored import AnyTable
from xpnn.data.tables.table import Table

FEW = 1 << 12
"""Rows of a table in memory that are looked at together."""
Masks = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class RowSplit:
    """parts[k] holds a bit for each row: whether it belongs to part k + 1; of part 0 are those that belong to none.

    Part 0 is trained on, 1 is for the test; there may be a part 2, to choose the best epoch by.
    """

    rows: int
    parts: tuple[NDArray[np.uint8], ...]

    def mask(self, part: int, start: int = 0, stop: int | None = None) -> Masks:
        """Which of the rows start to stop belong to a part. start: a multiple of 8."""
        stop = self.rows if stop is None else min(stop, self.rows)
        bits = [
            np.unpackbits(one[start // 8 : -(-stop // 8)], count=stop - start).astype(bool)
            for one in self.parts
        ]
        if part:
            return bits[part - 1]
        none: Masks = ~np.logical_or.reduce(bits) if bits else np.ones(stop - start, bool)
        return none

    def count(self, part: int) -> int:
        """How many rows belong to a part."""
        counts = [int(np.bitwise_count(one).sum()) for one in self.parts]
        return counts[part - 1] if part else self.rows - sum(counts)

    def moved(self, rows: list[int]) -> "RowSplit":
        """The split with those rows moved back to training."""
        parts = tuple(part.copy() for part in self.parts)
        for row in rows:
            for part in parts:
                part[row // 8] &= ~np.uint8(128 >> row % 8)
        return RowSplit(self.rows, parts)


def all_rows(table: AnyTable, part: int) -> RowSplit:
    """All of them belong to that part: to 0, or to 1."""
    return RowSplit(table.rows, (np.packbits(np.ones(table.rows, bool)),) if part else ())


def split_by_hash(
    table: AnyTable, label: str, shares: tuple[float, ...], *, numbered: bool = False
) -> RowSplit:
    """About those shares of the rows make the parts 1, 2, ....; equal rows stay together, and more rows move none.

    numbered: the number of each row counts too, so that equal rows do not stay together.
    """
    found = [
        hash_parts(row_keys(part, label, table, start if numbered else None), shares)
        for start, part in table.parts()
    ]
    return RowSplit(
        table.rows,
        tuple(np.concatenate([np.packbits(one == k + 1) for one in found]) for k in range(len(shares))),
    )


def keep_classes(table: AnyTable, label: str, split: RowSplit) -> tuple[RowSplit, list[str]]:
    """With at least one row of each class to train on: the first. The classes of which rows were moved for that."""
    there: set[str] = set()
    first: dict[str, int] = {}
    start = 0
    for values in table.pieces(label):
        words, train = values.words(), split.mask(0, start, start + len(values))
        there |= set(words[train].tolist())
        for row in np.flatnonzero(~train):
            first.setdefault(words[row], start + int(row))
        start += len(values)
    moved = sorted(word for word in first if word not in there)
    return (split.moved([first[word] for word in moved]), moved) if moved else (split, [])


def row_keys(part: Table, label: str, table: AnyTable, first: int | None = None) -> Iterator[bytes]:
    """What names each row: the bytes of its numbers and its words, the label left out; its number, from `first`.

    Which columns are numbers the first rows of the table say.
    """
    names = [name for name in table if name != label]
    numbers = [name for name in names if table.kinds[name] in ("numbers", "booleans")]
    words = [name for name in names if table.kinds[name] not in ("numbers", "booleans")]
    for start in range(0, part.rows, FEW):
        piece = part.part(slice(start, start + FEW))
        some: Iterable[bytes] = (b"",) * piece.rows
        if numbers:
            matrix = np.stack([piece[name].numbers() for name in numbers], axis=1).astype("<f8")
            some = (row.tobytes() for row in matrix)
        if words:
            text = zip(*(piece[name].words() for name in words), strict=True)
            some = (a + "\0".join(row).encode() for a, row in zip(some, text, strict=True))
        if first is None:
            yield from some
        else:
            yield from (a + b"\0%d" % i for i, a in enumerate(some, first + start))
