"""Matrix products on a GPU by cuBLASLt: what is asked of it, in which numbers, and where the result goes."""

import threading
from typing import Any

import numpy as np

from xpnn.backends.cuda import cublaslt, gemm
from xpnn.backends.cuda.cublaslt import PLAIN, RELU_BIAS, CublasLt, Plan
from xpnn.errors import BackendError
from xpnn.kernels import Array

# {numbers: (type of the operands, type of the result, how it is computed)}
NUMBERS = {
    "float64": (cublaslt.R_64F, cublaslt.R_64F, cublaslt.COMPUTE_64F),
    "fp32": (cublaslt.R_32F, cublaslt.R_32F, cublaslt.COMPUTE_32F),
    "tf32": (cublaslt.R_32F, cublaslt.R_32F, cublaslt.COMPUTE_32F_FAST_TF32),
    "bf16": (cublaslt.R_16BF, cublaslt.R_32F, cublaslt.COMPUTE_32F),
}

ALIGNMENT = 256
"""Bytes; an address need not be a multiple of more for any algorithm (the default of cuBLASLt's preference)."""

PLANS = 1024
"""Products that are remembered; then the oldest is forgotten."""
VECTOR = 16
"""Bytes that must divide the address of a vector (of a bias, llm.c and Marian found so; the manual is silent)."""

TO_BF16 = """
unsigned int bits = __float_as_uint(x);
y = x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
"""
"""The upper half of a float32, rounded to nearest, ties to even; every NaN becomes the same one."""


class Products:
    """x W, x W + b and max(x W + b, 0) of float32 or float64 arrays, on the device that is current when it is made.

    precision, of float32: "fp32" keeps all bits of the operands; "tf32" rounds them to 10 bits behind the binary
    point, "bf16" to 7. Sums are float32 in all three.
    """

    def __init__(self, cupy: Any, lt: CublasLt, precision: str) -> None:
        self.cupy, self.lt, self.precision = cupy, lt, precision
        self.handle = lt.create("")
        self.plans: dict[Any, Plan | None] = {}
        self._lock = threading.Lock()
        if precision == "bf16":
            self._to_bf16 = cupy.ElementwiseKernel("float32 x", "uint16 y", TO_BF16, "xpnn_to_bf16")

    def __call__(
        self,
        a: Array,
        b: Array,
        into: Array | None = None,
        epilogue: int = PLAIN,
        vector: Array | None = None,
    ) -> Array | None:
        """a @ b, in `into` where that is given, which has no gaps.

        epilogue: BIAS adds `vector`, RELU_BIAS also cuts off at 0 (NaN stays), SUMS_OF_FIRST writes the column sums of
        b to it. None where cuBLASLt cannot: vectors, nothing to multiply, other dtypes, or no algorithm.
        """
        if a.dtype not in (np.float32, np.float64) or b.dtype != a.dtype:
            return None
        if (
            min(a.ndim, b.ndim) < 2
            or not a.size
            or not b.size
            or (vector is not None and alignment(vector) < VECTOR)
        ):
            return None
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        out = self.cupy.empty((*stack, a.shape[-2], b.shape[-1]), a.dtype) if into is None else into
        numbers = "float64" if a.dtype == np.float64 else self.precision
        if numbers == "bf16":
            a, b = self._narrow(a), self._narrow(b)
        product = gemm.plan(_lying(a), _lying(b))
        if product is None:  # no way to read them as they lie
            a, b = (
                self.cupy.ascontiguousarray(self.cupy.broadcast_to(m, (*stack, *m.shape[-2:])))
                for m in (a, b)
            )
            product = gemm.plan(_lying(a), _lying(b))
        with self._lock:
            plan = self._plan(product, numbers, (b, a, out), epilogue, vector)
            if plan is not None:
                self._run(plan, (b, a, out), vector)
        return None if plan is None else out

    def _narrow(self, a: Array) -> Array:
        """In bf16; a transposed view stays one."""
        order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
        return self._to_bf16(a.transpose(order)).transpose(np.argsort(order).tolist())

    def _plan(
        self, product: Any, numbers: str, arrays: tuple[Array, ...], epilogue: int, vector: Array | None
    ) -> Plan | None:
        aligned = tuple(map(alignment, arrays))
        key = product, numbers, epilogue, aligned, 0 if vector is None else alignment(vector)
        if key not in self.plans:
            if self.cupy.cuda.get_current_stream().is_capturing():
                return None  # too late to ask: the library may not answer while a stream is captured
            address = None if vector is None else vector.data.ptr
            plan = Plan(self.lt, self.handle, product, NUMBERS[numbers], epilogue, aligned, address)
            usable = plan.algorithm is not None and (
                vector is None or self._works(plan, epilogue, arrays, vector)
            )
            if len(self.plans) == PLANS:
                del self.plans[next(iter(self.plans))]
            self.plans[key] = plan if usable else None
        return self.plans[key]

    def _works(self, plan: Plan, epilogue: int, arrays: tuple[Array, ...], vector: Array) -> bool:
        """Tried once, beside what is wanted: an algorithm that was named may be refused all the same.

        And of ReLU the manual says max(x, 0), which of NaN and 0 may be 0: that would hide a fault.
        """
        *operands, out = arrays
        trial = self.cupy.empty_like(out)
        try:
            self._run(plan, (*operands, trial), self.cupy.full_like(vector, float("nan")))
        except BackendError:
            return False
        return epilogue != RELU_BIAS or bool(self.cupy.isnan(trial).all())

    def _run(self, plan: Plan, arrays: tuple[Array, ...], vector: Array | None) -> None:
        size = plan.algorithm.workspace if plan.algorithm is not None else 0
        # From the pool of the moment: while a step is recorded that is the graph's own, and nobody else gets it.
        workspace = self.cupy.cuda.alloc(size) if size else None
        first, second, result = (a.data.ptr for a in arrays)
        plan.run(
            (first, second, result),
            None if vector is None else vector.data.ptr,
            None if workspace is None else workspace.ptr,
            size,
            self.cupy.cuda.get_current_stream().ptr,
        )


def alignment(a: Array) -> int:
    """The largest power of two that divides its address, up to what matters."""
    return int(min(a.data.ptr & -a.data.ptr, ALIGNMENT))


def _lying(a: Array) -> tuple[gemm.Ints, gemm.Ints]:
    return a.shape, tuple(step // a.itemsize for step in a.strides)
