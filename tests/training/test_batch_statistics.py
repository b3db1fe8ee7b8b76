"""Running statistics that belong to the weights: after averaging, and for weights from elsewhere."""

import numpy as np
import pytest
from comparison import NAMES

import xpnn
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.layers import Add, BatchNorm, Dense, Dropout, Flatten, Graph, Recompute, ReLU, Residual, Standardize
from xpnn.optimizers import EMA, SGD, SWA
from xpnn.training import UseAverage, update_bn

RNG = np.random.default_rng(0)
X, IDS = 3 + 2 * RNG.normal(size=(50, 6)), RNG.integers(0, 3, 50)
ROWS = [slice(0, 16), slice(16, 32), slice(32, 48), slice(48, 50)]


def model_of(layers, backend="numpy", shape=(6,)):
    return xpnn.Model(layers, shape, dtype="float64", seed=0, backend=backend)


def statistics(model):
    return {
        k: np.array(model.backend.to_numpy(v))
        for k, v in model.parameters().items()
        if k[-4:] in ("mean", ".var")
    }


@pytest.mark.oracle
@pytest.mark.against("PyTorch")
@pytest.mark.parametrize("backend", NAMES)
def test_they_are_torchs(backend):
    """Two of them, the second behind the first; the last batch has 2 samples and counts like the others."""
    torch = pytest.importorskip("torch")
    ours = model_of([Dense(5), BatchNorm(0.3), ReLU(), Dense(4), BatchNorm()], backend)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(6, 5), torch.nn.BatchNorm1d(5), torch.nn.ReLU(), torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4)
    ).double()  # fmt: skip
    with torch.no_grad():
        for i in (0, 3):
            for name, mine in (("weight", "W"), ("bias", "b")):
                a = np.array(ours.backend.to_numpy(ours.parameters()[f"{i}.{mine}"]))
                getattr(theirs[i], name).copy_(torch.tensor(a.T))
    torch.optim.swa_utils.update_bn([torch.tensor(X[rows]) for rows in ROWS], theirs)
    update_bn(ours, X, batch_size=16)
    found = statistics(ours)
    for i in (1, 4):
        np.testing.assert_allclose(found[f"{i}.mean"], theirs[i].running_mean.numpy(), rtol=1e-12)
        np.testing.assert_allclose(found[f"{i}.var"], theirs[i].running_var.numpy(), rtol=1e-12)


@pytest.mark.parametrize("backend", NAMES)
def test_wherever_the_layer_stands(backend):
    """In containers and graphs; what else phi holds stays as it is."""
    inner = Residual([Dense(6), Recompute(BatchNorm(0.01))])
    graph = Graph("x", [("a", BatchNorm(), "x"), ("b", Dense(6), "a"), ("y", Add(), ("a", "b"))], "y")
    model = model_of([Standardize(3.0, 2.0), inner, graph, Dense(2)], backend)
    before = statistics(model)
    update_bn(model, X, batch_size=50)
    found = statistics(model)
    assert (found["0.mean"] == before["0.mean"]).all()
    assert all((found[k] != before[k]).any() for k in found if not k.startswith("0."))
    again = statistics(model)
    update_bn(model, X, batch_size=50)
    for k, v in statistics(model).items():
        np.testing.assert_allclose(v, again[k], rtol=1e-12)  # nothing of the old ones is left in them


def test_a_run_that_ends_with_an_average_has_its_statistics():
    """Those of EMA's weights on the samples that were trained on; without, the last steps' would be used."""
    for wrap in (lambda o: EMA(o, 0.9), SWA):
        model = model_of([Dense(5), BatchNorm(), ReLU(), Dense(3)])
        trainer = xpnn.Trainer(model, optimizer=wrap(SGD(0.5)))
        trainer.fit(X, IDS, epochs=3, batch_size=25, validation=(X, IDS), callbacks=[UseAverage()])
        assert np.array_equal(model.theta, trainer.state["average"])
        h = X @ model.parameters()["0.W"] + model.parameters()["0.b"]
        parts = h[:25], h[25:]
        np.testing.assert_allclose(statistics(model)["1.mean"], h.mean(0), rtol=1e-12)
        np.testing.assert_allclose(
            statistics(model)["1.var"], np.mean([part.var(0, ddof=1) for part in parts], axis=0), rtol=1e-12
        )


def test_held_out_samples_are_not_looked_at():
    model = model_of([Dense(5), BatchNorm(), Dense(3)])
    x = X.copy()
    trainer = xpnn.Trainer(model, optimizer=EMA(SGD(0.1), 0.9))
    trainer.fit(x, IDS, epochs=1, batch_size=25, validation=0.2, callbacks=[UseAverage()])
    h = x @ model.parameters()["0.W"] + model.parameters()["0.b"]
    assert not np.allclose(statistics(model)["1.mean"], h.mean(0), rtol=1e-6)


def test_what_it_refuses_and_what_it_leaves_alone():
    model = model_of([Dense(5), BatchNorm(), Dense(3)])
    with pytest.raises(ShapeError, match="batch of one sample"):
        update_bn(model, X, batch_size=7)
    with pytest.raises(DataError):
        update_bn(model, X[:, :5])
    plain = model_of([Dense(5), Dropout(0.5), Flatten()])
    theta = plain.theta.copy()
    update_bn(plain, X)
    assert np.array_equal(plain.theta, theta)


def test_an_average_asked_of_an_optimizer_without_one():
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    x, y = np.eye(3, dtype=np.float32), np.array([0, 1, 0])
    with pytest.raises(UsageError, match="SGD keeps no average of the weights"):
        model.fit(x, y, optimizer=xpnn.SGD(0.1), callbacks=[UseAverage()], verbose=0)


def test_an_average_on_ready_made_batches():
    """Without running statistics it is the average; BatchNorm's would have to be measured on the samples again."""
    x, y = np.eye(3, dtype=np.float32), np.array([0, 1, 0])
    batches, ema = [(x, y)] * 4, xpnn.EMA(xpnn.SGD(0.1))
    plain = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    trainer = xpnn.Trainer(plain, "softmax_cross_entropy", ema)
    trainer.fit(batches, epochs=1, callbacks=[UseAverage()])
    assert np.array_equal(np.asarray(plain.theta), np.asarray(trainer.state["average"]))
    norm = xpnn.Model([xpnn.Dense(2), xpnn.BatchNorm()], (3,), seed=0)
    with pytest.raises(UsageError, match="UseAverage on ready-made batches"):
        xpnn.Trainer(norm, "softmax_cross_entropy", ema).fit(batches, epochs=1, callbacks=[UseAverage()])
