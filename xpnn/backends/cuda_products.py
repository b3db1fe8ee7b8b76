"""CuPy's matrix products, by cuBLASLt where it is there."""

import functools
import importlib
from typing import Any

from xpnn.backends.base import Backend
from xpnn.backends.cublaslt import CublasLt
from xpnn.backends.products import Products
from xpnn.kernels import Array


def find_cublaslt() -> str | None:
    """The path of the library that fits CuPy, found as CuPy finds its own; None where there is none."""
    try:
        found = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("cublasLt")
    except (ImportError, RuntimeError):  # an older CuPy has no pathfinder; no such library
        return None
    return str(found.abs_path)


class CudaProducts(Backend):
    """The overrides of what multiplies matrices. Where cuBLASLt cannot, CuPy does, which cannot be recorded."""

    cupy: Any

    @functools.cached_property
    def products(self) -> Products | None:
        """Made on first use, inside the backend's scope."""
        path = find_cublaslt()
        return None if path is None else Products(self.cupy, CublasLt(path), self.precision)

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """The bias added on the way out."""
        y = self.products and self.products(x, W, bias=b)
        return super().affine(x, W, b) if y is None else y
