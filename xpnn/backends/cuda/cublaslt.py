"""NVIDIA's cuBLASLt by ctypes: matrix products that may be recorded. CuPy refuses its own while a stream is captured.

Numbers of enumerations and the layout of structures: cublasLt.h, cublas_api.h and library_types.h of cuBLAS 13.1 (the
wheel nvidia-cublas carries them), unchanged since CUDA 12.0. The library is the one that CuPy has found.
"""

import contextlib
import ctypes
import weakref
from collections.abc import Iterator
from ctypes import (
    POINTER,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from xpnn.backends.cuda.gemm import Operand, Product
from xpnn.errors import BackendError

R_32F, R_64F, R_16BF = 0, 1, 14  # cudaDataType_t
COMPUTE_32F, COMPUTE_64F, COMPUTE_32F_FAST_TF32 = 68, 70, 77  # cublasComputeType_t
PLAIN, BIAS, RELU_BIAS, SUMS_OF_FIRST = 1, 4, 6, 256  # cublasLtEpilogue_t
RELU_AUX_BIAS, DRELU = 134, 136  # the first writes the mask of a ReLU, the second reads it
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8  # cublasLtMatmulDescAttributes_t
AUX_POINTER, AUX_LEAD = 11, 12
BATCH_COUNT, BATCH_STEP = 5, 6  # cublasLtMatrixLayoutAttribute_t
MAX_WORKSPACE, MIN_ALIGNMENT = 1, (5, 6, 7, 8)  # cublasLtMatmulPreferenceAttributes_t; of A, B, C, D
OP_T = 1  # cublasOperation_t
INVALID_VALUE, ARCH_MISMATCH, NOT_SUPPORTED = 7, 8, 15  # cublasStatus_t

LINE = 128
"""Bits: the masks of two columns lie a multiple of that apart."""
WORKSPACE = 32 << 20
"""Bytes an algorithm may ask for: NVIDIA's advice for Hopper in the cuBLAS manual."""


class Algorithm(ctypes.Structure):
    """The C structure cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algo", c_uint64 * 8),
        ("workspace", c_size_t),
        ("state", c_int),
        ("waves", c_float),
        ("reserved", c_int * 4),
    )


SIGNATURES: dict[str, tuple[Any, ...]] = {
    "Create": (POINTER(c_void_p),),
    "MatmulDescCreate": (POINTER(c_void_p), c_int, c_int),
    "MatmulDescDestroy": (c_void_p,),
    "MatmulDescSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatrixLayoutCreate": (POINTER(c_void_p), c_int, c_uint64, c_uint64, c_int64),
    "MatrixLayoutDestroy": (c_void_p,),
    "MatrixLayoutSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulPreferenceCreate": (POINTER(c_void_p),),
    "MatmulPreferenceDestroy": (c_void_p,),
    "MatmulPreferenceSetAttribute": (c_void_p, c_int, c_void_p, c_size_t),
    "MatmulAlgoGetHeuristic": (*(c_void_p,) * 7, c_int, POINTER(Algorithm), POINTER(c_int)),
    "Matmul": (*(c_void_p,) * 12, POINTER(Algorithm), c_void_p, c_size_t, c_void_p),
}


class Opaque(c_void_p):
    """A pointer to something that the library allocated: a handle, a descriptor, a layout or a preference."""


class CublasLt:
    """The loaded library. `call` raises BackendError for any status but success."""

    def __init__(self, path: str) -> None:
        self.library = ctypes.CDLL(path)
        self.library.cublasLtGetStatusName.restype = c_char_p
        self.library.cublasLtGetVersion.restype = c_size_t
        for name, types in SIGNATURES.items():
            getattr(self.library, f"cublasLt{name}").argtypes = types

    def ask(self, name: str, *args: Any) -> int:
        """Call a function and return its status code."""
        return int(getattr(self.library, f"cublasLt{name}")(*args))

    def call(self, name: str, *args: Any) -> None:
        """Call a function; raise BackendError unless it succeeds."""
        if code := self.ask(name, *args):
            raise self.error(name, code)

    def error(self, name: str, code: int) -> BackendError:
        """The BackendError for a status code, with the name that the library gives it."""
        return BackendError(
            f"cuBLASLt: cublasLt{name} failed",
            why=(self.library.cublasLtGetStatusName(code) or b"").decode() or f"status {code}",
            fix="run on the CPU: backend='numpy'; if this GPU works elsewhere, please report it",
        )

    def create(self, kind: str, *args: Any) -> c_void_p:
        """A new handle, never destroyed; or a descriptor, layout or preference, destroyed with its last reference."""
        made = Opaque()
        self.call(f"{kind}Create", ctypes.byref(made), *args)
        if kind:
            weakref.finalize(made, self.ask, f"{kind}Destroy", c_void_p(made.value)).atexit = False
        return made

    def set(self, kind: str, owner: c_void_p, attribute: int, value: Any) -> None:
        """Set an attribute to a ctypes number."""
        self.call(f"{kind}SetAttribute", owner, attribute, ctypes.byref(value), ctypes.sizeof(value))


class Plan:
    """One product with all it needs but the addresses: descriptors, layouts, an algorithm.

    numbers: types of the operands and of the result, and how it is computed; epilogue: one of those above;
    alignment: bytes that divide the addresses of A, B and D; vector: the address of
    the bias or of the sums, and relu_mask: that of one bit for each number of the result; both may change later.
    `algorithm` is None where the library knows none.
    """

    def __init__(
        self,
        lt: CublasLt,
        handle: c_void_p,
        product: Product,
        numbers: tuple[int, int, int],
        epilogue: int,
        alignment: tuple[int, ...],
        vector: int | None,
        relu_mask: int | None = None,
    ) -> None:
        inner, outer, compute = numbers
        self.lt, self.handle = lt, handle
        number = c_double if outer == R_64F else c_float
        self.one, self.nothing = number(1), number(0)
        self.work = lt.create("MatmulDesc", compute, outer)
        for attribute, operand in ((TRANSA, product.first), (TRANSB, product.second)):
            if operand.transposed:
                lt.set("MatmulDesc", self.work, attribute, c_int32(OP_T))
        lt.set("MatmulDesc", self.work, EPILOGUE, c_uint32(epilogue))
        if relu_mask is not None:
            lt.set("MatmulDesc", self.work, AUX_LEAD, c_int64(line(product.rows)))
        self._point(vector, relu_mask)
        self.first, self.second = (
            _layout(lt, inner, o, product.batch) for o in (product.first, product.second)
        )
        result = Operand(product.rows, product.cols, product.rows, False, product.rows * product.cols)
        self.result = _layout(lt, outer, result, product.batch)
        self.algorithm = self._choose(alignment)

    def _choose(self, alignment: tuple[int, ...]) -> Algorithm | None:
        """The first algorithm that the library suggests, asked for before recording: during a capture it may refuse."""
        lt, wanted = self.lt, self.lt.create("MatmulPreference")
        lt.set("MatmulPreference", wanted, MAX_WORKSPACE, c_uint64(WORKSPACE))
        for attribute, size in zip(MIN_ALIGNMENT, (*alignment, alignment[-1]), strict=True):
            lt.set("MatmulPreference", wanted, attribute, c_uint32(size))
        found, count = Algorithm(), c_int(0)
        layouts = (self.first, self.second, self.result, self.result)
        query = (self.handle, self.work, *layouts, wanted, 1, ctypes.byref(found), ctypes.byref(count))
        code = lt.ask("MatmulAlgoGetHeuristic", *query)
        if code not in (0, INVALID_VALUE, ARCH_MISMATCH, NOT_SUPPORTED):
            raise lt.error("MatmulAlgoGetHeuristic", code)
        return found if code == 0 and count.value and found.state == 0 else None

    def _point(self, vector: int | None, relu_mask: int | None) -> None:
        for attribute, address in ((BIAS_POINTER, vector), (AUX_POINTER, relu_mask)):
            if address is not None:
                self.lt.set("MatmulDesc", self.work, attribute, c_void_p(address))

    def run(
        self,
        addresses: tuple[int, int, int],
        vector: int | None,
        relu_mask: int | None,
        workspace: int | None,
        size: int,
        stream: int,
    ) -> None:
        """Queue the product on the stream. addresses: of the two operands and of the result."""
        first, second, result = addresses
        self._point(vector, relu_mask)
        self.lt.call(
            "Matmul", self.handle, self.work, ctypes.byref(self.one), first, self.first, second, self.second,
            ctypes.byref(self.nothing), result, self.result, result, self.result,
            self.algorithm, workspace, size, stream,
        )  # fmt: skip

    @contextlib.contextmanager
    def without_product(self) -> Iterator[None]:
        """Within this context the epilogue is applied to what the result holds, not to the product."""
        self.one.value, self.nothing.value = 0, 1
        try:
            yield
        finally:
            self.one.value, self.nothing.value = 1, 0


def line(rows: int) -> int:
    """Bits between the starts of the masks of two neighbouring columns of `rows` numbers."""
    return -(-rows // LINE) * LINE


def _layout(lt: CublasLt, dtype: int, operand: Operand, batch: int) -> c_void_p:
    made = lt.create("MatrixLayout", dtype, operand.rows, operand.cols, operand.lead)
    if batch > 1:
        lt.set("MatrixLayout", made, BATCH_COUNT, c_int32(batch))
        lt.set("MatrixLayout", made, BATCH_STEP, c_int64(operand.step))
    return made
