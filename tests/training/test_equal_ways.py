"""Two ways to say the same: they train, and evaluate, to the same numbers."""

import numpy as np
import pytest

import xpnn
from xpnn.data import Batches
from xpnn.optimizers import LBFGS

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((12, 3)).astype(np.float32), np.arange(12) % 3
PAIR = (X, X[:, :2])


def net(seed=0, **settings):
    return xpnn.Model([xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(3)], (3,), seed=seed, **settings)


def two_inputs():
    nodes = {"a": (xpnn.Dense(3), "x"), "b": (xpnn.Dense(3), "y"), "c": (xpnn.Add(), ("a", "b"))}
    return xpnn.Model(xpnn.Graph(("x", "y"), nodes, "c"), ((3,), (2,)), seed=0)


def trained(x, y, model=None, **settings):
    model = model or net()
    model.fit(x, y, epochs=2, batch_size=5, verbose=0, **settings)
    return np.asarray(model.theta)


@pytest.mark.parametrize("weights", ["balanced", {0: 1.0, 1: 3.0, 2: 0.5}])
def test_weights_of_classes_for_ids_and_for_rows(weights):
    y = np.where(Y == 2, 0, Y)
    by_ids, by_rows = trained(X, y, class_weight=weights), trained(X, np.eye(3)[y], class_weight=weights)
    np.testing.assert_allclose(by_ids, by_rows, rtol=1e-5)
    assert not np.allclose(by_ids, trained(X, y), rtol=1e-5)


def test_weights_of_classes_times_those_of_samples():
    w = np.linspace(0.5, 2, 12)
    of_classes = np.array([1.0, 3.0, 0.5])[Y]
    both = trained(X, Y, class_weight=dict(enumerate([1.0, 3.0, 0.5])), sample_weight=w)
    np.testing.assert_allclose(both, trained(X, Y, sample_weight=w * of_classes), rtol=1e-5)


@pytest.mark.parametrize(("make", "x"), [(net, X), (two_inputs, PAIR)], ids=["one input", "two inputs"])
def test_an_evaluation_of_batches_is_that_of_arrays(make, x):
    model = make()
    wanted = model.evaluate(x, Y)
    cut = [slice(0, 5), slice(5, 12)]
    parts = [(tuple(a[part] for a in x) if isinstance(x, tuple) else x[part], Y[part]) for part in cut]
    assert model.evaluate(iter(parts)) == pytest.approx(wanted, rel=1e-6)
    if not isinstance(x, tuple):
        assert model.evaluate(Batches(x, Y, 5)) == pytest.approx(wanted, rel=1e-6)


def test_lbfgs_goes_on_from_weights_that_were_put_in_its_way():
    """The first step from there goes down from their loss, not from the one of the weights that were left."""
    other = net(seed=5, dtype="float64")

    class Replace(xpnn.training.Callback):
        def epoch(self, run, row):
            if row.epoch == 3:
                run.model.theta = other.theta

    found = net(dtype="float64").fit(X, Y, optimizer=LBFGS(), epochs=4, callbacks=[Replace()], verbose=0)
    left, right = found.rows[2].train_loss, other.evaluate(X, Y)["loss"]
    assert left < found.rows[3].train_loss < right
