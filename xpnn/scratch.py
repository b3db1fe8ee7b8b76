"""Arrays on the disk that are larger than memory: written once, piece by piece, then read as any array is.

The file has no name of its own and is gone with the array, or with the process. Pages that were read count as memory of
the process until `release` gives them back to the system, which reads them again when they are wanted.
"""

import mmap
import weakref
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

_MAPS: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()
"""What arrays that are still in use were mapped from."""


class Scratch:
    """Rows of one dtype and shape, appended with `write`; `array` ends that, and gives them all."""

    def __init__(self, dtype: str, shape: tuple[int, ...] = ()) -> None:
        import tempfile

        self.dtype, self.shape = np.dtype(dtype), shape
        self.rows = 0
        self.file: IO[bytes] = tempfile.TemporaryFile(prefix="xpnn-")  # noqa: SIM115

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows (n, *shape). Raises OSError where the disk is full."""
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.rows += len(rows)

    def array(self) -> NDArray[Any]:
        """All rows (N, *shape), read-only, on the disk."""
        self.file.flush()
        with self.file:
            if not self.rows or 0 in self.shape:
                return np.empty((self.rows, *self.shape), self.dtype)
            pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        _MAPS.add(pages)
        found: NDArray[Any] = np.frombuffer(pages, self.dtype).reshape(self.rows, *self.shape)
        return found


def release() -> None:
    """Give the pages of all scratch files back: what is read again comes from the disk, or the system's cache."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for pages in list(_MAPS):
            pages.madvise(mmap.MADV_DONTNEED)
