"""Temporary files and folders, and arrays on the disk: written once, piece by piece, then read as any array is.

The file of an array has no name of its own and is gone with the array, or with the process. Pages that were read count
as memory of the process until `release` gives them back to the system, which reads them again when they are wanted.
"""

import mmap
import weakref
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tempfile import SpooledTemporaryFile, TemporaryDirectory

_MAPS: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()
"""What arrays that are still in use were mapped from."""


def temporary_folder() -> "TemporaryDirectory[str]":
    """An empty folder of our own, gone with the object, or with `cleanup`."""
    from tempfile import TemporaryDirectory  # it imports lzma

    return TemporaryDirectory(prefix="xpnn-", ignore_cleanup_errors=True)


def temporary_place() -> tuple[str, int]:
    """Where such folders and files are, and how many bytes are free there."""
    from shutil import disk_usage
    from tempfile import gettempdir

    return gettempdir(), disk_usage(gettempdir()).free


def link(source: Path, target: Path) -> None:
    """The same file under another name: a link, or a copy where there are none."""
    from shutil import copyfile

    try:
        target.symlink_to(source.resolve())
    except (OSError, NotImplementedError):
        copyfile(source, target)


def keep(stream: IO[bytes], target: Path) -> None:
    """Write everything from a stream to a file."""
    from shutil import copyfileobj

    with target.open("wb") as file:
        copyfileobj(stream, file)


def spool() -> "SpooledTemporaryFile[bytes]":
    """A file without a name for what is written first and read later: in memory while it is small."""
    from tempfile import SpooledTemporaryFile

    return SpooledTemporaryFile(1 << 26, prefix="xpnn-")


class Scratch:
    """Rows of one dtype and shape, appended with `write`; `array` ends that, and gives them all."""

    def __init__(self, dtype: str, shape: tuple[int, ...] = ()) -> None:
        from tempfile import TemporaryFile

        self.dtype, self.shape = np.dtype(dtype), shape
        self.rows = 0
        self.file: IO[bytes] = TemporaryFile(prefix="xpnn-")  # noqa: SIM115

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


def is_mapped(a: Any) -> bool:
    """Whether the numbers of an array are in a file, from where they are read when they are used."""
    while isinstance(a, np.ndarray | memoryview):
        a = a.base if isinstance(a, np.ndarray) else a.obj
    return isinstance(a, mmap.mmap)


def in_use() -> bool:
    """Whether any array on the disk is in use."""
    return len(_MAPS) > 0


def release() -> None:
    """Give the pages of all scratch files back: what is read again comes from the disk, or the system's cache."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for pages in list(_MAPS):
            pages.madvise(mmap.MADV_DONTNEED)
