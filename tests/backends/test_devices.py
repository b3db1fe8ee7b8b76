"""Devices are what the library says it has: by stand-ins, as no accelerator is here."""

import subprocess
import sys
import types

import numpy as np
import pytest

import xpnn
from xpnn.errors import BackendError, UsageError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


@pytest.fixture
def accelerator(monkeypatch):
    """PyTorch with an accelerator of some kind, whose arrays are on the meta device: shapes without numbers."""
    from xpnn.backends import _open

    def pretend(kind, count=1, lacks=()):
        module = types.SimpleNamespace(is_available=lambda: True, device_count=lambda: count)
        modules, zeros = torch.get_device_module, torch.zeros
        monkeypatch.setattr(
            torch, "get_device_module", lambda name=None: module if name == kind else modules(name)
        )

        def made(shape, dtype, device):
            if str(dtype).removeprefix("torch.") in lacks:
                raise TypeError(f"Cannot convert to {dtype}")
            return zeros(shape, dtype=dtype, device="meta")

        monkeypatch.setattr(torch, "zeros", made)

    _open.cache_clear()
    yield pretend
    _open.cache_clear()


@pytest.mark.parametrize("kind", ["mps", "xpu", "cuda"])
def test_an_accelerator_is_opened_by_its_name(accelerator, kind):
    accelerator(kind, count=2)
    be = xpnn.get_backend("torch", f"{kind}:1")
    assert (be.device, be.device_name) == (torch.device(kind, 1), f"{kind}:1")
    assert be.devices_here() == ("cpu", kind)
    with pytest.raises(BackendError, match=f"no device '{kind}:2'") as caught:
        xpnn.get_backend("torch", f"{kind}:2")
    assert caught.value.fix == f"device='{kind}:1'"


def test_what_a_device_lacks_is_said_when_it_is_opened(accelerator):
    accelerator("mps", lacks=("float64",))
    assert xpnn.get_backend("torch", "mps").dtype_name == "float32"
    with pytest.raises(UsageError, match="device 'mps' has no float64") as caught:
        xpnn.get_backend("torch", "mps", "float64")
    assert caught.value.fix == "dtype='float32'"


@pytest.mark.parametrize("backend", ["torch", "jax"])
@pytest.mark.parametrize("device", ["xpu", "tpu", "cup", "cuda:x"])
def test_no_device(backend, device):
    with pytest.raises((BackendError, UsageError), match=device.partition(":")[0]) as caught:
        xpnn.get_backend(backend, device)
    assert "cpu" in caught.value.fix


def test_a_device_from_another_package(accelerator, monkeypatch):
    """Its name is that of PyTorch's current accelerator (PrivateUse1)."""
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: types.SimpleNamespace(type="npu7"))
    accelerator("npu7")
    from xpnn.backends.torch_devices import kinds_here

    assert kinds_here(torch) == ("cpu", "npu7")


NETS = {
    "masks": [xpnn.Flatten(), xpnn.Dropout(0.3), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dense(3)],
    "statistics": [xpnn.Conv2D(4, 3), xpnn.BatchNorm(), xpnn.MaxPool2D(2), xpnn.Flatten(), xpnn.Dense(3)],
    "sequences": [xpnn.Reshape((6, 6)), xpnn.LSTM(3), xpnn.LayerNorm(), xpnn.Dense(3)],
}


@pytest.mark.parametrize("net", NETS)
def test_a_step_makes_every_array_on_its_device(monkeypatch, net):
    """The meta device has no numbers to copy to the host and mixes with no other."""
    from xpnn.backends import _open
    from xpnn.training.step import Objective

    monkeypatch.setattr("xpnn.backends.torch_devices.kinds_here", lambda torch: ("cpu", "meta"))
    monkeypatch.setattr("xpnn.backends.torch_devices.module_of", lambda torch, kind: None)
    _open.cache_clear()
    be = xpnn.get_backend("torch", "meta")
    model = xpnn.Model(NETS[net], (6, 6, 1), backend=be, seed=0)
    bound = xpnn.Adam().bind(model.layout.params)
    with be.device_context():
        state = {**bound.init(be, model.theta), "ok": be.scalar(True, be.xp.bool)}
        step = Objective(model.net, model.loss, model.layout, be, 0).step(bound)
        batch = be.zeros((4, 6, 6, 1)), be.asarray(np.zeros(4, np.int64))
        value, theta, phi, state = step(model.theta, model.phi, state, *batch)
    assert {a.device.type for a in (value, theta, phi, *state.values())} == {"meta"}
    _open.cache_clear()


TWO = """if True:
    import numpy as np, xpnn
    x, y = np.random.default_rng(0).standard_normal((32, 5)), np.arange(32) % 3
    weights = []
    for device in ("cpu", "cpu:1"):
        model = xpnn.Model([xpnn.Dense(3)], (5,), backend="jax", device=device, seed=0)
        model.fit(x, y, epochs=2, batch_size=16, verbose=0)
        assert [d.id for d in model.theta.devices()] == [int(device == "cpu:1")]
        weights.append(np.asarray(model.theta))
    assert (weights[0] == weights[1]).all()
    try:
        xpnn.get_backend("jax", "cpu:2")
    except xpnn.errors.BackendError as error:
        print(error.what)
"""


def test_jax_trains_on_the_second_of_two_devices(monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("JAX has no device 'cpu:2'")
