"""CuPy's matrix products, by cuBLASLt where it is there."""

import contextlib
import functools
import importlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.backends.cuda.cublaslt import (
    BIAS,
    DRELU,
    RELU_AUX_BIAS,
    RELU_BIAS,
    SUMS_OF_FIRST,
    CublasLt,
)
from xpnn.backends.cuda.products import Products, ReluMask
from xpnn.backends.in_place import InPlace
from xpnn.errors import BackendError
from xpnn.kernels import Array

_setting = threading.Lock()
"""CuPy's way to multiply float32 is the whole process's: one of our products at a time changes it."""


def find_cublaslt() -> str | None:
    """The path of the library, found as CuPy finds its own; None where there is none."""
    try:
        found = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("cublasLt")
    except (ImportError, RuntimeError):  # an older CuPy, which has no pathfinder; no such library
        return None
    return str(found.abs_path)


@contextlib.contextmanager
def unrounded(cupy: Any) -> Iterator[None]:
    """CuPy multiplies float32 as it is, also where CUPY_TF32 or the surrounding program asks for TF32."""
    core = cupy._core
    with _setting:
        before = core.get_compute_type(np.float32)
        core.set_compute_type(np.float32, core._routines_linalg.COMPUTE_TYPE_FP32)
        try:
            yield
        finally:
            core.set_compute_type(np.float32, before)


class CudaProducts(InPlace):
    """The overrides of what multiplies matrices. Where cuBLASLt cannot, CuPy does, in float32, and is not recorded."""

    cupy: Any

    @functools.cached_property
    def products(self) -> Products | None:
        """Made on first use, inside the backend's scope."""
        path = find_cublaslt()
        if path is not None:
            return Products(self.cupy, CublasLt(path), self.precision)
        if self.precision != "fp32":
            raise BackendError(
                f"precision {self.precision!r} needs cuBLASLt, which was not found",
                why="CuPy's own products take other settings, for the whole process",
                fix="install the CUDA toolkit, or the extra ctk of CuPy's wheel; or precision='fp32'",
            )
        return None

    def _multiply(self, *args: Any, **settings: Any) -> Array | None:
        return None if self.products is None else self.products(*args, **settings)

    def operand(self, a: Array) -> Array:
        """Rounded to bf16, where that is the precision: see `Products.operand`."""
        return a if self.products is None else self.products.operand(a)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """Views are read as they lie; the result goes where it is wanted."""
        y = self._multiply(a, b, out)
        if y is not None:
            return y
        if self.products is not None:
            a, b = self.products.widened(a), self.products.widened(b)
        with unrounded(self.cupy):
            return super().matmul(a, b, out)

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """The bias added on the way out."""
        y = self._multiply(x, W, epilogue=BIAS, vector=b)
        return super().affine(x, W, b) if y is None else y

    def affine_relu(self, x: Array, W: Array, b: Array) -> Array:
        """Bias and ReLU on the way out."""
        y = self._multiply(x, W, epilogue=RELU_BIAS, vector=b)
        return super().affine_relu(x, W, b) if y is None else y

    def affine_relu_with_mask(self, x: Array, W: Array, b: Array) -> tuple[Array, Any]:
        """A bit for each number, set on the way out."""
        if self.products is not None:
            relu_mask = self.products.relu_mask(math.prod(x.shape[:-1]), W.shape[1])
            y = self.products(x, W, epilogue=RELU_AUX_BIAS, vector=b, relu_mask=relu_mask)
            if y is not None:
                return y, ReluMask(relu_mask.bits, y)
        return super().affine_relu_with_mask(x, W, b)

    def affine_grads(
        self,
        x: Array,
        W: Array,
        dy: Array,
        out: tuple[Array | None, Array | None] = (None, None),
        need_dx: bool = True,
        relu_mask: Any = None,
    ) -> tuple[Array | None, Array, Array]:
        """db while dW is summed up; of operands rounded to bf16 it would be rounded too."""
        d = self.operand(dy)
        dx = self._back(d, W, relu_mask) if need_dx else None
        if d is dy:
            db = self.xp.empty(dy.shape[1:], dtype=dy.dtype) if out[1] is None else out[1]
            dW = self._multiply(x.T, dy, out[0], SUMS_OF_FIRST, db)
            if dW is not None:
                return dx, dW, db
        return dx, self.matmul(x.T, d, out[0]), self.column_sums(dy, out[1])

    def _back(self, d: Array, W: Array, relu_mask: Any) -> Array:
        """dy W^T, and where a mask is given, 0 outside."""
        if isinstance(relu_mask, ReluMask):
            dx = self._multiply(d, W.T, epilogue=DRELU, relu_mask=relu_mask)
            if dx is not None:
                return dx
            relu_mask = relu_mask.of
        dx = self.matmul(d, W.T)
        if relu_mask is None:
            return dx
        return self.relu_grad(dx, self.xp.reshape(relu_mask, dx.shape), may_overwrite=True)
