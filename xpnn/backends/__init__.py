"""The array libraries a model can live on, chosen per model: `get_backend("cupy", "cuda:0", "float32")`."""

import functools
import importlib

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
    return cls(device or cls.devices[0], dtype)
