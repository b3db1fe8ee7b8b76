"""Backends side by side: rounding passes, a broken kernel is found at its layer."""

import json

import numpy as np
import pytest
from installed_backends import INSTALLED

import xpnn
from xpnn.backends import BACKENDS
from xpnn.backends.strict import StrictBackend
from xpnn.diagnostics.compare import gap
from xpnn.errors import BackendError, UsageError
from xpnn.kernels import Kernels

X = np.random.default_rng(0).standard_normal((8, 6))
Y = np.arange(8) % 3
BLOCK = xpnn.Sequential([xpnn.Dense(6), xpnn.Sigmoid()])
NET = [xpnn.Dense(6), xpnn.ReLU(), xpnn.Residual(BLOCK), xpnn.Dropout(0.4), xpnn.Dense(3)]


@pytest.fixture
def model():
    return xpnn.Model(NET, (6,), dtype="float64", seed=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_backend_differs_by_rounding_alone(model, dtype):
    found = xpnn.compare_backends(model, X, Y, dtype=dtype)
    assert found.ok, str(found)
    assert [g.backend for g in found.backends] == [name for name in INSTALLED if name != "numpy"]
    assert found.missing.keys() == set(BACKENDS) - set(INSTALLED)
    for beside in found.backends:
        assert [row.path for row in beside.layers] == ["0", "1", "2.0.0", "2.0.1", "2", "3", "4", "loss"]
        assert max(row.forward.relative for row in beside.layers) < 20 * np.finfo(dtype).eps


BROKEN = {
    "relu": (lambda be, x: Kernels.relu(be, x) * 1.001, "1 ReLU, forward (y)", "1"),
    "relu_grad": (lambda be, dy, y: Kernels.relu_grad(be, dy, y) * 1.001, "1 ReLU, backward (dx)", "1"),
    "sigmoid": (lambda be, x: Kernels.sigmoid(be, x) + 1e-6, "2.0.1 Sigmoid, forward (y)", "2.0.1"),
    "affine": (lambda be, x, W, b: x @ W + 1.001 * b + 1e-7, "0 Dense, forward (y)", "0"),
    "keep_mask": (
        lambda be, key, tick, shape, rate: Kernels.keep_mask(be, key, tick + 1, shape, rate),
        "3 Dropout, forward (y)",
        "3",
    ),
    "one_hot": (
        lambda be, ids, classes: Kernels.one_hot(be, (ids + 1) % classes, classes),
        "loss SoftmaxCrossEntropy, forward (value)",
        "loss",
    ),
}


@pytest.mark.parametrize("kernel", BROKEN)
def test_a_broken_kernel_is_found_at_its_layer(monkeypatch, model, kernel):
    """Whatever goes wrong later as a result is larger, and not named."""
    faulty, place, path = BROKEN[kernel]
    monkeypatch.setattr(StrictBackend, kernel, faulty)
    found = xpnn.compare_backends(model, X, Y, backends=["strict"])
    (beside,) = found.backends
    assert (found.ok, beside.ok, beside.first) == (False, False, place)
    row = next(row for row in beside.layers if row.path == path)
    assert max(row.forward.relative, row.backward.relative if row.backward else 0) > found.tolerance
    assert f"strict beside numpy: first beyond the tolerance at {place}" in str(found)


def test_a_gradient_of_a_parameter_is_named(monkeypatch, model):
    monkeypatch.setattr(
        xpnn.Dense, "backward", faulty_on(xpnn.Dense.backward, "strict", lambda g: g | {"b": g["b"] * 1.001})
    )
    (beside,) = xpnn.compare_backends(model, X, Y, backends=["strict"]).backends
    assert beside.first == "4 Dense, backward (b)"


def faulty_on(backward, name, change):
    def faulty(self, cx, p, cache, dy):
        dx, grads = backward(self, cx, p, cache, dy)
        return dx, change(grads) if cx.be.name == name else grads

    return faulty


def test_the_reference_is_the_models_own_backend(model):
    other = xpnn.Model(NET, (6,), backend="strict", seed=0)
    before = other.snapshot()
    found = xpnn.compare_backends(other, X, Y, backends=["numpy", "strict"], tolerance=1e-5)
    assert (found.reference, found.dtype, found.tolerance) == ("strict", "float32", 1e-5)
    assert [g.backend for g in found.backends] == ["numpy"]
    np.testing.assert_array_equal(other.snapshot()["theta"], before["theta"])


class TestGap:
    @pytest.mark.parametrize(
        ("got", "wanted", "absolute", "relative"),
        [
            ([1.0, 4.5], [1.5, -4.0], 8.5, 2.125),
            ([0.0, 0.0], [0.0, 0.0], 0, 0),
            ([0.0, 1e-9], [0.0, 0.0], 1e-9, np.inf),
            ([np.nan, 1.0], [np.nan, 2.0], 1, 0.5),
            ([np.inf, 1.0], [np.inf, 1.0], 0, 0),
            ([np.nan, 1.0], [0.0, 1.0], np.inf, np.inf),
            ([-np.inf, 1.0], [np.inf, 1.0], np.inf, np.inf),
        ],
    )
    def test_numbers(self, got, wanted, absolute, relative):
        found = gap("y", (np.array(got),), (np.array(wanted),))
        assert (found.absolute, found.relative) == (absolute, relative)

    def test_several_arrays_are_one(self):
        found = gap("y", (np.array([1.0]), np.array([8.0])), (np.array([2.0]), np.array([10.0])))
        assert (found.absolute, found.relative) == (2, 0.2)


class TestReport:
    def test_table_fits_a_terminal_and_json_is_the_report(self, model):
        found = xpnn.compare_backends(model, X, Y, backends=["strict"])
        assert max(map(len, str(found).splitlines())) <= 80
        data = json.loads(found.to_json())
        assert data == found.to_dict()
        assert data["ok"] is True
        assert data["backends"][0]["layers"][0]["backward"]["array"] in ("W", "b")


class TestBadInput:
    def test_backends_that_are_not_there(self, model):
        with pytest.raises(UsageError, match="unknown backend 'tinygrad'"):
            xpnn.compare_backends(model, X, Y, backends=["tinygrad"])
        with pytest.raises(BackendError, match="no backend to compare 'numpy' with"):
            xpnn.compare_backends(model, X, Y, backends=["numpy"])
        with pytest.raises(UsageError, match="unknown dtype"):
            xpnn.compare_backends(model, X, Y, dtype="float8")
