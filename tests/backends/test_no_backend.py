"""Array libraries that are missing or do not work: each fault has its own message, and nothing falls back silently."""

import subprocess
import sys
import types

import pytest

import xpnn
from xpnn.backends import cupy as cupy_module
from xpnn.backends.cuda import checks, matmul
from xpnn.errors import BackendError

BOTH = {"cupy-cuda12x": "14.0.1", "cupy-cuda13x": "14.0.1"}
OLD, NEW = {"cupy-cuda12x": "14.0.1"}, {"cupy-cuda13x": "14.0.1"}


def machine(monkeypatch, driver, found, cupy=None):
    """One with this driver, these packages, and this in place of the module."""
    monkeypatch.setattr(checks, "driver_version", lambda: driver)
    monkeypatch.setattr(checks, "installed_cupy", lambda: found)
    monkeypatch.setitem(sys.modules, "cupy", cupy)  # None: its import fails


def fake_cupy(count=None, error=None):
    """As much of CuPy as is asked before the first array."""

    class CUDARuntimeError(RuntimeError):
        pass

    def count_devices():
        if error is not None:
            raise CUDARuntimeError(error)
        return count

    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(CUDARuntimeError=CUDARuntimeError, getDeviceCount=count_devices)
    cupy.cuda = types.SimpleNamespace(runtime=runtime, Device=lambda index: index)
    return cupy


# driver, packages, module, fragments of the message
FAULTS = {
    "nothing": (
        None,
        {},
        None,
        ["CuPy, which is not installed", "no NVIDIA driver was found either", "xpnn[cuda13]"],
    ),
    "driver 13 alone": ((13, 0), {}, None, ["it supports CUDA 13.0", "pip install 'xpnn[cuda13]'"]),
    "driver 12 alone": ((12, 4), {}, None, ["it supports CUDA 12.4", "pip install 'xpnn[cuda12]'"]),
    "no driver": (None, NEW, None, ["CuPy 14.0.1 is installed", "no NVIDIA driver", "libcuda.so.1"]),
    "two wheels": (
        (12, 4),
        BOTH,
        None,
        ["cupy-cuda12x 14.0.1, cupy-cuda13x", "uninstall", "install cupy-cuda12x"],
    ),
    "wrong major": ((12, 4), NEW, None, ["built for CUDA 13, the driver supports CUDA 12.4", "cupy-cuda12x"]),
    "no GPU to be seen": (
        (12, 4),
        OLD,
        fake_cupy(error="cudaErrorNoDevice: no CUDA-capable device is detected"),
        ["CuPy sees no usable GPU", "cudaErrorNoDevice", "check nvidia-smi"],
    ),
    "none of the GPUs": ((12, 4), OLD, fake_cupy(count=0), ["no usable GPU", "why: the driver shows none"]),
    "an error without words": ((12, 4), OLD, fake_cupy(error=""), ["no usable GPU", "why: CUDARuntimeError"]),
    "broken wheel": ((12, 4), OLD, None, ["CuPy cannot be imported", "ModuleNotFoundError", "xpnn[cuda12]"]),
}


@pytest.mark.parametrize(("driver", "found", "module", "fragments"), FAULTS.values(), ids=FAULTS)
def test_faults_of_cupy(monkeypatch, driver, found, module, fragments):
    machine(monkeypatch, driver, found, module)
    with pytest.raises(BackendError) as caught:
        xpnn.Model([xpnn.Dense(2)], (3,), backend="cupy")
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert caught.value.fix
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("driver", [(12, 4), (13, 0), (14, 1)])
def test_an_older_wheel_on_a_newer_driver_is_no_fault(monkeypatch, driver):
    machine(monkeypatch, driver, OLD, fake_cupy(count=1))
    checks.check_installation()


@pytest.mark.parametrize("hidden", ["", "7"])
def test_gpus_that_are_hidden(monkeypatch, hidden):
    machine(
        monkeypatch, (12, 4), OLD, fake_cupy(error="cudaErrorNoDevice: no CUDA-capable device is detected")
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    with pytest.raises(BackendError, match="no usable GPU") as caught:
        xpnn.Model([xpnn.Dense(2)], (3,), backend="cupy")
    assert f"check CUDA_VISIBLE_DEVICES, which is {hidden!r}" in caught.value.fix


def test_a_folder_of_kernels_that_cannot_be_made(monkeypatch, tmp_path):
    """CuPy makes it while it is imported."""
    (tmp_path / "cupy.py").write_text("raise PermissionError(13, 'Permission denied', '/ro/kernel_cache')\n")
    monkeypatch.syspath_prepend(tmp_path)
    machine(monkeypatch, (12, 4), OLD)
    monkeypatch.delitem(sys.modules, "cupy")
    monkeypatch.setenv("CUPY_CACHE_DIR", "/ro/kernel_cache")
    with pytest.raises(
        BackendError, match="cannot write its kernels to /ro/kernel_cache\n  why: Perm"
    ) as caught:
        xpnn.Model([xpnn.Dense(2)], (3,), backend="cupy")
    assert "CUPY_CACHE_IN_MEMORY=1" in caught.value.fix


class FakeArray:
    """A cupy.ndarray on device number `device`; `fault` comes up when a kernel runs."""

    def __init__(self, device=0, fault=None, total=3):
        self.device, self.fault, self.total = device, fault, total

    def sum(self):
        if self.fault is not None:
            raise self.fault
        return self.total


def opened(monkeypatch, fault=None, total=3, device="cuda:0"):
    """A backend on a CuPy whose first kernel ends so."""
    cupy = fake_cupy(count=2)
    cupy.ndarray, cupy.arange = FakeArray, lambda n: FakeArray(0, fault, total)

    class Device:
        def __init__(self, index):
            self.id = index

        def __enter__(self):
            pass

        def __exit__(self, *error):
            pass

        def __eq__(self, other):
            return self.id == getattr(other, "id", other)

    cupy.cuda.Device = Device
    machine(monkeypatch, (13, 0), NEW, cupy)
    monkeypatch.setitem(sys.modules, "array_api_compat.cupy", types.SimpleNamespace(float32="float32"))
    return cupy_module.CupyBackend(device, "float32")


KERNEL_FAULTS = {
    "no NVRTC": (RuntimeError('Failure finding "libnvrtc.so.13"'), "cannot compile", "cupy-cuda13x[ctk]'"),
    "no headers": (
        RuntimeError("cannot open source file cuda_fp16.h"),
        "cannot compile",
        "NVRTC and the headers",
    ),
    "read-only folder": (OSError(30, "Read-only file system"), "cannot write its kernels", "CUPY_CACHE_DIR"),
    "disk full": (OSError(28, "No space left on device"), "cannot write its kernels", "CUPY_CACHE_DIR"),
    "no memory": (RuntimeError("cudaErrorMemoryAllocation: out of memory"), "no memory left", "nvidia-smi"),
    "old driver": (RuntimeError("cudaErrorInsufficientDriver: x"), "driver is too old", "a newer driver"),
    "an older PTX": (
        RuntimeError("CUDA_ERROR_UNSUPPORTED_PTX_VERSION"),
        "driver is too old",
        "a newer driver",
    ),
}


@pytest.mark.parametrize(("fault", "what", "fix"), KERNEL_FAULTS.values(), ids=KERNEL_FAULTS)
def test_a_first_kernel_that_fails(monkeypatch, fault, what, fix):
    with pytest.raises(BackendError, match=what) as caught:
        opened(monkeypatch, fault)
    assert str(fault).splitlines()[0] in caught.value.why
    assert fix in caught.value.fix


def test_a_first_kernel_that_is_wrong(monkeypatch):
    with pytest.raises(BackendError, match="adds wrongly: wanted 0 \\+ 1 \\+ 2 = 3, got 4"):
        opened(monkeypatch, total=4)


def test_an_array_of_another_gpu(monkeypatch):
    be = opened(monkeypatch, device="cuda:1")
    assert be.owns(FakeArray(1))
    assert not be.owns(FakeArray(0))
    with pytest.raises(
        BackendError, match=r"x is a .*FakeArray on 0; this model's arrays live on cupy/cuda:1"
    ):
        be.require("x", FakeArray(0))


def second(monkeypatch):
    """A backend on the second GPU, and the numbers of the devices entered: the last is the current one."""
    be, now = opened(monkeypatch, device="cuda:1"), [0]

    class Device(type(be.device)):
        def __enter__(self):
            now.append(self.id)

        def __exit__(self, *error):
            now.pop()

    be.cupy.cuda.Device = Device
    return be, now


@pytest.mark.parametrize(("limit", "most"), [(0, 500), (700, 300)])
def test_what_fits_is_asked_of_the_gpu_that_was_chosen(monkeypatch, limit, most):
    """Half of what is free on it, and of what CuPy's pool holds there and may hold."""
    be, now = second(monkeypatch)

    def only_there(value):
        return lambda: value if now[-1] == 1 else 0

    pool = {"free_bytes": 100, "used_bytes": 100, "get_limit": limit}
    be.cupy.get_default_memory_pool = lambda: types.SimpleNamespace(
        **{name: only_there(value) for name, value in pool.items()}
    )
    be.cupy.cuda.runtime.memGetInfo = lambda: (only_there(900)(), 9999)
    assert be.fits(most)
    assert not be.fits(most + 1)


def test_arrays_come_and_go_on_the_gpu_that_was_chosen(monkeypatch):
    be, now = second(monkeypatch)
    seen = []

    def noted(name, result=None):
        def call(*args, **settings):
            seen.append((name, now[-1]))
            return result

        return call

    pool = types.SimpleNamespace(used_bytes=noted("pool"))
    be.cupy.get_default_memory_pool = lambda: pool
    be.cupy.cuda.memory = types.SimpleNamespace(OutOfMemoryError=MemoryError)
    be.xp = types.SimpleNamespace(asarray=noted("asarray", FakeArray(1)))
    be.cupy.asnumpy = noted("asnumpy")
    be.cupy.cuda.Stream, be.cupy.cuda.Event = noted("Stream"), noted("Event")
    monkeypatch.setitem(sys.modules, "cupyx", types.SimpleNamespace(empty_pinned=None))
    be.asarray([1.0, 2.0])
    be.to_numpy(FakeArray(1))
    be.uploads([])
    assert {name for name, _ in seen} == {"pool", "asarray", "asnumpy", "Stream", "Event"}
    assert {device for _, device in seen} == {1}
    assert [name for name, _ in seen].count("Event") == 4, "two for each of two batches on their way"
    assert now == [0]


def test_a_process_forked_after_cuda_was_in_use(monkeypatch):
    be = opened(monkeypatch)
    with be.device_context():
        pass
    monkeypatch.setattr("os.getpid", lambda: be.process + 1)
    with pytest.raises(BackendError, match="CUDA was in use before this process was forked") as caught:
        be.device_context()
    assert "spawn" in caught.value.fix


def test_precision_without_cublaslt(monkeypatch):
    be = opened(monkeypatch)
    monkeypatch.setattr(matmul, "find_cublaslt", lambda: None)
    assert be.products is None
    other = opened(monkeypatch)
    other.precision = "tf32"
    with pytest.raises(BackendError, match="precision 'tf32' needs cuBLASLt, which was not found"):
        _ = other.products


@pytest.mark.parametrize("device", ["cuda:2", "cuda:99"])
def test_a_gpu_that_is_not_there(monkeypatch, device):
    machine(monkeypatch, (12, 4), OLD, fake_cupy(count=2))
    backend = object.__new__(cupy_module.CupyBackend)
    backend.cupy = sys.modules["cupy"]
    assert backend.open_device("cuda:1") == 1
    with pytest.raises(
        BackendError, match=rf"no GPU '{device}' on this machine\n  why: the driver shows 2 device"
    ):
        backend.open_device(device)


LIBRARIES = {"torch": "PyTorch", "jax": "JAX", "strict": "array-api-strict"}


def test_libraries_that_are_missing():
    """Each is named with what installs it; NumPy needs none of them."""
    code = """if True:
        import sys
        for module in ("torch", "jax", "array_api_strict"):
            sys.modules[module] = None
        import xpnn
        from xpnn.errors import BackendError
        assert xpnn.Model([xpnn.Dense(2)], (3,), seed=0).backend.name == "numpy"
        for name in ("torch", "jax", "strict"):
            try:
                xpnn.Model([xpnn.Dense(2)], (3,), backend=name)
            except BackendError as error:
                print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(
        f"backend '{name}' needs {package}, which is not installed\n"
        f"  fix: pip install 'xpnn[{name}]'   (or use the CPU: backend='numpy')\n"
        for name, package in LIBRARIES.items()
    )


def test_a_library_that_breaks_on_import(tmp_path):
    """Its own first line is passed on."""
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch.so: cannot open\\nand more')\n")
    code = f"""if True:
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        import xpnn
        from xpnn.errors import BackendError
        try:
            xpnn.get_backend("torch")
        except BackendError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "PyTorch cannot be imported\n  why: ImportError: libtorch.so: cannot open\n  fix: " in done.stdout


@pytest.mark.parametrize(
    ("name", "device", "fragment"),
    [("torch", "cuda", "PyTorch sees no CUDA device"), ("jax", "cuda", "JAX has no device 'cuda:7'")],
)
def test_an_explicit_gpu_never_falls_back(monkeypatch, name, device, fragment):
    library = pytest.importorskip(name)
    if name == "torch":
        monkeypatch.setattr(library.cuda, "is_available", lambda: False)
    else:

        def none(kind=None):
            raise RuntimeError(f"Unknown backend {kind}")

        monkeypatch.setattr(library, "devices", none)
    with pytest.raises(BackendError, match=fragment) as caught:
        xpnn.Model([xpnn.Dense(2)], (3,), backend=name, device=f"{device}:7")
    assert "device='cpu'" in caught.value.fix
