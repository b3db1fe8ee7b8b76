"""Data of any library whose samples can be taken by their numbers: by position, whatever index it has."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.backends import advice
from xpnn.backends.convert import to_host
from xpnn.errors import DataError
from xpnn.printing import library_of, name_of
from xpnn.stored_array import StoredArray, stored

Rows = NDArray[np.int64]
TABLES = ("pandas", "polars", "pyarrow", "cudf", "modin", "dask")


def by_position(a: Any, name: str) -> tuple[int, Callable[[Rows], NDArray[Any]]]:
    """-> how many samples `a` has, and a function that gives those of some numbers, in their order.

    Arrays and anything with a shape that takes an array of row numbers stay where they are; datasets of h5py and zarr
    too, of which only the rows asked for are read. Lists, ranges, buffers and frames are made arrays. Raises DataError
    for what has no rows that can be taken by number, and for words, objects and complex numbers.
    """
    a = stored(a)
    listed = isinstance(a, Sequence | np.ma.MaskedArray) or not hasattr(a, "__getitem__")
    if library_of(a) in TABLES or listed:
        a = to_host(a)  # raises with advice for what is no array
    elif not isinstance(a, np.ndarray):
        advice.refuse_container(a)
    elif a.dtype.kind not in "biuf":
        raise advice.no_numbers(a)
    if not hasattr(a, "shape") and not hasattr(a, "__len__"):
        raise _no_rows(a, name, "without a shape and a length")
    if not isinstance(a, np.ndarray | StoredArray) and not _takes_numbers(a):
        if not hasattr(a, "__dlpack__"):
            raise _no_rows(a, name, "that does not take an array of row numbers")
        a = to_host(a)
    return _length(a, name), lambda rows: to_host(a[rows])


def _takes_numbers(a: Any) -> bool:
    """Whether an array of one row number gives one row."""
    try:
        return _length(a, "") == 0 or len(to_host(a[np.zeros(1, np.int64)])) == 1
    except (DataError, MemoryError):
        raise
    except Exception:  # whatever a library says of an index that it does not take
        return False


def _no_rows(a: Any, name: str, why: str) -> DataError:
    """The error for an object whose rows have no numbers."""
    return DataError(
        f"{name} is a {name_of(a)} {why}",
        why="its rows cannot be taken by number",
        fix="an array, or an object with a shape that takes an array of row numbers; of a file or a group, "
        "one dataset: file['x']",
    )


def _length(a: Any, name: str) -> int:
    if not hasattr(a, "shape"):
        return len(a)
    if not len(a.shape):
        raise DataError(f"{name} is a single number, wanted samples (N, ...)")
    return int(a.shape[0])
