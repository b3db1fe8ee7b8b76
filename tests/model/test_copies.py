"""Copies of a model: pickle, joblib, deepcopy, copy; and what is refused when it is made."""

import copy
import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import xpnn
from xpnn.errors import UsageError
from xpnn.layers import Layer

X = np.random.default_rng(0).normal(size=(12, 6)).astype("f4")
FORM = xpnn.data.ImagePreparation(3, 2, 1, ("a", "b", "c"))


def by_joblib(model):
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


WAYS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
    "joblib": by_joblib,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("backend", ["numpy", "strict", pytest.param("torch", marks=pytest.mark.oracle),
                                     pytest.param("jax", marks=pytest.mark.oracle)])  # fmt: skip
def test_a_copy_answers_alike_and_shares_no_weights(backend, way):
    layers = [xpnn.Flatten(), xpnn.Dense(8), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(3)]
    model = xpnn.Model(layers, (3, 2, 1), backend=backend, seed=3, dtype="float64", preparation=FORM)
    x = X.reshape(12, 3, 2, 1)
    model.fit(
        x, np.arange(12) % 3, loss=xpnn.losses.SoftmaxCrossEntropy(label_smoothing=0.1), epochs=2, verbose=0
    )
    answer, before = model.forward(x), model.snapshot()
    twin = WAYS[way](model)
    assert (type(twin), twin.net, twin.loss, twin.seed) == (xpnn.Model, model.net, model.loss, 3)
    assert twin.preparation == FORM
    assert (twin.backend.name, twin.backend.dtype_name) == (backend, "float64")
    assert np.array_equal(twin.forward(x), answer)
    twin.fit(x, np.arange(12) % 3, epochs=1, verbose=0)
    assert np.array_equal(model.snapshot()["theta"], before["theta"])
    assert not np.array_equal(twin.snapshot()["theta"], before["theta"])


def test_a_list_of_models_keeps_which_are_one():
    model = xpnn.Model([xpnn.Dense(3)], (6,), seed=0)
    a, b = pickle.loads(pickle.dumps([model, model]))
    assert a is b


class NoDataclass(Layer):
    def __init__(self, k):
        self.k = k

    def forward(self, cx, p, x):
        return x * self.k, ()


@dataclass
class NotFrozen(Layer):
    k: float = 2.0


class FurtherSettings(xpnn.Dense):
    extra: int = 3


class MyOptimizer(xpnn.optimizers.Optimizer):
    def __init__(self, lr):
        self.rate = lr


class MyLoss(xpnn.losses.Loss):
    def __init__(self, k):
        self.k = k


@pytest.mark.parametrize("make", [
    lambda: NoDataclass(2.0), NotFrozen, lambda: FurtherSettings(4), lambda: MyOptimizer(0.1),
    lambda: MyLoss(1),
])  # fmt: skip
def test_a_class_that_could_not_be_saved_is_refused_when_it_is_made(make):
    with pytest.raises(UsageError, match="dataclass") as caught:
        make()
    assert "@dataclass(frozen=True) above class" in caught.value.fix


class QuietDense(xpnn.Dense):
    """A method more, and no setting: it need not be decorated again."""

    def report(self):
        return self.units


def test_a_subclass_without_settings_of_its_own_is_fine():
    model = xpnn.Model([QuietDense(3)], (6,), seed=0)
    assert copy.deepcopy(model).net.layers[0].report() == 3


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    model = xpnn.Model([xpnn.Dense(3)], (6,), seed=0)
    model.save("~/m.safetensors")
    assert (tmp_path / "m.safetensors").exists()
    assert np.array_equal(xpnn.load("~/m.safetensors").forward(X), model.forward(X))
    np.save(tmp_path / "x.npy", X)
    assert np.array_equal(xpnn.data.read_npy(Path("~/x.npy")), X)
