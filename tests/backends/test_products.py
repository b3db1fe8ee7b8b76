"""Matrix products by cuBLASLt, on a stand-in that does what its header says with the memory it is shown."""

import ctypes
import threading

import numpy as np
import pytest
from blocked_threads import Inside
from cublaslt_stand_in import CublasKernels, FakeLt, Lying, copied, fake_cupy, narrow, placed, widen
from test_gemm import CASES

from xpnn.backends.cuda import cublaslt, matmul
from xpnn.backends.cuda.cublaslt import BIAS, DRELU, RELU_AUX_BIAS, RELU_BIAS, SUMS_OF_FIRST
from xpnn.backends.cuda.products import TO_BF16, Products
from xpnn.backends.numpy import NumpyBackend
from xpnn.errors import BackendError
from xpnn.kernels import Kernels
from xpnn.window import Window

RNG, NUMPY = np.random.default_rng(7), NumpyBackend("cpu", "float32")


def products(precision="fp32", **about):
    lt = FakeLt(**about)
    return Products(fake_cupy(), lt, precision), lt


def array(*shape, dtype=np.float32):
    return copied(RNG.standard_normal(shape), dtype)


def like(a, dtype):
    """The same numbers and layout in another dtype."""
    order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
    flat = np.ascontiguousarray(a.transpose(order)).astype(dtype)
    return copied(flat).transpose(np.argsort(order))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("a", "b"), CASES.values(), ids=CASES)
def test_products_are_numpys(a, b, dtype):
    multiply, _ = products()
    a, b = like(a, dtype), like(b, dtype)
    got = multiply(a, b)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.matmul(a, b))  # whole numbers: exact in any order


def test_views_are_read_where_they_lie():
    multiply, lt = products()
    lt.things.clear()
    x, W = array(8, 16), array(12, 16)
    before = len(multiply.cupy.buffers)
    multiply.cupy.ascontiguousarray = None  # to call it would raise
    np.testing.assert_allclose(multiply(x[2:6, :12], W.T[:12]), x[2:6, :12] @ W.T[:12], rtol=1e-5)
    assert len(multiply.cupy.buffers) == before


def test_what_cannot_be_read_so_is_copied():
    multiply, _ = products()
    x = placed(array(8, 16)[::2, ::2])
    W = placed(array(2, 1, 8, 3))
    np.testing.assert_allclose(multiply(x, W), x @ W, rtol=1e-5)
    every = placed(array(1, 3, 4, 8))
    np.testing.assert_allclose(multiply(every, W), every @ W, rtol=1e-5)


def test_the_result_goes_where_it_is_wanted():
    multiply, _ = products()
    flat = array(100)
    out = placed(flat[8:68].reshape(5, 12))
    x, dy = array(7, 5), array(7, 12)
    assert multiply(x.T, dy, out) is out
    np.testing.assert_allclose(flat[8:68].reshape(5, 12), x.T @ dy, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)])
@pytest.mark.parametrize("relu", [False, True])
def test_bias_and_relu(shape, relu):
    multiply, _ = products()
    x, W, b = array(*shape), array(5, 8), array(8)
    y = x @ W + b
    np.testing.assert_allclose(
        multiply(x, W, epilogue=RELU_BIAS if relu else BIAS, vector=b),
        np.maximum(y, 0) if relu else y,
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_on_the_way(dtype):
    """Of what is multiplied from the right, down its columns: a bias's gradient beside its matrix's."""
    multiply, _ = products()
    x, dy, db = array(7, 5, dtype=dtype), array(7, 12, dtype=dtype), array(12, dtype=dtype)
    np.testing.assert_allclose(multiply(x.T, dy, None, SUMS_OF_FIRST, db), x.T @ dy, rtol=1e-5)
    np.testing.assert_allclose(db, dy.sum(axis=0), rtol=1e-5, atol=1e-6)


def test_a_bias_between_two_vectors_is_left_to_a_kernel():
    multiply, lt = products()
    b = placed(array(9)[1:])
    assert multiply(array(3, 5), array(5, 8), epilogue=BIAS, vector=b) is None
    assert "Matmul" not in lt.log


@pytest.mark.parametrize("drops_nan", [False, True])
def test_a_relu_that_hides_nan_is_not_used(drops_nan):
    multiply, _ = products(drops_nan=drops_nan)
    x, W, b = array(6, 5), array(5, 8), array(8)
    x[2, 3] = np.nan
    y = multiply(x, W, epilogue=RELU_BIAS, vector=b)
    if drops_nan:
        assert y is None
        assert multiply(x, W, epilogue=BIAS, vector=b) is not None
    else:
        assert np.isnan(y[2]).all()


def test_no_algorithm_is_no_error():
    multiply, lt = products(refuse=[RELU_BIAS])
    x, W, b = array(6, 5), array(5, 8), array(8)
    assert multiply(x, W, epilogue=RELU_BIAS, vector=b) is None
    np.testing.assert_allclose(multiply(x, W, epilogue=BIAS, vector=b), x @ W + b, rtol=1e-5)
    asked = lt.log.count("MatmulAlgoGetHeuristic")
    assert multiply(x, W, epilogue=RELU_BIAS, vector=b) is None
    assert lt.log.count("MatmulAlgoGetHeuristic") == asked


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (array(4), array(4, 2)),
        (array(3, 4), array(4)),
        (array(0, 4), array(4, 2)),
        (array(3, 0), array(0, 2)),
        (array(3, 4), array(4, 2, dtype=np.float64)),
        (placed(np.ones((3, 4), int)), placed(np.ones((4, 2), int))),
    ],
)
def test_what_is_left_to_cupy(a, b):
    multiply, lt = products()
    assert multiply(a, b) is None
    assert "Matmul" not in lt.log


def test_a_plan_is_made_once_and_never_while_a_stream_is_captured():
    multiply, lt = products(workspace=1000)
    x, W = array(6, 5), array(5, 8)
    multiply.cupy.stream.capturing = True
    assert multiply(x, W) is None
    assert "MatmulAlgoGetHeuristic" not in lt.log
    multiply.cupy.stream.capturing = False
    first = multiply(x, W)
    multiply.cupy.stream.capturing = True
    np.testing.assert_array_equal(multiply(x, W), first)
    assert lt.log.count("MatmulAlgoGetHeuristic") == 1
    assert [buffer.nbytes for buffer in multiply.cupy.buffers] == [1000, 1000]


def test_plans_depend_on_addresses():
    """An algorithm that loads four numbers at once may not be used where they begin in the middle."""
    multiply, lt = products()
    flat, W = array(4 * 5 + 4), array(5, 8)
    for start in range(4):
        x = placed(flat[start : start + 20].reshape(4, 5))
        np.testing.assert_allclose(multiply(x, W), x @ W, rtol=1e-5)
    assert lt.log.count("MatmulAlgoGetHeuristic") > 1


@pytest.mark.parametrize("epilogue", [BIAS, RELU_BIAS])
def test_plans_depend_on_the_address_of_the_vector(epilogue):
    """The alignment that the library expects is that of the address it is given."""
    multiply, _ = products()
    x, W, flat = array(6, 5), array(5, 8), array(72)
    for start in (64, 4, 8, 32):
        b = placed(flat[start : start + 8])
        y = x @ W + b
        wanted = np.maximum(y, 0) if epilogue == RELU_BIAS else y
        np.testing.assert_allclose(multiply(x, W, epilogue=epilogue, vector=b), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("epilogue", [BIAS, RELU_BIAS, SUMS_OF_FIRST])
def test_an_epilogue_that_is_named_and_then_refused_is_left_to_a_kernel(epilogue):
    """Bare products have nowhere to go: there it is an error."""
    multiply, lt = products()
    x, W, vector = array(6, 5), array(5, 8), array(8)
    lt.failing["Matmul"] = 15
    assert multiply(x, W, epilogue=epilogue, vector=vector) is None
    del lt.failing["Matmul"]
    assert multiply(x, W, epilogue=epilogue, vector=vector) is None
    np.testing.assert_allclose(multiply(x, W), x @ W, rtol=1e-5)


@pytest.mark.parametrize("code", [7, 8, 15])
def test_a_product_that_the_library_will_not_hear_of_is_left_to_cupy(code):
    """As it answers where it has no kernels for the numbers, the epilogue or the GPU."""
    multiply, lt = products()
    lt.failing["MatmulAlgoGetHeuristic"] = code
    assert multiply(array(6, 5), array(5, 8), epilogue=BIAS, vector=array(8)) is None
    lt.failing["MatmulAlgoGetHeuristic"] = 14
    with pytest.raises(BackendError, match="STATUS_14"):
        multiply(array(6, 5), array(5, 8))


def test_what_is_forgotten_is_given_back(monkeypatch):
    monkeypatch.setattr("xpnn.backends.cuda.products.PLANS", 3)
    multiply, lt = products()
    for n in range(1, 10):
        multiply(array(n, 5), array(5, 4))
        assert len(multiply.plans) <= 3
        assert len(lt.things) == 1 + 4 * len(
            multiply.plans
        )  # the handle; a description and three layouts each
    np.testing.assert_allclose(multiply(x := array(1, 5), W := array(5, 4)), x @ W, rtol=1e-5)


def test_a_failure_says_which():
    multiply, lt = products()
    lt.failing["Matmul"] = 13
    with pytest.raises(BackendError, match="cublasLtMatmul failed\n  why: STATUS_13\n  fix: ") as caught:
        multiply(array(2, 3), array(3, 4))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(("precision", "compute"), [("fp32", 68), ("tf32", 77), ("bf16", 68)])
def test_numbers(precision, compute):
    multiply, lt = products(precision)
    multiply(array(6, 5).T, array(6, 8))
    kinds = [about["about"] for about in lt.things.values()]
    assert [compute, 0] in kinds  # what is computed, and in float32
    operands = {about[0] for about in kinds if len(about) == 4}
    assert operands == ({14, 0} if precision == "bf16" else {0})
    multiply(array(6, 5, dtype=np.float64), array(5, 8, dtype=np.float64))
    assert [70, 1] in [
        about["about"] for about in lt.things.values()
    ]  # float64 keeps its numbers in every mode


@pytest.mark.parametrize(("a", "b"), CASES.values(), ids=CASES)
def test_bf16_rounds_the_operands_and_nothing_else(a, b):
    multiply, _ = products("bf16")
    a, b = (like(m, np.float32) / np.float32(7) for m in (a, b))
    wanted = np.matmul(widen(narrow(a)), widen(narrow(b)))
    np.testing.assert_allclose(multiply(placed(a), placed(b)), wanted, rtol=1e-5, atol=1e-5)


def test_a_plan_for_gaps_is_not_used_for_the_gapless_copy():
    multiply, _ = products("bf16")
    x, W = placed(array(8, 16)[::2, 3:9]), placed(array(12, 9)[2:8, 1:5])
    wanted = widen(narrow(x)) @ widen(narrow(W))
    np.testing.assert_allclose(multiply(x, W), wanted, rtol=1e-5)


def test_the_kernel_that_rounds_to_bf16():
    """Its C, read as Python over whole numbers, against rounding by value."""
    ((_, bits), (_, y)) = (line.rstrip(";").split(" = ", 1) for line in TO_BF16.strip().splitlines())
    assert (bits, y) == ("__float_as_uint(x)", "x != x ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16")
    values = np.concatenate(
        [RNG.standard_normal(1000), [0, -0.0, 1e38, -3e-39, 1 + 2**-8, 1 + 3 * 2**-8, np.inf]]
    )
    values = values.astype(np.float32)
    got = [(b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in map(int, values.view(np.uint32))]
    np.testing.assert_array_equal(got, narrow(values))


def test_structures():
    """From cublasLt.h: 64 bytes of algorithm, a size, a status, a float, four reserved numbers."""
    assert ctypes.sizeof(cublaslt.Algorithm) == 96
    assert cublaslt.Algorithm.workspace.offset == 64
    assert cublaslt.Algorithm.state.offset == 72


# The kernels of the backend


class OnNumpy(CublasKernels, NumpyBackend):
    """The overrides over NumPy's kernels, whose calls are noted."""

    def __init__(self, precision="fp32", **about):
        super().__init__("cpu", "float32")
        self.precision = precision
        self.products, self.lt = products(precision, **about)
        self.cupy, self.asked = self.products.cupy, []

    def column_sums(self, x, out=None):
        self.asked.append("column_sums")
        return super().column_sums(x, out)

    def relu(self, x):
        self.asked.append("relu")
        return super().relu(x)

    def relu_grad(self, dy, y, may_overwrite=False):
        self.asked.append("relu_grad")
        return super().relu_grad(dy, y, may_overwrite)


def test_a_layer_is_one_call_of_the_library_forward_and_one_for_its_gradients():
    be = OnNumpy()
    x, W, b, dy = array(6, 5), array(5, 8), array(8), array(6, 8)
    flat = array(48)
    out = flat[:40].reshape(5, 8), flat[40:]
    np.testing.assert_allclose(be.affine(x, W, b), x @ W + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(be.affine_relu(x, W, b), np.maximum(x @ W + b, 0), rtol=1e-5, atol=1e-6)
    dx, dW, db = be.affine_grads(x, W, dy, out)
    assert dW is out[0]
    assert db is out[1]
    np.testing.assert_allclose(
        flat, np.concatenate([(x.T @ dy).reshape(-1), dy.sum(0)]), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(dx, dy @ W.T, rtol=1e-5, atol=1e-6)
    assert be.affine_grads(x, W, dy, out, need_dx=False)[0] is None
    assert be.lt.log.count("Matmul") == 5 + 3  # each of the three with more to do than multiply is tried once
    assert be.asked == []


FAULTY = {
    "writes no mask": {"refuse": [RELU_AUX_BIAS]},
    "does not read the mask": {"refuse": [DRELU]},
    "masks 0": {"masks_0": True},
    "reads other bits than it writes": {"bits": "big"},
    "hides NaN": {"drops_nan": True},
}


@pytest.mark.parametrize("shape", [(6, 5), (2, 3, 5)])
@pytest.mark.parametrize("about", [{}, *FAULTY.values()], ids=["", *FAULTY])
def test_a_relu_is_taken_along_on_the_way_back(about, shape):
    """By the bits that were set on the way there; by its own kernel where the library is not as it should be."""
    be = OnNumpy(**about)
    x, W, b, V, dy = array(*shape), array(5, 136), array(136), array(136, 8), array(6, 8)
    x[..., 0, :] = 0
    b[:7] = 0  # so that some sums are 0 to the bit
    for _ in range(2):
        y, relu_mask = be.affine_relu_with_mask(x, W, b)
        np.testing.assert_allclose(y, np.maximum(x @ W + b, 0), rtol=1e-5, atol=1e-6)
        assert (y == 0).any()
        rows = y.reshape(6, 136)
        dx, dV, dc = be.affine_grads(rows, V, dy, (array(136, 8), array(8)), relu_mask=relu_mask)
        np.testing.assert_allclose(dx, np.where(rows > 0, dy @ V.T, 0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(dV, rows.T @ dy, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(dc, dy.sum(0), rtol=1e-5, atol=1e-6)
    assert ("relu_grad" in be.asked) == bool(about)
    be.lt.log.clear()
    be.cupy.stream.capturing = True
    y, relu_mask = be.affine_relu_with_mask(x, W, b)
    again, _, _ = be.affine_grads(y.reshape(6, 136), V, dy, (array(136, 8), array(8)), relu_mask=relu_mask)
    np.testing.assert_array_equal(again, dx)
    assert about or be.lt.log.count("Matmul") == 3


@pytest.mark.parametrize(
    "refuse", [[BIAS], [RELU_BIAS], [SUMS_OF_FIRST], [1, BIAS, RELU_BIAS, SUMS_OF_FIRST]]
)
def test_what_the_library_has_no_algorithm_for_is_done_by_kernels(refuse):
    be = OnNumpy(refuse=refuse)
    x, W, b, dy = array(6, 5), array(5, 8), array(8), array(6, 8)
    np.testing.assert_allclose(be.affine(x, W, b), x @ W + b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(be.affine_relu(x, W, b), np.maximum(x @ W + b, 0), rtol=1e-5, atol=1e-6)
    for got, wanted in zip(
        be.affine_grads(x, W, dy, (array(5, 8), array(8))), (dy @ W.T, x.T @ dy, dy.sum(0)), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


def test_sums_are_not_rounded_to_bf16():
    be = OnNumpy("bf16")
    x, W, dy = array(6, 5), array(5, 8), array(6, 8)
    dx, dW, db = be.affine_grads(x, W, dy, (array(5, 8), None))
    np.testing.assert_allclose(db, dy.sum(0), rtol=1e-6, atol=1e-6)
    assert be.asked == ["column_sums"]
    np.testing.assert_allclose(dW, widen(narrow(x)).T @ widen(narrow(dy)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, widen(narrow(dy)) @ widen(narrow(W)).T, rtol=1e-5, atol=1e-5)


def test_without_the_library_cupy_multiplies():
    be = OnNumpy()
    be.products = None
    x, W, b = array(6, 5), array(5, 8), array(8)
    np.testing.assert_allclose(be.affine_relu(x, W, b), np.maximum(x @ W + b, 0), rtol=1e-5, atol=1e-6)
    assert be.lt.log == ["Create"]


class InGroups(OnNumpy):
    """The reference's convolutions, which are CUDA's where there are groups."""

    conv, conv_dx, conv_dw = Kernels.conv, Kernels.conv_dx, Kernels.conv_dw

    def __init__(self):
        super().__init__()
        self.products = Lying(self.cupy, self.lt, "fp32")


@pytest.mark.parametrize("groups", [2, 8])
@pytest.mark.parametrize("name", ["conv", "conv_dx", "conv_dw"])
def test_a_convolution_in_groups_is_one_product_of_a_stack(name, groups):
    """A matrix for each group, with one step from the next to the next."""
    be, window = InGroups(), Window((3, 3), pads=((1, 1), (0, 0)))
    x, W, b = array(4, 6, 7, 8), array(3, 3, 8 // groups, 16), array(16)
    dy = array(*Kernels.conv(NUMPY, x, W, b, window, groups).shape)
    given = {
        "conv": (x, W, b, window, groups),
        "conv_dx": (dy, W, x.shape, window, groups),
        "conv_dw": (x, dy, window, groups),
    }[name]
    got, wanted = (getattr(kernels, name)(*given) for kernels in (be, NUMPY))
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    assert be.lt.log.count("Matmul") == 1
    stacks = [about.get(cublaslt.BATCH_COUNT) for about in be.lt.things.values() if len(about["about"]) == 4]
    assert stacks == [groups] * 3


class Without(CublasKernels, NumpyBackend):
    """No cuBLASLt."""

    products = None

    def __init__(self):
        super().__init__("cpu", "float32")
        self.cupy = fake_cupy()


class LikeCupy(np.ndarray):
    """An array whose products are rounded to TF32 where the process's setting is 7, as CuPy's are."""

    cupy, during = None, staticmethod(lambda: None)

    def __matmul__(self, other):
        self.during()
        a, b = np.asarray(self), np.asarray(other)
        if self.cupy._core.kind == 7:
            a, b = (((m.view(np.uint32) + 0x1000) & 0xFFFFE000).view(np.float32) for m in (a, b))
        return a @ b


def cupys(be, a, during=LikeCupy.during):
    """`a` as an array of the stand-in that this backend multiplies with."""
    a = np.asarray(a).view(LikeCupy)
    a.cupy, a.during = be.cupy, during
    return a


def test_cupys_own_products_keep_float32_in_every_setting_of_the_process():
    be, x, W = Without(), np.asarray(array(6, 5)), np.asarray(array(5, 8))
    be.cupy._core.kind = 7
    assert not np.array_equal(cupys(be, x) @ W, x @ W)
    np.testing.assert_array_equal(be.matmul(cupys(be, x), W), x @ W)
    assert be.cupy._core.kind == 7
    with pytest.raises(ValueError, match="matmul"):
        be.matmul(cupys(be, x), x)
    assert be.cupy._core.kind == 7


def test_one_product_at_a_time_changes_the_setting(monkeypatch):
    be, inside = Without(), Inside()
    x, W = np.asarray(array(6, 5)), np.asarray(array(5, 8))
    monkeypatch.setattr(matmul, "_setting", inside.watched(threading.Lock()))
    be.cupy._core.kind, like_cupys = 7, cupys(be, x, inside.visit)
    inside.meet(*[lambda: np.testing.assert_array_equal(be.matmul(like_cupys, W), x @ W)] * 2)
    assert be.cupy._core.kind == 7
