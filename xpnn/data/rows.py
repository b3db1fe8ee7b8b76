"""Data of any library whose samples can be taken by their numbers: by position, whatever index it has."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.backends import advice
from xpnn.backends.convert import to_host
from xpnn.errors import DataError
from xpnn.printing import library_of, name_of
from xpnn.stored_array import stored

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
    if hasattr(a, "keys") and not hasattr(a, "shape"):  # a group of h5py or zarr
        raise _no_rows(a, name, "of several arrays")
    if hasattr(a, "__dlpack__") and not isinstance(a, np.ndarray) and not _takes_numbers(a):
        a = to_host(a)

    def take(rows: Rows) -> NDArray[Any]:
        try:
            found = a[rows]
        except (TypeError, IndexError) as error:
            raise _no_rows(a, name, "that does not take an array of row numbers") from error
        return to_host(found)

    return _length(a, name), take


def _takes_numbers(a: Any) -> bool:
    """Whether an array of another library takes row numbers of NumPy."""
    try:
        a[np.zeros(0, np.int64)]
    except (TypeError, IndexError):
        return False
    return True


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
