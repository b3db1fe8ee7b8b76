"""The array libraries a model can live on, chosen per model: `get_backend("cupy", "cuda:0", "float32")`."""

import contextlib
import functools
import importlib.util
import os

from xpnn.backends.base import DTYPES, Backend
from xpnn.errors import UsageError, did_you_mean

__all__ = ["BACKENDS", "DTYPES", "Backend", "get_backend"]

BACKENDS = {
    "numpy": "NumpyBackend",
    "cupy": "CupyBackend",
    "torch": "TorchBackend",
    "jax": "JaxBackend",
    "strict": "StrictBackend",
}


def get_backend(name: str = "numpy", device: str | None = None, dtype: str = "float32") -> Backend:
    """The backend of that name, imported only now; equal arguments give the same object.

    `device` is "cpu", "cuda" or "cuda:1"; None means the backend's own default (the GPU for cupy, else the CPU).
    Raises UsageError for an unknown name, device or dtype, BackendError for a library that is missing or broken.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        fix = "backend='cupy' (device 'cuda')" if name in ("cuda", "gpu") else did_you_mean(name, BACKENDS)
        raise UsageError(f"unknown backend {name!r}", fix=fix)
    if not isinstance(device, str | None) or not isinstance(dtype, str):
        raise UsageError(
            f"device={device!r}, dtype={dtype!r}: wanted words", fix="device='cpu', dtype='float32'"
        )
    return _open(name, device, dtype)


@functools.lru_cache(maxsize=64)
def _open(name: str, device: str | None, dtype: str) -> Backend:
    cls: type[Backend] = getattr(importlib.import_module(f"xpnn.backends.{name}"), BACKENDS[name])
    if name == "numpy" and loops_wanted():
        with contextlib.suppress(ImportError):  # a numba that does not fit this NumPy: without it, then
            cls = importlib.import_module("xpnn.backends.numpy_fast").FastNumpyBackend
    return cls(device or cls.devices[0], dtype)


def loops_wanted() -> bool:
    """Is numba there, and not switched off by XPNN_FAST=0?"""
    return os.environ.get("XPNN_FAST", "1") != "0" and importlib.util.find_spec("numba") is not None
