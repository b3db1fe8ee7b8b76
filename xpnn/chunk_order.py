"""A shuffled order in which samples that a file keeps together are visited close together."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.random import host_rng

Rows = NDArray[np.int64]


class ChunkOrder:
    """The order of the samples `rows` in an epoch, for data that is read in whole chunks.

    The chunks come in random order, and the samples of each `window` of them are shuffled together: a batch comes from
    as many places of the file. Within a batch the samples are sorted. bounds: the samples of chunk c are
    rows[bounds[c] : bounds[c + 1]]. The order depends on these, the seed and the epoch alone.
    """

    def __init__(self, seed: int, epoch: int, rows: Rows | range, bounds: Rows, window: int) -> None:
        self.seed, self.epoch, self.rows, self.bounds, self.window = seed, epoch, rows, bounds, window
        self.chunks = host_rng(seed, "shuffle", epoch).permutation(len(bounds) - 1)
        ends = np.cumsum(np.diff(bounds)[self.chunks])
        self.starts = np.concatenate([[0], ends[window - 1 :: window], ends[-1:]])
        """Where in the order each window begins, and where the last one ends."""
        self._window = functools.lru_cache(2)(self._shuffled)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, cut: slice) -> Rows:
        """The samples of a batch, rising."""
        start, stop, _ = cut.indices(len(self))
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = max(first + 1, int(np.searchsorted(self.starts, stop, side="left")))
        found = np.concatenate([self._window(i) for i in range(first, last)])
        return np.sort(found[start - self.starts[first] : stop - self.starts[first]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        windows = range(-(-len(self.chunks) // self.window))
        return np.asarray(np.concatenate([self._shuffled(i) for i in windows]), dtype)

    def _shuffled(self, i: int) -> Rows:
        """The samples of window number i, in random order."""
        chunks = self.chunks[i * self.window : (i + 1) * self.window]
        if not len(chunks):
            return np.empty(0, np.int64)
        rows = np.concatenate([np.asarray(self.rows[self.bounds[c] : self.bounds[c + 1]]) for c in chunks])
        return host_rng(self.seed, "shuffle", self.epoch, i).permutation(rows.astype(np.int64))
