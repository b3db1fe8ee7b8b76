"""Splits that last: by a hash, which more data does not move, and into k folds, each held out once."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.split import Indices, classes_of
from xpnn.errors import UsageError


def hash_split(keys: Iterable[str | bytes], held_out: float, salt: str = "") -> tuple[Indices, Indices]:
    """`train, held`: rising indices into `keys`, sample i held out if hash(salt, keys[i]) / 2^64 < held_out.

    Each sample's side depends on its own key alone: more samples move none, and equal keys stay together. A key is
    what names the sample: a file's name, a row's bytes (`row_keys`). About `held_out` of all are held out, not exactly.
    Raises UsageError for a share outside 0 to 1.
    """
    if not 0 <= held_out <= 1:
        raise UsageError(f"held_out={held_out}: wanted a share from 0 to 1")
    mask = hash_parts(keys, (held_out,), salt) == 1
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def hash_parts(keys: Iterable[str | bytes], shares: tuple[float, ...], salt: str = "") -> NDArray[np.int8]:
    """The part of each key: 1 for the first of `shares`, 2 for the next, ..., 0 for what is left."""
    ends = [round(sum(shares[: i + 1]) * 2**64) for i in range(len(shares))]
    return np.fromiter(
        ((bisect_right(ends, _hash(key, salt)) + 1) % (len(ends) + 1) for key in keys), np.int8
    )


def _hash(key: str | bytes, salt: str) -> int:
    data = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=salt.encode()[:64]).digest(), "big")


def keep_classes(y: NDArray[Any], train: Indices, held: Indices) -> tuple[Indices, Indices, list[str]]:
    """train and held with at least one sample of each class to train on, and the classes of those that were moved.

    y: the class of each sample, a number or a word.
    """
    there = set(y[train])
    moved: list[int] = []
    for row in held:
        if y[row] not in there:
            there.add(y[row])
            moved.append(int(row))
    if not moved:
        return train, held, []
    return np.sort(np.append(train, moved)), np.setdiff1d(held, moved), sorted({str(y[row]) for row in moved})


def row_keys(x: NDArray[Any]) -> list[bytes]:
    """The bytes of each sample, as its key: little-endian, the same on every machine."""
    rows = np.ascontiguousarray(x, x.dtype.newbyteorder("<"))
    return [row.tobytes() for row in rows]


def k_folds(y: NDArray[Any], k: int, rng: np.random.Generator) -> Iterator[tuple[Indices, Indices]]:
    """k pairs `train, held`: every sample is held out once; rising indices into `y`.

    Integer or boolean `y` (N,) are classes, each spread over the folds to within one sample, and so are the folds'
    sizes; any other `y` (N, ...) is spread at random. Raises UsageError for fewer than 2 folds or more than samples.
    """
    n = len(y)
    if not 2 <= k <= n:
        raise UsageError(f"cannot make {k} folds of {n} samples", why="wanted from 2 to as many as samples")
    dealt = np.concatenate([rng.permutation(group) for group in classes_of(y)])
    fold = np.empty(n, np.int64)
    fold[dealt] = np.arange(n) % k  # dealt out class by class, going on where the last class ended
    for i in range(k):
        yield np.flatnonzero(fold != i), np.flatnonzero(fold == i)
