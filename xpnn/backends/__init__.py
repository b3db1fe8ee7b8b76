"""The array libraries a model can live on, chosen per model: `get_backend("cupy", "cuda:0", "float32")`."""

import contextlib
import functools
import importlib.util
import os

from xpnn.backends.base import DTYPES, PRECISIONS, Backend
from xpnn.errors import UsageError, did_you_mean

__all__ = ["BACKENDS", "DTYPES", "PRECISIONS", "Backend", "get_backend"]

BACKENDS = {
    "numpy": "NumpyBackend",
    "cupy": "CupyBackend",
    "torch": "TorchBackend",
    "jax": "JaxBackend",
    "strict": "StrictBackend",
}


def get_backend(
    name: str = "numpy", device: str | None = None, dtype: str = "float32", precision: str = "fp32"
) -> Backend:
    """The backend of that name, imported only now; equal arguments give the same object.

    `device` is "cpu", "cuda" or "cuda:1"; None means the backend's own default (the GPU for cupy, else the CPU).
    `precision`, of CuPy in float32: "fp32" multiplies matrices as they are; "tf32" and "bf16" let tensor cores round
    their entries to 10 and to 7 bits behind the binary point, and sum in float32 as well. Weights stay float32.
    Raises UsageError for an unknown name, device, dtype or precision, BackendError for a library that is missing or
    broken.
    """
    if not isinstance(name, str) or name not in BACKENDS:
        fix = "backend='cupy' (device 'cuda')" if name in ("cuda", "gpu") else did_you_mean(name, BACKENDS)
        raise UsageError(f"unknown backend {name!r}", fix=fix)
    if not isinstance(device, str | None) or not isinstance(dtype, str) or not isinstance(precision, str):
        raise UsageError(
            f"device={device!r}, dtype={dtype!r}, precision={precision!r}: wanted words",
            fix="device='cpu', dtype='float32', precision='fp32'",
        )
    return _open(name, device, dtype, precision)


@functools.lru_cache(maxsize=64)
def _open(name: str, device: str | None, dtype: str, precision: str) -> Backend:
    cls: type[Backend] = getattr(importlib.import_module(f"xpnn.backends.{name}"), BACKENDS[name])
    if name == "numpy" and loops_wanted():
        with contextlib.suppress(ImportError):  # a numba that does not fit this NumPy: without it, then
            cls = importlib.import_module("xpnn.backends.cpu.fast").FastNumpyBackend
    return cls(device or cls.devices[0], dtype, precision)


def loops_wanted() -> bool:
    """Is numba there, and not switched off by XPNN_FAST=0?"""
    return os.environ.get("XPNN_FAST", "1") != "0" and importlib.util.find_spec("numba") is not None
