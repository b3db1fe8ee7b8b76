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
        raise DataError(
            f"{name} is a {name_of(a)} without a shape and a length",
            why="its rows cannot be taken by number",
            fix="an array, or an object with a shape that takes an array of row numbers",
        )
    return _length(a, name), lambda rows: to_host(a[rows])


def _length(a: Any, name: str) -> int:
    if not hasattr(a, "shape"):
        return len(a)
    if not len(a.shape):
        raise DataError(f"{name} is a single number, wanted samples (N, ...)")
    return int(a.shape[0])
