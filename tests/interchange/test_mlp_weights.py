"""scikit-learn's MLPs, in and out."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.neural_network import MLPClassifier, MLPRegressor

import xpnn
from xpnn import Conv1D, Dense, Dropout, Flatten, ReLU, Tanh
from xpnn.errors import UsageError
from xpnn.interchange import from_mlp, to_mlp

pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))


def trained(kind, activation, classes=3):
    labels = np.array(["a", "b", "c"])[RNG.integers(0, classes or 2, 60)]
    y = labels if kind is MLPClassifier else X[:, :2] @ [[1.0, 2.0], [0.5, 0.1]]
    return kind(
        hidden_layer_sizes=(6, 5),
        activation=activation,
        max_iter=20,
        random_state=0,
        tol=10,
        n_iter_no_change=2,
    ).fit(X, y)


@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "identity"])
@pytest.mark.parametrize(("kind", "classes"), [(MLPClassifier, 3), (MLPClassifier, 2), (MLPRegressor, 0)])
def test_weights_go_in_and_back_unchanged(kind, classes, activation):
    there = trained(kind, activation, classes)
    model = from_mlp(there)
    assert model.backend.dtype_name == "float64"
    if kind is MLPRegressor:
        np.testing.assert_allclose(model.predict(X), there.predict(X), rtol=1e-12, atol=1e-12)
        back = to_mlp(model)
    else:
        shares = there.predict_proba(X)
        ours = model.predict_proba(X)
        np.testing.assert_allclose(ours[:, -1], shares[:, -1], rtol=1e-12, atol=1e-12)
        labels = there.classes_[np.ravel(model.predict(X)).astype(int)]
        assert (labels == there.predict(X)).all()
        back = to_mlp(model, classes=there.classes_)
        np.testing.assert_allclose(back.predict_proba(X), shares, rtol=1e-12, atol=1e-12)
    assert (back.predict(X) == there.predict(X)).all()


def test_settings_are_those_of_a_model():
    there = trained(MLPClassifier, "relu")
    assert from_mlp(there).seed == 0
    model = from_mlp(there, backend="strict", dtype="float32")
    assert (model.backend.name, model.backend.dtype_name) == ("strict", "float32")
    np.testing.assert_allclose(model.predict_proba(X), there.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    "layers",
    [[Dense(3), ReLU(), Dense(3), Tanh(), Dense(2)], [Dense(3), ReLU(), ReLU(), Dense(2)], [ReLU()]],
    ids=str,
)
def test_other_networks_are_refused(layers):
    with pytest.raises(UsageError, match="no chain of Dense layers"):
        to_mlp(xpnn.Model(layers, (4,), seed=0))


def test_what_only_acts_in_training_is_left_out():
    model = xpnn.Model([Flatten(), Dense(3), ReLU(), Dropout(0.5), Dense(2)], (4,), seed=0)
    np.testing.assert_allclose(to_mlp(model).predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_wrong_arguments():
    with pytest.raises(UsageError, match="Conv1D is no fitted MLPClassifier"):
        from_mlp(Conv1D(2, 2))
    with pytest.raises(UsageError, match="fit it first"):
        from_mlp(MLPClassifier())
    with pytest.raises(UsageError, match="wanted 2 labels in rising order"):
        to_mlp(xpnn.Model([Dense(2)], (4,), seed=0), classes=["b", "a"])
