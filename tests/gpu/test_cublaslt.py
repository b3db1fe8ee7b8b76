"""The real cuBLASLt, where it is installed: numbers and structures against its header, and what works without a GPU."""

import ctypes
import importlib
import re
from pathlib import Path

import pytest

from xpnn.backends.cuda import cublaslt
from xpnn.backends.cuda.cublaslt import CublasLt, Plan
from xpnn.backends.cuda.gemm import plan
from xpnn.backends.cuda.matmul import find_cublaslt
from xpnn.errors import BackendError

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def lt():
    path = find_cublaslt()
    if path is None:
        pytest.skip("cuBLASLt is not installed")
    return CublasLt(path)


@pytest.fixture(scope="module")
def header(lt):
    """The text of the headers beside the library, without comments."""
    folder = Path(find_cublaslt()).resolve().parents[1] / "include"
    found = [folder / name for name in ("cublasLt.h", "cublas_api.h")]
    if not all(file.exists() for file in found):
        pytest.skip("cuBLASLt is not installed with its headers")
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", "".join(file.read_text() for file in found), flags=re.S)


NAMES = {
    "CUBLAS_COMPUTE_32F": cublaslt.COMPUTE_32F,
    "CUBLAS_COMPUTE_64F": cublaslt.COMPUTE_64F,
    "CUBLAS_COMPUTE_32F_FAST_TF32": cublaslt.COMPUTE_32F_FAST_TF32,
    "CUBLASLT_EPILOGUE_DEFAULT": cublaslt.PLAIN,
    "CUBLASLT_EPILOGUE_BIAS": cublaslt.BIAS,
    "CUBLASLT_EPILOGUE_RELU": cublaslt.RELU_BIAS & ~cublaslt.BIAS,
    "CUBLASLT_EPILOGUE_BGRADA": cublaslt.SUMS_OF_FIRST,
    "CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER": cublaslt.AUX_POINTER,
    "CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD": cublaslt.AUX_LEAD,
    "CUBLASLT_MATMUL_DESC_TRANSA": cublaslt.TRANSA,
    "CUBLASLT_MATMUL_DESC_TRANSB": cublaslt.TRANSB,
    "CUBLASLT_MATMUL_DESC_EPILOGUE": cublaslt.EPILOGUE,
    "CUBLASLT_MATMUL_DESC_BIAS_POINTER": cublaslt.BIAS_POINTER,
    "CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT": cublaslt.BATCH_COUNT,
    "CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET": cublaslt.BATCH_STEP,
    "CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES": cublaslt.MAX_WORKSPACE,
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES": cublaslt.MIN_ALIGNMENT[0],
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES": cublaslt.MIN_ALIGNMENT[1],
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES": cublaslt.MIN_ALIGNMENT[2],
    "CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES": cublaslt.MIN_ALIGNMENT[3],
    "CUBLAS_OP_T": cublaslt.OP_T,
    "CUBLAS_STATUS_INVALID_VALUE": cublaslt.INVALID_VALUE,
    "CUBLAS_STATUS_ARCH_MISMATCH": cublaslt.ARCH_MISMATCH,
    "CUBLAS_STATUS_NOT_SUPPORTED": cublaslt.NOT_SUPPORTED,
}


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_the_headers(header, name):
    assert int(re.search(rf"\b{name} = (\d+)", header)[1]) == NAMES[name]


def test_bias_and_relu_are_one_epilogue(header):
    assert re.search(r"EPILOGUE_RELU_BIAS = \(CUBLASLT_EPILOGUE_RELU \| CUBLASLT_EPILOGUE_BIAS\)", header)


def test_marks_are_written_by_one_epilogue_and_read_by_another(header):
    for name, value in (
        ("RELU_AUX", r"\(CUBLASLT_EPILOGUE_RELU \| 128\)"),
        ("RELU_AUX_BIAS", r"\(CUBLASLT_EPILOGUE_RELU_AUX \| CUBLASLT_EPILOGUE_BIAS\)"),
        ("DRELU", r"8 \| 128"),
    ):
        assert re.search(rf"CUBLASLT_EPILOGUE_{name} = {value}", header)
    assert (cublaslt.RELU_AUX_BIAS, cublaslt.DRELU) == (cublaslt.RELU_BIAS | 128, 8 | 128)


def test_the_algorithm_is_the_headers_structure(header):
    fields = re.search(
        r"typedef struct \{\s*cublasLtMatmulAlgo_t algo;(.*?)\} cublasLtMatmulHeuristicResult_t", header, re.S
    )
    assert re.findall(r"(\w+) (\w+)(\[\d\])?;", fields[1]) == [
        ("size_t", "workspaceSize", ""), ("cublasStatus_t", "state", ""), ("float", "wavesCount", ""),
        ("int", "reserved", "[4]"),
    ]  # fmt: skip
    assert re.search(r"typedef struct \{\s*uint64_t data\[8\];\s*\} cublasLtMatmulAlgo_t", header)


@pytest.mark.parametrize("name", cublaslt.SIGNATURES)
def test_every_call_takes_as_many_arguments(header, name):
    parameters = re.search(rf"CUBLASWINAPI cublasLt{name}\(([^)]*)\)", header)[1]
    assert parameters.count(",") + 1 == len(cublaslt.SIGNATURES[name])


def read(lt, kind, owner, attribute, number):
    """An attribute, read back."""
    f, written = getattr(lt.library, f"cublasLt{kind}GetAttribute"), ctypes.c_size_t()
    f.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
    assert f(owner, attribute, ctypes.byref(number), ctypes.sizeof(number), ctypes.byref(written)) == 0
    return number.value


def test_descriptions_are_kept_as_given(lt, monkeypatch):
    """All that a plan sets, of a stack of products with a transposed operand; only an algorithm takes a GPU."""
    monkeypatch.setattr(Plan, "_choose", lambda *_: None)
    product = plan(((6, 3, 4), (12, 1, 3)), ((6, 4, 5), (20, 5, 1)))
    made = Plan(lt, ctypes.c_void_p(), product, (0, 0, 77), cublaslt.RELU_BIAS, (16, 16, 16), 4096)
    number = ctypes.c_int32
    assert read(lt, "MatmulDesc", made.work, 0, number()) == 77
    assert read(lt, "MatmulDesc", made.work, cublaslt.TRANSA, number()) == 0
    assert read(lt, "MatmulDesc", made.work, cublaslt.TRANSB, number()) == 1
    assert read(lt, "MatmulDesc", made.work, cublaslt.EPILOGUE, number()) == 6
    assert read(lt, "MatmulDesc", made.work, cublaslt.BIAS_POINTER, ctypes.c_void_p()) == 4096
    for layout, rows, cols, lead, step in (
        (made.first, 5, 4, 5, 20),
        (made.second, 3, 4, 3, 12),
        (made.result, 5, 3, 5, 15),
    ):
        assert read(lt, "MatrixLayout", layout, 2, ctypes.c_uint64()) == rows
        assert read(lt, "MatrixLayout", layout, 3, ctypes.c_uint64()) == cols
        assert read(lt, "MatrixLayout", layout, 4, ctypes.c_int64()) == lead
        assert read(lt, "MatrixLayout", layout, cublaslt.BATCH_COUNT, number()) == 6
        assert read(lt, "MatrixLayout", layout, cublaslt.BATCH_STEP, ctypes.c_int64()) == step


def test_a_wrong_size_is_an_error_with_its_name(lt):
    work = lt.create("MatmulDesc", cublaslt.COMPUTE_32F, cublaslt.R_32F)
    with pytest.raises(BackendError, match="SetAttribute failed\n  why: CUBLAS_STATUS_INVALID_VALUE"):
        lt.set("MatmulDesc", work, cublaslt.EPILOGUE, ctypes.c_uint64(6))


def test_without_a_gpu_there_is_no_handle(lt):
    if importlib.import_module("xpnn.backends.cuda.driver").driver_version() is not None:
        pytest.skip("an NVIDIA driver is here")
    with pytest.raises(BackendError, match="cublasLtCreate failed\n  why: CUBLAS_STATUS_NOT_INITIALIZED"):
        lt.create("")
