"""Where data of other libraries becomes a NumPy array."""

from typing import Any

import numpy as np

from xpnn.backends import advice
from xpnn.backends.missing import refuse_missing


def to_host(a: Any) -> np.ndarray[Any, Any]:
    """Lists, NumPy arrays, torch tensors, JAX, CuPy or any DLPack array as a NumPy array of real numbers.

    Shares memory where it can, so the result may be read-only or strided; it is never written to.
    Raises DataError, with advice, for sparse and ragged data, for words, objects and complex numbers, and for what
    hands out samples one by one.
    """
    if not isinstance(a, np.ndarray):
        advice.refuse_container(a)
        refuse_missing(a)
    try:
        host = _fetch(a)
    except (ValueError, TypeError, RuntimeError, BufferError, AttributeError, OverflowError) as error:
        raise advice.unreadable(a, error) from error
    if host.dtype.kind not in "biuf":
        raise advice.no_numbers(host)
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
