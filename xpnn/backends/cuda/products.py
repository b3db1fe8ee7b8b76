"""Matrix products on a GPU by cuBLASLt: which product, in which precision, and where the result goes."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.cuda import cublaslt, gemm
from xpnn.backends.cuda.cublaslt import (
    BIAS,
    DRELU,
    PLAIN,
    RELU_AUX_BIAS,
    RELU_BIAS,
    SUMS_OF_FIRST,
    CublasLt,
    Plan,
    line,
)
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
"""Bytes: no algorithm needs a larger alignment (the default of cuBLASLt's preference)."""

PLANS = 1024
"""The most plans of products that are kept; then the oldest is dropped."""
VECTOR = 16
"""Bytes that must divide the address of a vector (found for a bias by llm.c and Marian; not in the manual)."""

TO_BF16 = """
unsigned int bits = __float_as_uint(x);
y = x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
"""
"""The upper half of a float32, rounded to nearest, ties to even; every NaN becomes the same one."""
FROM_BF16 = "y = __uint_as_float((unsigned int)x << 16)"
BF16 = np.dtype(np.uint16)
"""The dtype of arrays that hold bf16, which NumPy and CuPy lack. No other arrays of this dtype are multiplied."""


@dataclass(frozen=True)
class ReluMask:
    """A bit for each number of a ReLU's result `of`, in cuBLASLt's order: set where the number is above 0."""

    bits: Array
    of: Array = None


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
        taken = BF16 if precision == "bf16" else np.dtype(np.float32)
        self.numbers = {np.dtype(np.float64): "float64", taken: precision}
        if precision == "bf16":
            self._to_bf16 = cupy.ElementwiseKernel("float32 x", "uint16 y", TO_BF16, "xpnn_to_bf16")
            self._from_bf16 = cupy.ElementwiseKernel("uint16 x", "float32 y", FROM_BF16, "xpnn_from_bf16")

    def __call__(
        self,
        a: Array,
        b: Array,
        out: Array | None = None,
        epilogue: int = PLAIN,
        vector: Array | None = None,
        relu_mask: "ReluMask | None" = None,
    ) -> Array | None:
        """a @ b, in `out` where that is given, which has no gaps.

        epilogue: BIAS adds `vector`, RELU_BIAS also cuts off at 0 (NaN stays), SUMS_OF_FIRST writes the column sums of
        b to it; RELU_AUX_BIAS is RELU_BIAS that sets the bits of `relu_mask`, DRELU gives 0 where none is set. None
        where cuBLASLt cannot: vectors, nothing to multiply, other dtypes, or no algorithm.
        """
        a, b = self.operand(a), self.operand(b)
        numbers = self.numbers.get(a.dtype)
        if (
            numbers is None
            or b.dtype != a.dtype
            or min(a.ndim, b.ndim) < 2
            or not a.size
            or not b.size
            or (vector is not None and alignment(vector) < VECTOR)
        ):
            return None
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        dtype = np.float64 if numbers == "float64" else np.float32
        out = self.cupy.empty((*stack, a.shape[-2], b.shape[-1]), dtype) if out is None else out
        product = gemm.plan(_shape_and_strides(a), _shape_and_strides(b))
        if product is None:  # the library cannot read them in place
            a, b = (
                self.cupy.ascontiguousarray(self.cupy.broadcast_to(m, (*stack, *m.shape[-2:])))
                for m in (a, b)
            )
            product = gemm.plan(_shape_and_strides(a), _shape_and_strides(b))
        with self._lock:
            plan = self._plan(product, numbers, (b, a, out), epilogue, vector, relu_mask)
            if plan is not None:
                self._run(plan, (b, a, out), vector, relu_mask)
        return None if plan is None else out

    def operand(self, a: Array) -> Array:
        """float32 as bf16 where that is the precision; other arrays unchanged. A transposed view stays transposed."""
        if self.precision != "bf16" or a.dtype != np.float32:
            return a
        order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
        return self._to_bf16(a.transpose(order)).transpose(np.argsort(order).tolist())

    def widened(self, a: Array) -> Array:
        """A bf16 operand as float32 again, for products that cuBLASLt does not compute."""
        return self._from_bf16(a) if self.precision == "bf16" and a.dtype == BF16 else a

    def relu_mask(self, rows: int, columns: int) -> "ReluMask":
        """An empty mask for a result (rows, columns)."""
        return ReluMask(self.cupy.empty((rows, line(columns) // 8), np.uint8))

    def _plan(
        self,
        product: Any,
        numbers: str,
        arrays: tuple[Array, ...],
        epilogue: int,
        vector: Array | None,
        relu_mask: "ReluMask | None",
    ) -> Plan | None:
        aligned = tuple(map(alignment, arrays))
        key = product, numbers, epilogue, aligned, 0 if vector is None else alignment(vector)
        if key not in self.plans:
            if self.cupy.cuda.get_current_stream().is_capturing():
                return None  # the library may refuse to suggest an algorithm while a stream is captured
            given = address(vector), None if relu_mask is None else address(relu_mask.bits)
            plan = Plan(self.lt, self.handle, product, NUMBERS[numbers], epilogue, aligned, *given)
            usable = plan.algorithm is not None and self._works(plan, epilogue, arrays, vector, relu_mask)
            if len(self.plans) == PLANS:
                del self.plans[next(iter(self.plans))]
            self.plans[key] = plan if usable else None
        return self.plans[key]

    def _works(self, plan: Plan, epilogue: int, *given: Any) -> bool:
        """Try the plan once on other memory: the library may suggest an algorithm and then refuse or misapply it."""
        trials: dict[int, tuple[Callable[..., Any], ...]] = {
            PLAIN: (),
            BIAS: (self._runs,),
            SUMS_OF_FIRST: (self._runs,),
            RELU_BIAS: (self._keeps_nan,),
            RELU_AUX_BIAS: (self._keeps_nan, self._leaves_0),
            DRELU: (self._reads_mask,),
        }
        try:
            return all(trial(plan, *given) for trial in trials[epilogue])
        except BackendError:
            return False

    def _runs(
        self, plan: Plan, arrays: tuple[Array, ...], vector: Array, relu_mask: "ReluMask | None"
    ) -> tuple[Array]:
        """The result with a vector of NaN, in a tuple; BackendError if the library refuses."""
        *operands, out = arrays
        trial = self.cupy.empty_like(out)
        self._run(plan, (*operands, trial), self.cupy.full_like(vector, float("nan")), relu_mask)
        return (trial,)

    def _keeps_nan(self, *given: Any) -> bool:
        """Is ReLU(NaN) = NaN? The manual says max(x, 0), which may be 0 and would hide a fault."""
        (trial,) = self._runs(*given)
        return bool(self.cupy.isnan(trial).all())

    def _leaves_0(self, plan: Plan, arrays: tuple[Array, ...], bias: Array, relu_mask: "ReluMask") -> bool:
        """Is no bit set where the result is 0? ReLU's slope is 0 there; the manual does not say."""
        *operands, out = arrays
        own, trial = ReluMask(self.cupy.zeros_like(relu_mask.bits)), self.cupy.zeros_like(out)
        with plan.without_product():
            self._run(plan, (*operands, trial), self.cupy.zeros_like(bias), own)
        return not bool(own.bits.any()) and not bool(trial.any())

    def _reads_mask(self, plan: Plan, arrays: tuple[Array, ...], _: None, relu_mask: "ReluMask") -> bool:
        """Does the mask keep ones just where the array that it was made from is above 0?"""
        *operands, out = arrays
        trial = self.cupy.full_like(out, 1.0)
        with plan.without_product():
            self._run(plan, (*operands, trial), None, relu_mask)
        return bool((trial == (relu_mask.of.reshape(out.shape) > 0)).all())

    def _run(
        self, plan: Plan, arrays: tuple[Array, ...], vector: Array | None, relu_mask: "ReluMask | None"
    ) -> None:
        size = plan.algorithm.workspace if plan.algorithm is not None else 0
        # From the current pool, which belongs to the graph alone while a step is recorded.
        workspace = self.cupy.cuda.alloc(size) if size else None
        first, second, result = (a.data.ptr for a in arrays)
        plan.run(
            (first, second, result),
            address(vector),
            None if relu_mask is None else address(relu_mask.bits),
            None if workspace is None else workspace.ptr,
            size,
            self.cupy.cuda.get_current_stream().ptr,
        )


def address(a: Array | None) -> int | None:
    """The address of an array's first number; None for no array."""
    return None if a is None else int(a.data.ptr)


def alignment(a: Array) -> int:
    """The largest power of two that divides its address, at most ALIGNMENT."""
    return int(min(a.data.ptr & -a.data.ptr, ALIGNMENT))


def _shape_and_strides(a: Array) -> tuple[gemm.Ints, gemm.Ints]:
    return a.shape, tuple(step // a.itemsize for step in a.strides)
