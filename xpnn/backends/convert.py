"""The one edge where foreign data becomes a NumPy array."""

from typing import Any

import numpy as np

from xpnn.errors import DataError, first_line


def to_host(a: Any) -> np.ndarray[Any, Any]:
    """Lists, NumPy arrays, torch tensors, JAX, CuPy or any DLPack array as a NumPy array of real numbers.

    Shares memory where it can, so the result may be read-only or strided; it is never written to.
    Raises DataError for ragged, complex, string and object data.
    """
    try:
        host = _fetch(a)
    except (ValueError, TypeError, RuntimeError, BufferError, AttributeError, OverflowError) as error:
        raise DataError(
            f"cannot read {type(a).__name__} as an array of numbers", why=first_line(error)
        ) from error
    if host.dtype.kind not in "biuf":
        raise DataError(
            f"data of dtype {host.dtype} cannot be trained on",
            why="xpnn takes real numbers: bool, integer or floating point",
            fix="x.real, or np.asarray(x, dtype=float) if every entry is a number",
        )
    return host if host.dtype.isnative else host.astype(host.dtype.newbyteorder("="))


def _fetch(a: Any) -> np.ndarray[Any, Any]:
    if isinstance(a, np.ndarray):
        # Subclasses would carry their own arithmetic into the step; a masked array would lose its mask unseen.
        if isinstance(a, np.ma.MaskedArray) and np.ma.is_masked(a):
            raise ValueError("the masked array has masked entries; fill or drop them first")
        return np.asarray(a)
    if hasattr(a, "detach"):  # torch: off the autograd graph, off the GPU
        a = a.detach().cpu()
    elif type(a).__module__.split(".")[0] == "cupy":
        a = a.get()
    if hasattr(a, "__dlpack__"):
        try:
            return np.from_dlpack(a)
        except (BufferError, RuntimeError, TypeError, ValueError, AttributeError):
            if not hasattr(a, "__array__"):
                raise
    return np.asarray(a)
