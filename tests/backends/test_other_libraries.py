"""What PyTorch, JAX and CuPy are handed and what is asked of them, on the CPU or by stand-ins."""

import sys
import types

import numpy as np
import pytest
from test_no_backend import FakeArray, opened

import xpnn
from xpnn.backends.cuda import matmul
from xpnn.backends.cuda.capture import Captured
from xpnn.backends.cuda.recorder import CudaRecorder
from xpnn.errors import BackendError, UsageError

# CuPy


def test_the_hardware_of_a_gpu_in_words(monkeypatch):
    be, asked = opened(monkeypatch, device="cuda:1"), []

    def about(index):
        asked.append(index)
        return {"name": b"NVIDIA H200", "totalGlobalMem": 140 * 2**30 + 2**28}

    be.cupy.cuda.runtime.getDeviceProperties = about
    be.cupy.__version__ = "14.2"
    be.device.attributes = {"MultiProcessorCount": 132.0}
    assert be.hardware() == "cuda:1: NVIDIA H200, 140 GiB"
    assert asked == [1]
    assert (be.version(), be.processors, type(be.processors)) == ("14.2", 132, int)
    assert be.owns(FakeArray(1))
    assert not be.owns(np.zeros(3))


def test_a_number_on_a_gpu_is_written_by_a_kernel(monkeypatch):
    be = opened(monkeypatch)
    be.xp = types.SimpleNamespace(full=lambda *args, **settings: (args, settings))
    assert be.scalar(2.5) == (((), 2.5), {"dtype": "float32"})
    assert be.scalar(7, "int64") == (((), 7), {"dtype": "int64"})


def test_a_step_on_a_gpu_is_recorded(monkeypatch):
    be = opened(monkeypatch)
    step = be.compile(len, (0, 2), (3,), (4,))
    assert isinstance(step, Captured)
    assert (step.step, step.recorder, step.donated, step.resident) == (len, be.recorder, {0, 2}, {3})
    assert type(step.recorder) is CudaRecorder
    assert be.compile(len).donated == set()


def test_the_normal_distribution_on_a_gpu(monkeypatch):
    be, erfc = opened(monkeypatch), pytest.importorskip("scipy.special").erfc
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", types.SimpleNamespace(erfc=erfc))
    x = np.array([-3.0, 0.0, 1.0])
    np.testing.assert_allclose(be.normal_cdf(x), [0.0013498980316300933, 0.5, 0.8413447460685429], rtol=1e-12)


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1)])
def test_the_first_gpu_is_meant_where_no_number_is_given(monkeypatch, device, index):
    be = opened(monkeypatch, device=device)
    assert (be.device.id, be.device_name) == (index, device)
    assert be.device_context().id == index


# PyTorch


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.mark.parametrize(
    ("a", "dtype"),
    [
        (np.arange(3, dtype=np.uint16), "int64"),
        (np.arange(3, dtype=np.uint64), "int64"),
        (np.arange(3, dtype=np.uint8), "uint8"),
        (np.arange(3, dtype=np.int16), "int16"),
        (np.array([True, False]), "bool"),
        (np.arange(6.0)[::-1], "float64"),
        (np.arange(6.0, dtype=np.float32).reshape(2, 3).T, "float32"),
        (np.broadcast_to(np.float32(2), (2, 3)), "float32"),
    ],
)
def test_arrays_become_tensors(torch, a, dtype):
    be = xpnn.get_backend("torch")
    tensor = be.from_host(a)
    assert (str(tensor.dtype), be.owns(tensor)) == (f"torch.{dtype}", True)
    assert tensor.is_contiguous()
    assert be.to_numpy(tensor).tolist() == a.tolist()


def test_a_plain_array_shares_its_memory_with_its_tensor(torch):
    be, a = xpnn.get_backend("torch"), np.arange(3.0)
    a[0] = 5
    tensor = be.from_host(a)
    a[1] = 7
    assert tensor.tolist() == [5, 7, 2]
    assert np.shares_memory(be.to_numpy(tensor), a)
    given = np.broadcast_to(np.float32(1), (3,))
    assert not np.shares_memory(be.to_numpy(be.from_host(given)), given)


def test_tensors_that_are_its_own(torch):
    be = xpnn.get_backend("torch")
    assert be.owns(torch.zeros(2))
    for other in (torch.zeros(2, requires_grad=True), torch.zeros(2, device="meta"), np.zeros(2), [1.0]):
        assert not be.owns(other)
    here = types.SimpleNamespace(type="cuda", index=None)
    second = types.SimpleNamespace(type="cuda", index=1)
    kind = type(be)

    def owned(own, device):
        fake = types.SimpleNamespace(xp=types.SimpleNamespace(Tensor=types.SimpleNamespace), device=own)
        return kind.owns(fake, types.SimpleNamespace(requires_grad=False, device=device))

    assert owned(here, second)
    assert owned(second, second)
    assert not owned(second, types.SimpleNamespace(type="cuda", index=0))
    assert not owned(second, types.SimpleNamespace(type="cpu", index=1))


def test_a_condition_is_read_on_the_cpu_alone(torch):
    from xpnn.backends.torch_pieces import TRACED

    be, tree, ran = xpnn.get_backend("torch"), {"a": torch.ones(2)}, []

    def then(given):
        ran.append(1)
        return {"a": given["a"] * 2}

    assert be.cond(torch.tensor(False), then, tree) is tree
    assert not ran
    assert be.cond(torch.tensor(True), then, tree)["a"].tolist() == [2, 2]
    token = TRACED.set(True)
    try:
        assert be.cond(torch.tensor(False), then, tree)["a"].tolist() == [1, 1]
    finally:
        TRACED.reset(token)
    assert len(ran) == 2


@pytest.mark.parametrize(
    ("kind", "options"), [("cuda", {"triton.cudagraphs": True}), ("cpu", None), ("mps", None)]
)
def test_what_inductor_is_asked_for(torch, monkeypatch, kind, options):
    """In a CUDA graph each replay is announced, and its results are copied before the next one writes over them."""
    from xpnn.backends.inductor import CompiledOnRequest

    seen, results = [], []

    def compiler(graph, inputs, given):
        seen.append(given)

        def run(*tensors):
            seen.append("run")
            results.append(graph(*tensors))
            return results[-1]

        return run

    monkeypatch.setattr(torch._inductor, "compile", compiler)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: seen.append("begin"))
    monkeypatch.setenv("XPNN_COMPILE_AFTER", "0")
    be = types.SimpleNamespace(device=types.SimpleNamespace(type=kind))
    step = CompiledOnRequest(be, lambda tree, n: {"twice": tree["a"] * n, "same": (tree["b"], n)})
    a, b = torch.arange(3.0), torch.ones(2)
    for _ in range(2):
        out = step({"a": a, "b": b}, 2)
        assert out["twice"].tolist() == [0, 2, 4]
        assert (out["same"][0].tolist(), out["same"][1]) == ([1, 1], 2)
        assert any(out["twice"] is result for result in results[-1]) == (kind != "cuda")
    assert seen == [options, *(["begin", "run"] if kind == "cuda" else ["run"]) * 2]


def test_what_a_compiled_step_depends_on(torch):
    from xpnn.backends.inductor import described

    a = torch.zeros(4, 6)
    assert described(a) == ((4, 6), torch.float32, (6, 1))
    assert described(a.T) == ((6, 4), torch.float32, (1, 6))
    assert described(a[:, ::2]) == ((4, 3), torch.float32, (6, 2))
    assert described(a[:1]) == described(torch.zeros(1, 6)) == ((1, 6), torch.float32, (1,))
    assert described(a[:, :1]) == ((4, 1), torch.float32, (6,))
    assert described(a[:0]) == ((0, 6), torch.float32, ())
    assert [described(leaf) for leaf in (3, True, None, {}, 0.0)] == [
        (int, 3), (bool, True), (type(None), None), (dict, None), (float, None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, "inf"), ("", "inf"), ("never", "inf"), ("0", "0"), ("2.5", "2.5")]
)
def test_how_long_steps_go_on_before_they_are_compiled(monkeypatch, text, seconds):
    from xpnn.backends.inductor import patience

    monkeypatch.delenv("XPNN_COMPILE_AFTER", raising=False)
    if text is not None:
        monkeypatch.setenv("XPNN_COMPILE_AFTER", text)
    assert patience() == float(seconds)


def test_modules_of_accelerators(torch, monkeypatch):
    from xpnn.backends.torch_devices import is_available, kinds_here, module_of, open_torch_device

    assert module_of(torch, "no such device") is None
    assert is_available(torch, "no such device") is False
    usable = types.SimpleNamespace(is_available=lambda: True)
    old = types.SimpleNamespace(
        get_device_module=lambda kind: {"mps": types.SimpleNamespace(), "xpu": usable}[kind],
        backends=types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: True)),
    )
    old.get_device_module = lambda kind, modules=("mps", "xpu"): (
        {"mps": types.SimpleNamespace(), "xpu": usable}[kind] if kind in modules else None
    )
    assert kinds_here(old) == ("cpu", "mps", "xpu")
    assert open_torch_device(torch, "cpu", "float64") == torch.device("cpu")
    monkeypatch.setattr("xpnn.backends.torch_devices.kinds_here", lambda torch: ("cpu", "meta"))
    monkeypatch.setattr("xpnn.backends.torch_devices.module_of", lambda torch, kind: None)
    assert open_torch_device(torch, "meta", "float64") == torch.device("meta")
    assert open_torch_device(torch, "meta:0", "float32").index == 0
    with pytest.raises(BackendError, match="it sees 1 of this kind") as caught:
        open_torch_device(torch, "meta:1", "float32")
    assert caught.value.fix == "device='meta:0'"


# JAX


@pytest.mark.oracle
def test_devices_and_arrays_of_jax():
    jax = pytest.importorskip("jax")
    be = xpnn.get_backend("jax")
    assert (be.devices_here(), be.version()) == (("cpu",), jax.__version__)
    assert xpnn.get_backend("jax", "cpu:0").device == jax.local_devices(backend="cpu")[0]
    for device, error in (("cpu:99", BackendError), ("cpu:x", UsageError), ("cpu:", UsageError)):
        with pytest.raises(error, match=f"device '{device}'"):
            xpnn.get_backend("jax", device)
    a = np.arange(3)
    own = be.from_host(a)
    a[0] = 9
    assert own.tolist() == [0, 1, 2]
    assert (be.owns(own), be.owns(a)) == (True, False)
    with be.device_context():
        np.testing.assert_allclose(
            be.normal_cdf(be.asarray([-3.0, 0.0], be.dtype)), [0.00134990, 0.5], rtol=1e-5
        )


def test_the_only_gpu_is_the_first(monkeypatch):
    be = opened(monkeypatch)
    be.cupy.cuda.runtime.getDeviceCount = lambda: 1
    assert be.open_device("cuda").id == 0
    with pytest.raises(BackendError, match="no GPU 'cuda:1'"):
        be.open_device("cuda:1")


def test_products_by_cublaslt_where_it_is_found(monkeypatch):
    for name in ("Products", "CublasLt"):
        monkeypatch.setattr(matmul, name, lambda *given, name=name: (name, *given))
    for path, precision, found in (
        ("lib.so", "tf32", ("Products", "cupy", ("CublasLt", "lib.so"), "tf32")),
        (None, "fp32", None),
    ):
        monkeypatch.setattr(matmul, "find_cublaslt", lambda path=path: path)
        assert matmul.open_products("cupy", precision) == found
    with pytest.raises(BackendError, match="'tf32' needs cuBLASLt"):
        matmul.open_products("cupy", "tf32")
