"""The order in which an epoch visits the samples, where it is cut into batches, and the batches themselves.

    batch b of epoch e = order_e[b B : (b + 1) B]        the last one may be shorter

The order depends on the seed and the epoch alone, so a run that resumes in epoch 5 shuffles as epoch 5.
From 16,777,216 samples on it is made as it is read, from shuffled blocks: see `BlockOrder`.
"""

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xpnn.chunk_order import ChunkOrder
from xpnn.data.rows import by_position
from xpnn.errors import DataError, UsageError
from xpnn.random import host_rng
from xpnn.read_ahead import read_ahead
from xpnn.stored_array import StoredArray, stored

MANY, BLOCK, WINDOW = 1 << 24, 1 << 8, 1 << 16


@dataclass(frozen=True, eq=False)
class BlockOrder:
    """A shuffled order of 0 ... n - 1 in little memory: its slices are made when they are asked for.

    Blocks of 256 samples come in random order, and each 256 blocks are shuffled together, so a batch comes from 256
    places. A permutation of all would take 8 bytes for each sample, and samples on the disk would be read one by one.
    """

    seed: int
    epoch: int
    n: int

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, cut: slice) -> NDArray[np.int64]:
        start, stop, _ = cut.indices(self.n)
        windows = range(start // WINDOW, -(-max(stop, start + 1) // WINDOW))
        first = windows.start * WINDOW
        return np.concatenate([self._window(i) for i in windows])[start - first : stop - first]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    @functools.cached_property
    def _blocks(self) -> NDArray[np.int64]:
        return host_rng(self.seed, "shuffle", self.epoch).permutation(self.n // BLOCK)

    @functools.lru_cache(2)  # noqa: B019
    def _window(self, i: int) -> NDArray[np.int64]:
        """Positions i WINDOW ... (i + 1) WINDOW; the last has the samples that fill no block."""
        many = WINDOW // BLOCK
        rows = (self._blocks[i * many : (i + 1) * many, None] * BLOCK + np.arange(BLOCK)).reshape(-1)
        if (i + 1) * WINDOW >= self.n:
            rows = np.concatenate([rows, np.arange(self.n // BLOCK * BLOCK, self.n)])
        return host_rng(self.seed, "shuffle", self.epoch, i).permutation(rows)


def epoch_order(seed: int, epoch: int, n: int) -> NDArray[np.int64] | BlockOrder:
    """The permutation of 0 ... n - 1 in which epoch `epoch` visits `n` samples; take slices."""
    if n >= MANY:
        return BlockOrder(seed, epoch, n)
    return host_rng(seed, "shuffle", epoch).permutation(n)


@dataclass(frozen=True)
class Slices:
    """The slices that cut `n` samples into batches of `batch_size`, as often as it is iterated.

    Raises `DataError` without samples and `UsageError` for a batch size below 1.
    """

    n: int
    batch_size: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise DataError("no samples", why="expected at least one, found none")
        if self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}", why="expected 1 or more", fix="batch_size=128")

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __iter__(self) -> Iterator[slice]:
        for start in range(0, self.n, self.batch_size):
            yield slice(start, min(start + self.batch_size, self.n))


class Batch(NamedTuple):
    """Number `number` (from 0) of epoch `epoch` (from 1), as NumPy arrays."""

    epoch: int
    number: int
    x: NDArray[Any]
    y: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Batches:
    """Shuffled batches of `x` (N, ...) and `y` (N, ...), for your own loop around `Trainer.step`.

    Only the rows of a batch are ever read: `x` may be memory-mapped (`read_npy`) and larger than memory, or anything
    with a shape that takes an array of row numbers. A dataset of h5py or zarr is read in whole chunks, which a thread
    reads ahead: see `StoredArray`. Lists, DataFrames and Series are taken by position, whatever
    their index. weights: (N,), the chance of each sample, relative to the others; balanced: each class as often as the
    others, whatever it counts; both draw N samples with replacement, without
    them each epoch visits every sample once. ahead: so many batches are read in advance by a thread.

        for batch in Batches(x, y, ahead=2).epochs(5, start=(3, 40)):
            trainer.step(be.asarray(batch.x), be.asarray(batch.y))

    Raises DataError and UsageError for what cannot be: no samples, x and y of different lengths, weights that are
    negative, not finite or all 0.
    """

    x: Any
    y: Any
    batch_size: int = 128
    seed: int = 0
    weights: Any = None
    balanced: bool = False
    ahead: int = 0
    _n: int = field(init=False, repr=False)
    _take_x: Callable[[Any], NDArray[Any]] = field(init=False, repr=False)
    _take_y: Callable[[Any], NDArray[Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("batch_size", "seed", "ahead"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise UsageError(f"Batches({name}={value!r}): wanted a whole number")
        if self.seed < 0:
            raise UsageError(f"Batches(seed={self.seed}): wanted 0 or more")
        object.__setattr__(self, "x", stored(self.x))
        (n, take_x), (labels, take_y) = by_position(self.x, "x"), by_position(self.y, "y")
        if self._in_chunks:
            take_x = self.x.by_chunks
        Slices(n, self.batch_size)
        if n != labels:
            raise DataError(f"x has {n} samples, y has {labels}", fix="one label for each sample")
        for name, value in (("_n", n), ("_take_x", take_x), ("_take_y", take_y)):
            object.__setattr__(self, name, value)
        if self.ahead < 0:
            raise UsageError(f"ahead={self.ahead}: wanted a number of batches, 0 or more")
        if self.weights is not None and self.balanced:
            raise UsageError("weights and balanced at once", why="each sets how often a sample is picked")
        if self.weights is not None:
            object.__setattr__(self, "weights", _chances(self.weights, n))
        if self.balanced:
            object.__setattr__(self, "weights", _balanced(take_y(np.arange(n))))

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(Slices(self._n, self.batch_size))

    @property
    def _in_chunks(self) -> bool:
        """Whether x is read in the order of its chunks: not where samples are picked by their weights."""
        return isinstance(self.x, StoredArray) and self.weights is None and not self.balanced

    def order(self, epoch: int) -> NDArray[np.int64] | BlockOrder | ChunkOrder:
        """The samples of that epoch, in order."""
        n = self._n
        if self._in_chunks:
            order: ChunkOrder = self.x.order(self.seed, epoch, range(n))
            return order
        if self.weights is None:
            return epoch_order(self.seed, epoch, n)
        return host_rng(self.seed, "draw", epoch).choice(n, n, p=self.weights)

    def epochs(self, count: int, start: tuple[int, int] = (1, 0)) -> Iterator[Batch]:
        """Epochs 1 to `count`, from batch `start[1]` of epoch `start[0]` on: exactly the rest of the whole run.

        What goes wrong in the reading thread is raised here. The thread ends with the last batch, or when the
        iterator is closed or forgotten. Raises UsageError in a forked process, to which the thread does not come along.
        """
        places = self._places(count, start)
        ahead = self.ahead or (self.x.window * self.x.chunk // self.batch_size if self._in_chunks else 0)
        if not ahead:
            yield from (self._read(*place) for place in places)
            return
        owner = os.getpid()
        for batch in read_ahead(lambda place: self._read(*place), places, ahead):
            yield batch
            check_process(owner)

    def _places(self, count: int, start: tuple[int, int]) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
        """Epoch, number and rows of each batch."""
        first, skipped = start
        if first < 1 or not 0 <= skipped <= len(self):
            raise UsageError(f"start={start}: wanted an epoch from 1 and a batch from 0 to {len(self)}")
        for epoch in range(first, count + 1):
            order = self.order(epoch)
            for number, cut in enumerate(Slices(len(order), self.batch_size)):
                if epoch > first or number >= skipped:
                    yield epoch, number, order[cut]

    def _read(self, epoch: int, number: int, rows: NDArray[np.int64]) -> Batch:
        return Batch(epoch, number, self._take_x(rows), self._take_y(rows))


def check_process(owner: int) -> None:
    """Raises UsageError in any process but that one: what its thread was to read would be waited for in vain."""
    if os.getpid() != owner:
        raise UsageError(
            f"batches that a thread of process {owner} reads ahead",
            why="a forked process has no threads but its own",
            fix="start a new iterator there: epochs(count, start=(epoch, number of the batch))",
        )


def _chances(weights: Any, n: int) -> NDArray[np.float64]:
    w = np.asarray(weights, np.float64)
    wrong = np.flatnonzero(~(np.isfinite(w) & (w >= 0))) if w.shape == (n,) else np.empty(0, np.int64)
    if w.shape != (n,) or len(wrong) or not w.any():
        raise DataError(
            f"weight {wrong[0]} is {w[wrong[0]]}"
            if len(wrong)
            else f"weights of shape {w.shape} for {n} samples",
            why="wanted one for each: finite, at least 0 and not all 0",
        )
    chances: NDArray[np.float64] = w / w.sum()
    return chances


def _balanced(y: NDArray[Any]) -> NDArray[np.float64]:
    """The chance of a sample: 1 / (classes x samples of its class)."""
    if y.ndim != 1:
        raise DataError(f"balanced batches want class ids (N,), got labels of shape {y.shape}")
    _, of, counts = np.unique(y, return_inverse=True, return_counts=True)
    return _chances(1 / counts[of], len(y))
