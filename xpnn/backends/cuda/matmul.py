"""CuPy's matrix products, by cuBLASLt where it is installed; elsewhere by CuPy, in float32, and without recorded steps.

`be`, in the kernels here, is a backend with the module `cupy` and with `products`: what `open_products` gives.
"""

import contextlib
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
from xpnn.errors import BackendError
from xpnn.kernels import Array, Kernels

_setting = threading.Lock()
"""How CuPy multiplies float32 is a setting of the process: held while one of our products changes it."""


def find_cublaslt() -> str | None:
    """The path of the library, found in the way CuPy finds its own; None if it is not installed."""
    try:
        found = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("cublasLt")
    except (ImportError, RuntimeError):  # an older CuPy has no pathfinder; or the library is missing
        return None
    return str(found.abs_path)


@contextlib.contextmanager
def unrounded(cupy: Any) -> Iterator[None]:
    """CuPy multiplies float32 without rounding its operands, even if CUPY_TF32 or the program asks for TF32."""
    core = cupy._core
    with _setting:
        before = core.get_compute_type(np.float32)
        core.set_compute_type(np.float32, core._routines_linalg.COMPUTE_TYPE_FP32)
        try:
            yield
        finally:
            core.set_compute_type(np.float32, before)


def open_products(cupy: Any, precision: str) -> Products | None:
    """Products by cuBLASLt on the current device; None if the library is not installed."""
    path = find_cublaslt()
    if path is not None:
        return Products(cupy, CublasLt(path), precision)
    if precision != "fp32":
        raise BackendError(
            f"precision {precision!r} needs cuBLASLt, which was not found",
            why="CuPy's own products take other settings, for the whole process",
            fix="install the CUDA toolkit, or the extra ctk of CuPy's wheel; or precision='fp32'",
        )
    return None


def _multiply(be: Any, *args: Any, **settings: Any) -> Array | None:
    return None if be.products is None else be.products(*args, **settings)


def operand(be: Any, a: Array) -> Array:
    """Rounded to bf16 where that is the precision; see `Products.operand`."""
    return a if be.products is None else be.products.operand(a)


def matmul(be: Any, a: Array, b: Array, out: Array | None = None) -> Array:
    """Views are multiplied without a copy; the result goes straight to `out`."""
    y = _multiply(be, a, b, out)
    if y is not None:
        return y
    if be.products is not None:
        a, b = be.products.widened(a), be.products.widened(b)
    with unrounded(be.cupy):
        return Kernels.matmul(be, a, b, out)


def affine(be: Any, x: Array, W: Array, b: Array) -> Array:
    """The bias is added in the epilogue of the product."""
    y = _multiply(be, x, W, epilogue=BIAS, vector=b)
    return Kernels.affine(be, x, W, b) if y is None else y


def affine_relu(be: Any, x: Array, W: Array, b: Array) -> Array:
    """Bias and ReLU are the epilogue of the product."""
    y = _multiply(be, x, W, epilogue=RELU_BIAS, vector=b)
    return Kernels.affine_relu(be, x, W, b) if y is None else y


def affine_relu_with_mask(be: Any, x: Array, W: Array, b: Array) -> tuple[Array, Any]:
    """The mask has a bit for each number, set in the epilogue of the product."""
    if be.products is not None:
        relu_mask = be.products.relu_mask(math.prod(x.shape[:-1]), W.shape[1])
        y = be.products(x, W, epilogue=RELU_AUX_BIAS, vector=b, relu_mask=relu_mask)
        if y is not None:
            return y, ReluMask(relu_mask.bits, y)
    return Kernels.affine_relu_with_mask(be, x, W, b)


def affine_grads(
    be: Any,
    x: Array,
    W: Array,
    dy: Array,
    out: tuple[Array | None, Array | None] = (None, None),
    need_dx: bool = True,
    relu_mask: Any = None,
) -> tuple[Array | None, Array, Array]:
    """db comes from the epilogue of dW, except in bf16: it would be summed from rounded numbers there."""
    d = be.operand(dy)
    dx = _back(be, d, W, relu_mask) if need_dx else None
    if d is dy:
        db = be.xp.empty(dy.shape[1:], dtype=dy.dtype) if out[1] is None else out[1]
        dW = _multiply(be, x.T, dy, out[0], SUMS_OF_FIRST, db)
        if dW is not None:
            return dx, dW, db
    return dx, be.matmul(x.T, d, out[0]), be.column_sums(dy, out[1])


def _back(be: Any, d: Array, W: Array, relu_mask: Any) -> Array:
    """dx = dy W^T, and 0 where a given mask is not set."""
    if isinstance(relu_mask, ReluMask):
        dx = _multiply(be, d, W.T, epilogue=DRELU, relu_mask=relu_mask)
        if dx is not None:
            return dx
        relu_mask = relu_mask.of
    dx = be.matmul(d, W.T)
    if relu_mask is None:
        return dx
    return be.relu_grad(dx, be.xp.reshape(relu_mask, dx.shape), may_overwrite=True)
