"""Axes that a Reshape joins or cuts: where they lie, and where they would have to."""

from collections.abc import Sequence

Order = tuple[int, ...]


def before_joining(joined: list[tuple[list[int], list[int]]], end: Order, rank: int) -> Order:
    """The order of axes from which a Reshape gives that order `end`."""
    busy: list[int] = []
    for i in end[1:]:
        pair = next((pair for pair in joined if i in pair[1]), None)
        if pair is not None and pair[0][0] not in busy:
            busy += pair[0]
    return (0, *(i for i in range(1, rank) if i not in busy), *busy)


def side_by_side(joined: list[tuple[list[int], list[int]]], ours: list[int]) -> bool:
    """Whether the axes that are joined or cut lie side by side in our array, in ONNX's order."""
    while ours:
        before = next(pair[0] for pair in joined if ours[0] in pair[0])
        if ours[: len(before)] != before:
            return False
        ours = ours[len(before) :]
    return True


def with_ones(shape: Sequence[int], batch: int, others: list[int], usual: Sequence[Order]) -> Order:
    """An order of all axes with those others in theirs. Axes of 1 may stand anywhere: as is usual, where that fits."""
    for order in usual:
        if order[0] == batch and [i for i in order[1:] if shape[i] > 1] == others:
            return order
    return (batch, *(i for i, n in enumerate(shape) if n == 1 and i != batch), *others)
