"""C <- op(A) op(B) in compiled code, by the OpenBLAS that NumPy multiplies with."""

import contextlib
import ctypes
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from xpnn.backends.cpu.atomics import place
from xpnn.backends.cpu.axpy import TYPES
from xpnn.backends.cpu.blas import numpy_library
from xpnn.backends.cpu.lanes import primitive

BY_ROWS, PLAIN, TRANSPOSED = 101, 111, 112
"""CBLAS's names for the order of a matrix and for op."""
INT, SIZE = ir.IntType(32), ir.IntType(64)


def address_of_gemm(dtype: Any) -> int | None:
    """Where it lies for that dtype; None of a BLAS without 64-bit sizes in its names."""
    if (name := np.dtype(dtype).name) in TYPES:
        for prefix in ("scipy_cblas", "cblas"):
            with contextlib.suppress(AttributeError):
                f = getattr(numpy_library(), f"{prefix}_{TYPES[name][0]}gemm64_")
                return ctypes.cast(f, ctypes.c_void_p).value
    return None


@primitive
def gemm(
    _: Any, function: Any, a_turned: Any, b_turned: Any, m: Any, n: Any, k: Any,
    A: Any, a: Any, lda: Any, B: Any, b: Any, ldb: Any, C: Any, c: Any, ldc: Any,
) -> Any:  # fmt: skip
    """C (m, n) <- op(A) (m, k) op(B) (k, n), op the transpose where `turned`.

    A, B, C: vectors, the matrices begin at a, b, c, and their rows lie lda, ldb, ldc apart. Nothing is checked.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.get_value_type(C.dtype)
        pointer = number.as_pointer()
        kinds = INT, INT, INT, SIZE, SIZE, SIZE, number, pointer, SIZE, pointer, SIZE, number, pointer, SIZE
        kind = ir.FunctionType(ir.VoidType(), kinds)
        f, a_turned, b_turned, m, n, k, A_, a, lda, B_, b, ldb, C_, c, ldc = args
        at = [place(context, builder, *each) for each in ((A, A_, a), (B, B_, b), (C, C_, c))]

        def op(turned: Any) -> Any:
            return builder.select(turned, INT(TRANSPOSED), INT(PLAIN))

        builder.call(
            builder.inttoptr(f, kind.as_pointer()),
            (
                INT(BY_ROWS), op(a_turned), op(b_turned), m, n, k, ir.Constant(number, 1.0),
                at[0], lda, at[1], ldb, ir.Constant(number, 0.0), at[2], ldc,
            ),
        )  # fmt: skip
        return context.get_dummy_value()

    sizes = types.int64, types.boolean, types.boolean, *(types.intp,) * 3
    operands = A, types.intp, types.intp, B, types.intp, types.intp, C, types.intp, types.intp
    return types.void(*sizes, *operands), generate
