"""Names, devices, dtypes and precisions that a backend takes, those that it refuses, and what it says of itself."""

import types

import numpy as np
import pytest

import xpnn
from xpnn.backends import auto, get_backend, loops_wanted
from xpnn.backends.base import Backend, missing
from xpnn.backends.in_place import by_identity, concat_flat
from xpnn.errors import BackendError, DataError, DeviceError, UsageError


class OnCuda(Backend):
    """NumPy under the names of a GPU."""

    name, devices, precisions = "mine", ("cuda",), ("fp32", "tf32", "bf16")

    def load(self):
        import array_api_compat.numpy as xp

        return xp

    def owns(self, a):
        return type(a) is np.ndarray


REFUSED = {
    "a word like another": (lambda: get_backend("nump"), "unknown backend 'nump'", "did you mean 'numpy'?"),
    "a device as a name": (
        lambda: get_backend("cuda"),
        "unknown backend 'cuda'",
        "backend='cupy' (device 'cuda')",
    ),
    "a kind of device as a name": (lambda: get_backend("gpu"), "unknown backend 'gpu'", "backend='cupy'"),
    "no name": (lambda: get_backend(None), "unknown backend None", "one of: numpy, cupy, torch, jax, strict"),
    "a dtype": (lambda: get_backend(dtype="float46"), "unknown dtype 'float46'", "did you mean 'float64'?"),
    "a device": (
        lambda: get_backend("numpy", "cuda:0"),
        "backend 'numpy' has no device 'cuda:0'",
        "one of: cpu",
    ),
    "a numbered CPU": (
        lambda: get_backend("numpy", "cpu:0"),
        "backend 'numpy' has no device 'cpu:0'",
        "'cpu'",
    ),
    "no number": (lambda: OnCuda("cuda:", "float32"), "backend 'mine' has no device 'cuda:'", "one of: cuda"),
    "a number below 0": (
        lambda: OnCuda("cuda:-1", "float32"),
        "backend 'mine' has no device 'cuda:-1'",
        "cuda",
    ),
    "a word for a number": (
        lambda: OnCuda("cuda:x", "float32"),
        "backend 'mine' has no device 'cuda:x'",
        "cuda",
    ),
    "a device that is a number": (lambda: get_backend("numpy", 0), "device=0, dtype=None", "device='cpu'"),
    "a dtype of NumPy": (
        lambda: get_backend("numpy", dtype=np.float32),
        "precision=None: wanted words",
        "dtype=",
    ),
    "a precision": (
        lambda: get_backend(precision="fp16"),
        "unknown precision 'fp16'",
        "did you mean 'bf16'?",
    ),
    "a precision of others": (
        lambda: get_backend(precision="tf32"),
        "backend 'numpy' has no precision",
        "fp32",
    ),
    "a precision of another dtype": (
        lambda: OnCuda("cuda", "float64", "tf32"),
        "precision 'tf32' is a way to multiply float32, not float64",
        "dtype='float32'",
    ),
    "another dtype": (
        lambda: get_backend(get_backend("numpy"), dtype="float64"),
        "dtype='float64' beside <numpy backend on cpu, float32>, whose dtype is 'float32'",
        "leave dtype out, or give the backend by its name",
    ),
    "another device": (
        lambda: get_backend(get_backend(), "cuda"),
        "device='cuda' beside <numpy",
        "leave device out",
    ),
    "another precision": (
        lambda: get_backend(get_backend(), precision="bf16"),
        "precision='bf16' beside <numpy",
        "leave precision out",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_names_devices_and_dtypes(name):
    make, what, fix = REFUSED[name]
    with pytest.raises(UsageError) as caught:
        make()
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_accepted_names_devices_and_dtypes():
    be = get_backend("numpy", "cpu", "float64", "fp32")
    assert get_backend(be) is get_backend(be, "cpu", "float64", "fp32") is be
    assert get_backend() is get_backend("numpy", None, "float32", "fp32")
    assert (get_backend().device_name, get_backend().dtype_name, get_backend().precision) == (
        "cpu",
        "float32",
        "fp32",
    )
    for device, dtype, precision, text in (
        ("cuda", "float32", "fp32", "<mine backend on cuda, float32>"),
        ("cuda:1", "float64", "fp32", "<mine backend on cuda:1, float64>"),
        ("cuda", "float32", "bf16", "<mine backend on cuda, float32, bf16>"),
    ):
        made = OnCuda(device, dtype, precision)
        assert repr(made) == text
        assert (made.device, made.dtype, made.precision) == (device, np.dtype(dtype), precision)
        assert (made.hardware(), made.devices_here(), made.version()) == (device, ("cuda",), np.__version__)


@pytest.mark.parametrize(
    ("variable", "installed", "wanted"),
    [(None, True, True), ("1", True, True), ("0", True, False), ("", False, False)],
)
def test_where_loops_are_wanted(monkeypatch, variable, installed, wanted):
    monkeypatch.delenv("XPNN_FAST", raising=False)
    if variable is not None:
        monkeypatch.setenv("XPNN_FAST", variable)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: object() if installed and name == "numba" else None
    )
    assert loops_wanted() is wanted


@pytest.mark.parametrize(
    ("error", "what", "why"),
    [
        (
            ModuleNotFoundError("No module named 'x'"),
            "backend 'torch' needs PyTorch, which is not installed",
            "",
        ),
        (ImportError("libx.so: no\nmore"), "PyTorch cannot be imported", "ImportError: libx.so: no"),
    ],
)
def test_a_missing_or_broken_library(error, what, why):
    found = missing("torch", "PyTorch", error)
    assert (type(found), found.what, found.why) == (BackendError, what, why)
    assert found.fix == "pip install 'xpnn[torch]'   (or use the CPU: backend='numpy')"


def test_arrays_that_a_step_takes():
    be = get_backend("numpy")
    for dtype in ("float32", "float64", "float16", "int8", "int64", "uint8", "uint32", "bool"):
        be.require("x", np.zeros(2, dtype))
    with pytest.raises(DeviceError, match=r"^x is a numpy\.ndarray"):
        be.require("x", np.zeros(2, complex))
    with pytest.raises(DataError, match="y is of dtype complex128"):
        OnCuda("cuda", "float32").require("y", np.zeros(2, complex))
    with pytest.raises(DeviceError) as caught:
        be.require("s", [1.0])
    assert caught.value.what == "s is a builtins.list; this model's arrays live on numpy/cpu"
    with pytest.raises(DeviceError) as caught:
        be.require("s", types.SimpleNamespace(device="far away"))
    assert (
        caught.value.what == "s is a types.SimpleNamespace on far away; this model's arrays live on numpy/cpu"
    )


def test_arrays_keep_their_memory_and_dtype_where_they_can():
    be, a = get_backend("numpy"), np.arange(3)
    assert be.asarray(a) is be.asarray(a, np.int64) is a
    assert be.asarray(a, be.dtype).dtype == np.float32
    assert be.asarray([1, 2]).dtype == np.int64
    assert [made.dtype for made in (be.scalar(1), be.scalar(1, np.int64), be.scalar(True, np.bool_))] == [
        "f4",
        "i8",
        "?",
    ]
    own = OnCuda("cuda", "float64")
    own.device = "cpu"
    assert [made.dtype for made in (own.scalar(1), own.scalar(1, np.int64), own.zeros((2,)))] == [
        "f8",
        "i8",
        "f8",
    ]


def test_a_backend_by_itself_leaves_everything_alone():
    """What a library may do better is up to its own class."""
    be = OnCuda("cuda", "float32")

    def f(a, b):
        return a - b

    for same in (be.memoized, be.for_samples, be.for_one_sample, be.compile, be.copied, be.lend):
        assert same(f) is f
    assert be.compile(f, (0,), (1,), (2,)) is f
    assert be.planned(f, None) is f
    assert (be.one_sample(()), be.buffer(3), be.fits(10**15), be.share, be.whole_passes) == (
        None,
        None,
        True,
        None,
        False,
    )
    assert be.values_per_feature(np.zeros((2, 3, 5))) == 6
    assert [a.tolist() for a in be.uploads([np.arange(2), np.arange(3)])] == [[0, 1], [0, 1, 2]]
    with be.device_context(), be.oom_guard("x", 1, "{}"):
        pass


def test_a_result_is_kept_for_the_same_two_arrays():
    calls = []
    found = by_identity(lambda a, b: calls.append((a, b)) or len(calls))
    a, b, c = np.zeros(1), np.zeros(1), np.zeros(1)
    assert [found(*given) for given in ((a, b), (a, b), (a, c), (a, c), (b, c), (a, b))] == [1, 1, 2, 2, 3, 4]


def test_parts_that_lie_in_their_places_are_not_copied():
    be, out = get_backend("numpy", dtype="float64"), np.zeros(5)
    places = [out[:2].reshape(2, 1), out[2:]]
    places[1][...] = 7
    assert concat_flat(be, out, [np.array([[1.0], [2.0]]), places[1]], places) is out
    assert out.tolist() == [1, 2, 7, 7, 7]
    assert concat_flat(be, None, [np.ones((1, 2)), np.zeros(1)], []).tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        ("cuda", ("cupy", "device cuda")),
        ("xpu:1", ("torch", "device xpu:1")),
        ("METAL", ("jax", "device METAL")),
        ("cpu", ("numpy", "device cpu")),
    ],
)
def test_a_device_decides_which_backend_it_is(device, wanted):
    assert auto.choose(device) == wanted


@pytest.mark.parametrize(
    ("driver", "fix"),
    [((12, 4), "cupy-cuda12x[ctk]"), (None, "cupy-cuda13x[ctk]"), ((13, 1), "cupy-cuda13x[ctk]")],
)
def test_without_cupy_numpy_is_chosen(monkeypatch, driver, fix):
    monkeypatch.setattr(auto, "installed_cupy", dict)
    monkeypatch.setattr(auto, "driver_version", lambda: driver)
    why = "CuPy not installed" + (" and this machine has an NVIDIA driver" if driver else "")
    assert auto.choose() == ("numpy", why)
    assert fix in auto.remedy(types.SimpleNamespace(name="cupy"))
    assert auto.remedy(xpnn.get_backend()) == "backend='numpy' always works"
