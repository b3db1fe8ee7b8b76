"""Holding out a part of the data, with each class in it as in the whole.

    n_c     samples of class c          quota of class c = held n_c / n
    n       samples in all              held out: the class's quota, rounded down or up
    held    samples held out            up for those whose quotas have the largest remainders

Source: the largest-remainder method (A. Hamilton, 1792), which keeps the total exact.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import UsageError
from xpnn.printing import counted

Indices = NDArray[np.int64]


def stratified_split(
    y: NDArray[Any], held_out: float | int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """`train, held`: rising indices into `y` that share none and leave none out.

    `held_out` is a fraction between 0 and 1 (a float) or a number of samples (an int). Integer or
    boolean `y` (N,) are classes, each represented to within one sample, and none loses its last one; any other
    `y` (N, ...) is split at random. Raises `UsageError` when either part would be empty, or a class would be.
    """
    n = len(y)
    held = held_out if isinstance(held_out, int) else _rounded(held_out, n)
    if not 0 < held < n:
        raise UsageError(
            f"cannot hold out {held_out} of {n} samples",
            why="both parts must keep at least one sample",
            fix="more samples, or validation data of its own"
            if isinstance(held_out, float) and 0 < held_out < 1
            else "give a fraction between 0 and 1, or a count from 1 to one less than the samples",
        )
    groups = classes_of(y)
    if len(groups) > n - held:
        least = min(groups, key=len)
        raise UsageError(
            f"cannot hold out {held} of {n} samples and keep one of each of {len(groups)} classes",
            why=f"{counted(n - held, 'sample')} would be left for them; class {int(y[least[0]])} has {len(least)}",
            fix="hold out less, or pass validation data of its own; numbers that are no classes as floats",
        )
    chosen = [
        rng.permutation(group)[:count]
        for group, count in zip(groups, _share([len(group) for group in groups], held), strict=True)
    ]
    mask = np.zeros(n, dtype=bool)
    mask[np.concatenate(chosen)] = True
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _rounded(fraction: float, n: int) -> int:
    share = float(fraction) * n  # may be infinite, of a finite fraction
    return round(share) if math.isfinite(share) else 0


def classes_of(y: NDArray[Any]) -> list[Indices]:
    """The indices of each class of integer or boolean `y` (N,), by rising class; all of them for any other `y`."""
    if y.ndim != 1 or y.dtype.kind not in "iub":
        return [np.arange(len(y))]
    order = np.argsort(y, kind="stable")
    starts = np.flatnonzero(np.diff(y[order])) + 1
    return np.split(order, starts)


def _share(sizes: list[int], held: int) -> list[int]:
    """`held` shared out in proportion to `sizes`; in integers, so that no rounding can tip a tie.

    Each class keeps one: what is too much for one goes to those with the most left.
    """
    total = sum(sizes)
    shares = [held * size // total for size in sizes]
    remainders = [held * size % total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda c: -remainders[c])
    for c in by_remainder[: held - sum(shares)]:
        shares[c] += 1
    for c, size in enumerate(sizes):
        shares[c] = min(shares[c], size - 1)
    for _ in range(held - sum(shares)):
        most = max(range(len(sizes)), key=lambda c: sizes[c] - shares[c])
        shares[most] += 1
    return shares
