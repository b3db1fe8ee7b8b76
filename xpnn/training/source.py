"""Where `fit` gets batches from that come ready made: a DataLoader, a generator, a function, a list of them."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.backends.convert import to_host
from xpnn.data.batches import Batches
from xpnn.errors import DataError, UsageError
from xpnn.trees import tree_map

WANTED = "(x, y) or (x, y, sample_weight), each an array or for several inputs a tuple of arrays"


class Source:
    """Batches (x, y) or (x, y, weight), so many for each epoch.

    given: what can be iterated again for each epoch, such as a DataLoader or `data.Batches`; an iterator, which goes on
    from epoch to epoch; or a function that returns one. steps: how many batches an epoch has, where `len` is
    not known. Raises UsageError where neither says so, and for what holds no batches.
    """

    def __init__(self, given: Any, steps: int | None) -> None:
        if (
            hasattr(given, "shape")
            or isinstance(given, dict | str)
            or not (callable(given) or hasattr(given, "__iter__") or isinstance(given, Batches))
        ):
            raise UsageError(
                f"fit was given a {type(given).__name__} and no y",
                fix="fit(x, y), or fit(batches) with a DataLoader or an iterator of (x, y)",
            )
        known = length(given) if steps is None else steps
        if known is None:
            raise UsageError(
                f"nothing says how many batches of this {type(given).__name__} are an epoch",
                why="schedules and the bar need the number of steps",
                fix="fit(batches, steps_per_epoch=100)",
            )
        self.given, self.steps = given, known
        self._going = given if hasattr(given, "__next__") else None

    def epoch(self, number: int) -> Iterator[tuple[Any, Any, Any]]:
        """The batches of that epoch, counted from 1. Raises DataError where they end early, or are none."""
        steps, given = self.steps, self.given
        if isinstance(given, Batches):
            batches: Iterator[Any] = given.epochs(number, start=(number, 0))
        else:
            batches = self._going or iter(given() if callable(given) else given)
        done = 0
        for done, batch in enumerate(itertools.islice(batches, steps), 1):
            yield parts(batch, f"batch {done} of epoch {number}")
        if done < steps:
            raise DataError(
                f"the batches ended after {done} of the {steps} of epoch {number}",
                fix=f"steps_per_epoch={max(1, done)}, or an iterator that goes on; a function that returns a new one "
                "is called for each epoch",
            )


def length(given: Any) -> int | None:
    """How many batches it says that it has; None where it does not."""
    try:
        return len(given)
    except TypeError:  # a DataLoader over an iterable dataset has the method, and refuses
        return None


def parts(batch: Any, place: str) -> tuple[Any, Any, Any]:
    """x, y and weights (or None) of one batch. Raises DataError."""
    if hasattr(batch, "x") and hasattr(batch, "y"):
        return batch.x, batch.y, None
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        got = f"{len(batch)} parts" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
        raise DataError(f"{place} is {got}", why=f"wanted {WANTED}")
    return (*batch, None)[:3]


def collected(given: Any) -> tuple[Any, Any]:
    """All of x and of y in the batches of an iterable, on the host."""
    found = [parts(batch, f"batch {i}")[:2] for i, batch in enumerate(_once(given), 1)]
    if not found:
        raise DataError("the iterable gave no batches to evaluate")
    xs, ys = (
        [tree_map(lambda _, a: to_host(a), _tuples(a)) for a in side] for side in zip(*found, strict=True)
    )
    return joined(xs), joined(ys)


def _once(given: Any) -> Iterator[Any]:
    if isinstance(given, Batches):
        return given.epochs(1)
    if hasattr(given, "shape") or isinstance(given, dict | str) or not hasattr(given, "__iter__"):
        raise UsageError(f"a {type(given).__name__} and no y", fix="x and y, or batches of (x, y)")
    return iter(given)


def _tuples(a: Any) -> Any:
    several = isinstance(a, list | tuple) and len(a) > 0 and hasattr(a[0], "shape") and len(a[0].shape) > 0
    return tuple(a) if several else a


def joined(batches: list[Any]) -> Any:
    """One array of them all, or a tuple of arrays."""
    if isinstance(batches[0], tuple):
        return tuple(np.concatenate(each) for each in zip(*batches, strict=True))
    return np.concatenate(batches)
