"""`fit` on batches that come ready made."""

import numpy as np
import pytest

import xpnn
from xpnn.data import Batches
from xpnn.errors import DataError, DivergedError, UsageError
from xpnn.training import Checkpoint

X = np.random.default_rng(0).standard_normal((60, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def net():
    return xpnn.Model([xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(2)], (4,), seed=0)


def batches(size=7):
    return [(X[i : i + size], Y[i : i + size]) for i in range(0, 60, size)]


def test_the_seeded_batches_give_the_steps_of_fit_on_the_arrays():
    whole, ready = net(), net()
    wanted = whole.fit(X, Y, epochs=3, batch_size=7, schedule="cosine", validation=(X, Y), verbose=0)
    given = Batches(X, Y, batch_size=7)
    got = ready.fit(given, epochs=3, schedule="cosine", validation=(X, Y), verbose=0)
    assert np.array_equal(whole.theta, ready.theta)
    for column in ("train_loss", "train_accuracy", "valid_loss", "lr"):
        assert got[column] == wanted[column]


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        (batches(), None),
        (lambda: iter(batches()), 9),
        (iter(batches() * 2), 9),
        ([[x, y, np.ones(len(y))] for x, y in batches()], None),
    ],
    ids=["list", "function", "iterator", "weights"],
)
def test_every_source_makes_the_same_run(given, steps):
    wanted, model = net(), net()
    trainer = xpnn.Trainer(wanted)
    for x, y in batches() * 2:
        trainer.step(x, y)
    history = model.fit(given, epochs=2, steps_per_epoch=steps, verbose=0)
    assert len(history) == 2
    assert np.allclose(wanted.theta, model.theta, atol=1e-6)


@pytest.mark.oracle
def test_a_data_loader_is_a_source_for_fit_and_for_validation():
    torch = pytest.importorskip("torch")
    data = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(data, batch_size=7)
    by_loader, by_list = net(), net()
    history = by_loader.fit(loader, epochs=2, validation=loader, verbose=0)
    by_list.fit(batches(), epochs=2, verbose=0)
    assert np.array_equal(by_loader.theta, by_list.theta)
    assert history["valid_loss"][-1] == by_list.evaluate(X, Y)["loss"] == by_list.evaluate(loader)["loss"]


def test_a_bar_sees_the_steps():
    seen = []

    class Watch(xpnn.training.Callback):
        def start(self, run, epochs, samples, batch_size):
            seen.append((epochs, samples, batch_size))

        def progress(self, epoch, samples, loss):
            seen.append((epoch, samples))

        def step(self, run):
            assert len(run.batch()[0]) == 7 or run.steps == 9

    net().fit(batches(), epochs=1, callbacks=[Watch()], verbose=0)
    assert seen == [(1, 9, 1), (1, 8), (1, 9)]


@pytest.mark.parametrize(
    ("given", "settings", "error", "words"),
    [
        (iter(batches()), {}, UsageError, "steps_per_epoch"),
        (X, {}, UsageError, "no y"),
        (batches(), {"steps_per_epoch": 20}, DataError, "ended after 9 of the 20"),
        ([X, Y], {}, DataError, "batch 1 of epoch 1 is"),
        (batches(), {"validation": 0.1}, UsageError, "validation=0.1 with"),
        (batches(), {"class_weight": "balanced"}, UsageError, "class_weight"),
        (batches(), {"callbacks": [Checkpoint("a.safetensors")]}, UsageError, "KeepBest"),
        (batches(), {"optimizer": "lbfgs"}, UsageError, "LBFGS"),
        ([(X, Y[:3])], {}, DataError, "60 samples"),
        (batches(), {"optimizer": xpnn.SGD(1e30)}, DivergedError, "epoch 1, batch"),
    ],
)
def test_what_cannot_be_is_said(given, settings, error, words):
    with pytest.raises(error, match=words):
        net().fit(given, epochs=1, verbose=0, **settings)


def test_steps_per_epoch_has_no_meaning_for_arrays():
    with pytest.raises(UsageError, match="one pass"):
        net().fit(X, Y, steps_per_epoch=3, verbose=0)
