"""Arrays handed to `Trainer.step`: of this library and device, real, and of the right shapes."""

import numpy as np
import pytest
from harness import open_backend
from installed_backends import INSTALLED

import xpnn
from xpnn.errors import DataError, DeviceError, ShapeError
from xpnn.fusion.update import fuse_optimizer

X, Y = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3), np.array([0, 1, 1, 0])


def trainer(backend="numpy", **settings):
    model = xpnn.Model([xpnn.Dense(2)], (3,), backend=backend, seed=0, **settings)
    return xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.1))


def refused(step, *arrays, kind=DeviceError):
    before = step.model.snapshot()["theta"].tobytes()
    with pytest.raises(kind) as caught:
        step.step(*arrays)
    assert step.model.snapshot()["theta"].tobytes() == before
    assert step.steps == 0
    return str(caught.value)


@pytest.mark.parametrize("here", INSTALLED)
@pytest.mark.parametrize("there", INSTALLED)
def test_only_arrays_of_this_library(here, there):
    step = trainer(here)
    own, foreign = step.model.backend, xpnn.get_backend(there)
    if here == there:
        value = step.step(own.asarray(X), own.asarray(Y))
        assert own.owns(value)
        assert value.shape == ()
        return
    for arrays in (
        (foreign.asarray(X), own.asarray(Y)),
        (own.asarray(X), foreign.asarray(Y)),
        (own.asarray(X), own.asarray(Y), foreign.asarray(X[:, 0])),
    ):
        message = refused(step, *arrays)
        assert f"live on {here}/" in message
        assert "model.backend.asarray(" in message
        assert "nothing is copied between libraries" in message


@pytest.mark.parametrize(
    "x", [X.tolist(), None, 5.0, "x", X.astype(">f4"), X.astype(object), np.ma.array(X), X + 1j]
)
def test_what_is_no_plain_array(x):
    assert "x is a " in refused(trainer(), x, Y)


def test_another_device_of_the_same_library():
    strict = pytest.importorskip("array_api_strict")
    step = trainer("strict", device="device1")
    own = step.model.backend
    assert str(step.step(own.asarray(X), own.asarray(Y)).device) == str(own.device)
    step = trainer("strict", device="device1")
    for device in ("CPU_DEVICE", "device2"):
        x = strict.asarray(X, device=strict.Device(device))
        message = refused(step, x, own.asarray(Y))
        assert "strict/device1" in message
        assert device in message


def test_tensors_on_the_autograd_tape():
    torch = pytest.importorskip("torch")
    step = trainer("torch")
    y = torch.asarray(Y)
    assert "torch.Tensor" in refused(step, torch.asarray(X).requires_grad_(), y)
    step.step(torch.asarray(X).requires_grad_().detach(), y)
    meta = torch.empty((4, 3), device="meta")
    assert "on meta" in refused(trainer("torch"), meta, y)


def test_complex_arrays():
    for name in ("torch", "jax", "strict"):
        if name in INSTALLED:
            step = trainer(name)
            be = step.model.backend
            with be.device_context():
                x = be.xp.asarray((X + 1j).astype(np.complex64))
            assert "x is of dtype" in refused(step, x, be.asarray(Y), kind=DataError)
            with pytest.raises(DataError, match="x is of dtype"):
                step.model.predict(x)


@pytest.mark.parametrize("backend", INSTALLED)
def test_shapes(backend):
    step = trainer(backend)

    def a(x):
        return step.model.backend.asarray(np.asarray(x))

    assert "(4, 2), the model takes (N, 3)" in refused(step, a(X[:, :2]), a(Y), kind=ShapeError)
    assert "y has shape (3,)" in refused(step, a(X), a(Y[:3]), kind=ShapeError)
    assert "y has shape ()" in refused(step, a(X), a(1), kind=ShapeError)
    assert "weight has shape (4, 1)" in refused(step, a(X), a(Y), a(X[:, :1]), kind=ShapeError)
    assert "differ in shape" in refused(step, a(X), a(X[:, :1]), kind=ShapeError)
    assert "no samples" in refused(step, a(X[:0]), a(Y[:0]), kind=DataError)


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_models_dtype_is_kept_whatever_comes(backend, dtype):
    """Wider targets or weights would make everything after them wider."""
    other = "float64" if dtype == "float32" else "float32"
    for given in (other, "int32", "uint8", dtype):
        model = xpnn.Model([xpnn.Dense(2)], (3,), backend=backend, dtype=dtype, seed=0)
        be, step = model.backend, xpnn.Trainer(model, "mean_squared_error", xpnn.SGD(0.1, momentum=0.9))
        x, y, w = (
            be.asarray(X.astype(given)),
            be.asarray(X[:, :2].astype(given)),
            be.asarray(np.ones(4, given)),
        )
        value = step.step(x, y, w)
        for a in (value, model.theta, step.state["v"]):
            assert a.dtype == be.dtype


@pytest.mark.parametrize("mode", ["numpy", "fast"])
def test_weights_that_do_not_lie_side_by_side(mode):
    """An update writes to the weights, and to nothing between them."""
    results = []
    for stride in (1, 2):
        model = xpnn.Model([xpnn.Dense(2)], (3,), backend=open_backend(mode, "float32"), seed=0)
        memory = np.full(stride * model.theta.size, 7, np.float32)
        memory[::stride] = model.theta
        model.theta = memory[::stride]
        xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.1)).step(X, Y)
        results.append(np.array(model.theta))
        assert stride == 1 or np.all(memory[1::2] == 7)
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_a_gradient_of_another_dtype():
    """A rule that hands on float64 has its numbers rounded, not its bytes read as float32."""
    be = open_backend("numpy", "float32")
    optimizer = fuse_optimizer(xpnn.SGD(0.5))
    theta = np.ones(3, np.float32)
    new, _ = optimizer.update(be, theta, np.array([1.0, 2.0, 4.0]), optimizer.init(be, theta))
    np.testing.assert_allclose(new, [0.5, 0.0, -1.0])
