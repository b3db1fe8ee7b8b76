"""y <- y + a x by the BLAS that NumPy multiplies with: one pass over memory, where NumPy's operations take two."""

import contextlib
import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends.cpu.blas import numpy_library
from xpnn.kernels import Array

TYPES = {"float32": ("s", ctypes.c_float), "float64": ("d", ctypes.c_double)}
"""{dtype: (its letter in BLAS, its type in C)}."""


def fits(x: Array, y: Array) -> bool:
    """Whether BLAS may add to y a multiple of x: it gets two addresses, and checks nothing."""
    return (
        x.dtype == y.dtype
        and x.dtype.name in TYPES
        and x.dtype.isnative
        and x.size == y.size
        and x.flags.c_contiguous
        and x.flags.aligned
        and y.flags.carray  # contiguous, aligned and writeable
    )


@functools.cache
def axpy(dtype: Any) -> Callable[[float, Array, Array], None] | None:
    """f(a, x, y) for vectors of that dtype that `fits`; None of a BLAS without 64-bit sizes in its names.

    NumPy's own wheels carry an OpenBLAS that has them.
    """
    letter, number = TYPES[np.dtype(dtype).name]
    library = numpy_library()
    for prefix in ("scipy_cblas", "cblas"):
        with contextlib.suppress(AttributeError):
            f = getattr(library, f"{prefix}_{letter}axpy64_")
            f.argtypes = ctypes.c_int64, number, *(ctypes.c_void_p, ctypes.c_int64) * 2
            f.restype = None
            return lambda a, x, y: f(y.size, a, x.ctypes.data, 1, y.ctypes.data, 1)
    return None
