"""The array libraries a model can live on, chosen per model: `get_backend("cupy", "cuda:0", "float32")`."""

import contextlib
import functools
import importlib.util
import os
from typing import Any

from xpnn.backends.base import DTYPES, PRECISIONS, Backend
from xpnn.backends.registry import BUILT_IN, backend_names, outside_backend, register_backend
from xpnn.errors import UsageError, did_you_mean

__all__ = [
    "BACKENDS",
    "DTYPES",
    "PRECISIONS",
    "Backend",
    "backend_names",
    "get_backend",
    "register_backend",
]

BACKENDS = BUILT_IN
"""xpnn's own: {name: class}. `backend_names()` has those from outside, too."""


def get_backend(
    name: str | Backend = "numpy",
    device: str | None = None,
    dtype: str | None = None,
    precision: str | None = None,
) -> Backend:
    """The backend of that name, imported only now; equal arguments give the same object.

    A Backend is returned as it is; device, dtype and precision beside it must be those that it has.
    `device` is "cpu", "cuda" or "cuda:1", for torch also "mps" or "xpu", for jax "gpu", "tpu" or "METAL": what the
    library has on this machine. None means the backend's own default (the GPU for cupy, else the CPU).
    `dtype` is "float32" (unless given) or "float64". `precision`, of CuPy in float32: "fp32" (unless given) multiplies
    matrices as they are; "tf32" and "bf16" let tensor cores round their entries to 10 and to 7 bits behind the binary
    point, and sum in float32 as well. Weights stay float32.
    Raises UsageError for an unknown name, device, dtype or precision, BackendError for a library that is missing or
    broken.
    """
    if isinstance(name, Backend):
        check_same(name, device=device, dtype=dtype, precision=precision)
        return name
    cls: Any = backend_class(name)
    if not all(isinstance(word, str | None) for word in (device, dtype, precision)):
        raise UsageError(
            f"device={device!r}, dtype={dtype!r}, precision={precision!r}: wanted words",
            fix="device='cpu', dtype='float32', precision='fp32'",
        )
    dtype, precision = "float32" if dtype is None else dtype, "fp32" if precision is None else precision
    return _open(cls, device, dtype, precision)


def backend_class(name: str) -> type[Backend]:
    """The class of the backend of that name: for "numpy", the one with numba's loops where they are used.

    Raises UsageError for an unknown name.
    """
    cls: type[Backend] | None = None
    if not isinstance(name, str) or (name not in BUILT_IN and (cls := outside_backend(name)) is None):
        known = backend_names()
        fix = "backend='cupy' (device 'cuda')" if name in ("cuda", "gpu") else did_you_mean(name, known)
        raise UsageError(f"unknown backend {name!r}", fix=fix)
    if name == "numpy" and loops_wanted():
        with contextlib.suppress(ImportError):  # a numba that does not fit this NumPy: without it, then
            cls = importlib.import_module("xpnn.backends.cpu.fast").FastNumpyBackend
    return cls or getattr(importlib.import_module(f"xpnn.backends.{name}"), BUILT_IN[name])


def check_same(be: Backend, **asked: str | None) -> None:
    """Raise UsageError where a device, dtype or precision is asked for beside a backend that has another."""
    has = {"device": be.device_name, "dtype": be.dtype_name, "precision": be.precision}
    for what, value in asked.items():
        if value is not None and value != has[what]:
            raise UsageError(
                f"{what}={value!r} beside {be!r}, whose {what} is {has[what]!r}",
                fix=f"leave {what} out, or give the backend by its name",
            )


@functools.lru_cache(maxsize=64)
def _open(cls: type[Backend], device: str | None, dtype: str, precision: str) -> Backend:
    return cls(device or cls.devices[0], dtype, precision)


def loops_wanted() -> bool:
    """Is numba there, and not switched off by XPNN_FAST=0?"""
    return os.environ.get("XPNN_FAST", "1") != "0" and importlib.util.find_spec("numba") is not None
