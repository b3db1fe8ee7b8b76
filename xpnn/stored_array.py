"""Samples that stay in an HDF5 file or a Zarr store, and are read from there in whole chunks while they are used."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.backends import advice
from xpnn.chunk_order import ChunkOrder
from xpnn.errors import DataError
from xpnn.printing import library_of
from xpnn.read_ahead import read_ahead

Rows = NDArray[np.int64]
LIBRARIES = ("h5py", "zarr")
BLOCK = 256
"""Samples read at a time of a dataset that is not chunked."""
WINDOW = 64 << 20
"""Bytes of the chunks whose samples are shuffled together."""
SPARSE = 8
"""Samples of a chunk for each that is wanted, up to which chunks are read whole."""
FEWEST = 8
"""Chunks that are shuffled together at least."""


class StoredArray:
    """A dataset of h5py or zarr as samples (N, ...): its shape is known, and its numbers stay where they are.

    Slices and arrays of row numbers are read when they are asked for. rows: the rows of the dataset, rising, that are
    the samples; all of them by default. chunk: how many rows the file keeps together; window: how many chunks an epoch
    shuffles together, 64 MiB of samples and at least 8 chunks. Raises DataError for anything but real numbers.
    """

    def __init__(self, dataset: Any, rows: Rows | range | None = None) -> None:
        if not dataset.shape:
            raise DataError("a dataset of a single number", why="wanted samples (N, ...)")
        self.dataset, self.dtype = dataset, np.dtype(dataset.dtype)
        if self.dtype.kind not in "biuf":
            raise advice.no_numbers(np.empty(0, self.dtype))
        self.rows = range(dataset.shape[0]) if rows is None else rows
        self.shape = (len(self.rows), *map(int, dataset.shape[1:]))
        self.ndim = len(self.shape)
        each = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))
        self.nbytes = len(self.rows) * each
        stored = getattr(dataset, "shards", None) or dataset.chunks
        self.chunk = int(stored[0]) if stored else BLOCK
        self.window = max(FEWEST, WINDOW // max(1, self.chunk * each))
        self._held: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{self.dtype} of shape {self.shape}, in chunks of {self.chunk} samples>"

    def __getitem__(self, which: Any) -> NDArray[Any]:
        """The samples of a slice, or of row numbers in any order. Whatever else is asked for is an error of NumPy's."""
        which, *others = which if isinstance(which, tuple) else (which,)
        if any(one is not Ellipsis for one in others):
            raise DataError("a stored array is indexed by samples alone", fix="x[rows][..., columns]")
        if isinstance(which, slice) and isinstance(self.rows, range):
            start, stop, step = which.indices(len(self))
            if step == 1:
                return self._native(self.dataset[start : max(start, stop)])
        rows = np.asarray(self.rows)[which]
        if len(np.unique(rows // self.chunk)) * self.chunk <= SPARSE * rows.size:
            return self._take(rows, self._read)
        once, back = np.unique(rows, return_inverse=True)
        return self._rising(once)[back.reshape(rows.shape)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def some(self) -> int:
        """The step between samples of which all together are at most a window: what is estimated by those alone."""
        return max(1, -(-int(self.nbytes) // WINDOW))

    def subset(self, rows: Rows) -> "StoredArray":
        """Those samples, as another stored array of the same dataset. rows: rising."""
        return StoredArray(self.dataset, np.asarray(self.rows)[rows])

    def order(self, seed: int, epoch: int, train: Rows | range) -> ChunkOrder:
        """The order in which that epoch visits the samples `train`, which are rising row numbers."""
        edges = np.arange(0, self.dataset.shape[0] + self.chunk, self.chunk)
        train = train if isinstance(train, range) else np.sort(train)
        rows = self.rows if isinstance(train, range) else np.asarray(self.rows)[train]
        bounds = np.minimum(edges, len(rows)) if isinstance(rows, range) else np.searchsorted(rows, edges)
        return ChunkOrder(seed, epoch, train, bounds, self.window)

    def read(self, batches: Iterable[Rows]) -> Iterator[NDArray[Any]]:
        """The samples of each of the batches, whose chunks a thread reads about one window in advance."""
        batches = iter(batches)
        for first in batches:
            ahead = self.window * self.chunk // max(1, len(first))
            yield from read_ahead(self.by_chunks, itertools.chain([first], batches), ahead)

    def by_chunks(self, samples: Rows) -> NDArray[Any]:
        """The samples of those numbers, from chunks that are read whole and kept for the next batches.

        For one thread at a time.
        """
        rows = samples if isinstance(self.rows, range) else np.asarray(self.rows)[samples]
        out = self._take(rows, self._kept)
        while len(self._held) > 2 * self.window:
            self._held.popitem(last=False)
        return out

    def _take(self, rows: Rows, chunk: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
        """Rows of the dataset in any order, out of its chunks."""
        of, out = rows // self.chunk, np.empty((*rows.shape, *self.shape[1:]), self.dtype.newbyteorder("="))
        for number in np.unique(of).tolist():
            inside = of == number
            out[inside] = chunk(number)[rows[inside] - number * self.chunk]
        return out

    def _read(self, number: int) -> NDArray[Any]:
        """One chunk of the dataset."""
        return self._native(self.dataset[number * self.chunk : (number + 1) * self.chunk])

    def _kept(self, number: int) -> NDArray[Any]:
        """The same, from those that were used last where it is there."""
        if number not in self._held:
            self._held[number] = self._read(number)
        self._held.move_to_end(number)
        return self._held[number]

    def _rising(self, rows: Rows) -> NDArray[Any]:
        """Rising rows of the dataset, each once."""
        found = self.dataset[rows] if library_of(self.dataset) == "h5py" else self.dataset.oindex[rows]
        return self._native(found)

    def _native(self, a: Any) -> NDArray[Any]:
        return np.asarray(a).astype(self.dtype.newbyteorder("="), copy=False)


def stored(a: Any) -> Any:
    """A dataset of h5py or zarr as a StoredArray; anything else as it is."""
    kind = type(a)
    is_dataset = library_of(a) in LIBRARIES and kind.__name__ in ("Dataset", "Array", "AsyncArray")
    return StoredArray(a) if is_dataset and hasattr(a, "dtype") else a
