"""A loss that stops being finite: the run ends, says where, and leaves the weights of the last good batch."""

from dataclasses import dataclass

import numpy as np
import pytest
from installed_backends import INSTALLED

import xpnn
from xpnn.data import epoch_order
from xpnn.errors import DivergedError
from xpnn.layers import Layer
from xpnn.training import Callback, KeepBest, Trainer

N, BATCH = 90, 10
X = np.sin(np.arange(N * 4.0)).reshape(N, 4)
Y = (X[:, 0] > 0).astype(int)
PLANTED = int(epoch_order(3, 1, N)[45])
"""The sample whose first feature is huge: the layer below turns it into NaN."""


@dataclass(frozen=True)
class Mine(Layer):
    """Passes everything on, but NaN for values above 100: forward, or only as a gradient."""

    backwards: bool = False

    def forward(self, cx, p, x):
        bad = cx.be.xp.where(x > 100, cx.be.xp.full_like(x, float("nan")), cx.be.xp.ones_like(x))
        safe = cx.be.xp.where(x > 100, cx.be.xp.ones_like(x), x)
        return (safe if self.backwards else safe * bad), (bad,)

    def backward(self, cx, p, cache, dy):
        return dy * cache[0], {}


def planted(backwards, backend="numpy"):
    """A model, and data that it fails on at one known batch."""
    layers = [
        xpnn.Dense(4, init=xpnn.initializers.Normal(0.1)),
        Mine(backwards),
        xpnn.Dense(2),
    ]
    model = xpnn.Model(layers, (4,), backend=backend, seed=3)
    x = X.copy()
    x[PLANTED] = 1e30
    w = model.snapshot()
    w["theta"][:4] = abs(w["theta"][:4])  # W of the first layer, first row: units rise with the first feature
    w["theta"][4:16] = 0
    model.restore(w)
    return model, x


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("batch", [2, 4])
def test_weights_beyond_the_dtype_end_the_run(backend, batch):
    """Loss and gradient are finite, lr times the gradient is not: also in the very last step, which no loss follows."""
    model = xpnn.Model([xpnn.Dense(2), xpnn.Dense(1)], (3,), backend=backend, seed=0)
    trainer = Trainer(model, "mean_squared_error", xpnn.SGD(1e38))
    with pytest.raises(DivergedError) as caught:
        trainer.fit(np.full((4, 3), 50.0), np.ones((4, 1)), epochs=1, batch_size=batch)
    what = "beyond float32" if batch == 4 else "Parameter 0.W itself is not"
    assert what in str(caught.value)
    assert "0.W" in str(caught.value)


@pytest.fixture(scope="module")
def digits():
    _, _, x, y = xpnn.data.mnist()
    return x[:256], y[:256]


class Saver(Callback):
    def __init__(self, path):
        self.path, self.ended = path, 0

    def epoch(self, trainer, row):
        trainer.model.save(self.path)

    def end(self, trainer):
        self.ended += 1


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("backwards", [False, True])
def test_it_names_the_place_and_keeps_the_last_good_weights(tmp_path, backend, backwards):
    model, x = planted(backwards, backend)
    saver = Saver(tmp_path / "m")
    batch = 5
    trainer = Trainer(model, "softmax_cross_entropy", xpnn.Adam(1e-3))
    with pytest.raises(DivergedError) as caught:
        trainer.fit(x, Y, epochs=3, batch_size=BATCH, callbacks=[saver])
    message = str(caught.value)
    assert f"at epoch 1, batch {batch}\n" in message
    assert "lr 0.001" in message
    assert "first not finite: gradient of 0.W." in message
    assert "a lower learning rate (lr=0.0001)" in message
    assert caught.value.exit_code == 6
    assert not (tmp_path / "m").exists()
    assert saver.ended == 1
    assert len(trainer.history) == 0

    stopped, _ = planted(backwards, backend)
    stepper, be = Trainer(stopped, "softmax_cross_entropy", xpnn.Adam(1e-3)), stopped.backend
    stepper.total = 3 * N // BATCH
    order = epoch_order(3, 1, N)
    for b in range(batch - 1):
        rows = order[b * BATCH : (b + 1) * BATCH]
        value = stepper.step(be.asarray(x[rows].astype(np.float32)), be.asarray(Y[rows]))
        assert np.isfinite(float(value))
    assert model.snapshot()["theta"].tobytes() == stopped.snapshot()["theta"].tobytes()
    assert f"last finite loss {float(value):.4g};" in message


def test_in_a_later_epoch(tmp_path):
    """The sample is harmless until the weights have grown: place and weights are those of a run stopped there."""
    model = xpnn.Model([xpnn.Dense(1, init=xpnn.initializers.Constant(1.0))], (1,), seed=0)
    trainer = Trainer(model, "mean_squared_error", xpnn.SGD(1.5))
    x = y = np.ones((20, 1))
    with pytest.raises(DivergedError) as caught:
        trainer.fit(x, 2 * y, epochs=1000, batch_size=20, callbacks=[saver := Saver(tmp_path / "m")])
    epoch = len(trainer.history) + 1
    assert 10 < epoch < 500
    assert f"epoch {epoch}, batch 1" in str(caught.value)
    assert np.isfinite(model.theta).all()
    assert np.isfinite(trainer.history["train_loss"]).all()
    np.testing.assert_array_equal(xpnn.load(tmp_path / "m").theta, model.theta)
    assert saver.ended == 1


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_huge_learning_rate_on_real_digits(digits, backend):
    x, y = digits
    layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(10)]
    model = xpnn.Model(layers, x.shape[1:], backend=backend, seed=0)
    with pytest.raises(DivergedError, match=r"loss became .* at epoch \d+, batch \d+") as caught:
        model.fit(x, y, optimizer=xpnn.SGD(1e30), epochs=20, batch_size=32, verbose=0)
    assert "first not finite: " in caught.value.why
    assert np.isfinite(model.snapshot()["theta"]).all()


def test_infinite_weights():
    model = xpnn.Model([xpnn.Dense(3), xpnn.ReLU(), xpnn.Dense(2)], (4,), seed=0)
    model.parameters()["2.W"][1, 0] = np.inf
    before = model.theta.tobytes()
    with pytest.raises(DivergedError, match="epoch 1, batch 1") as caught:
        model.fit(X, Y, epochs=1, verbose=0)
    assert "last finite loss none yet in this epoch" in caught.value.why
    assert "gradient of 0.W. Parameter 2.W itself is not" in caught.value.why
    assert model.theta.tobytes() == before


@pytest.mark.parametrize("seed", range(8))
def test_the_masks_of_the_failing_step_are_drawn_again(seed):
    """Half the masks hide the planted feature: a replay with another step's might find nothing."""
    layers = [xpnn.Dropout(0.5), xpnn.Dense(4, init=xpnn.initializers.Constant(1.0)), Mine(), xpnn.Dense(2)]
    x = np.where(np.arange(N)[:, None] == PLANTED, [1e30, 0, 0, 0], X)
    with pytest.raises(DivergedError, match="loss became nan") as caught:
        xpnn.Model(layers, (4,), seed=seed).fit(x, Y, epochs=30, batch_size=BATCH, verbose=0)
    assert "first not finite: gradient of 1.W" in caught.value.why


def test_keep_best_puts_the_best_epoch_back():
    model, x = planted(False)
    clean = X.copy()
    trainer, best = Trainer(model, optimizer=xpnn.Adam(1e-3)), KeepBest()
    trainer.fit(clean, Y, epochs=2, batch_size=BATCH, callbacks=[best])
    kept = best.vectors["theta"].tobytes()
    with pytest.raises(DivergedError, match="epoch 3"):
        trainer.fit(x, Y, epochs=1, batch_size=BATCH, callbacks=[best])
    assert model.theta.tobytes() == kept


def test_keep_best_forgets_another_model():
    best = KeepBest()
    xpnn.Model([xpnn.Dense(2)], (4,), seed=9).fit(X, Y, epochs=1, callbacks=[best], verbose=0)
    model, x = planted(False)
    with pytest.raises(DivergedError):
        model.fit(x, Y, epochs=1, batch_size=BATCH, callbacks=[best], verbose=0)
    assert model.theta.shape != (10,)
    assert best.vectors is None


def test_step_after_a_bad_batch_stays_put():
    """Once it failed, a trainer changes nothing more: a later good batch would hide where it went wrong."""
    model, x = planted(False)
    trainer, be = Trainer(model), model.backend
    bad, good = x[[PLANTED, 0]].astype(np.float32), x[:10].astype(np.float32)
    before = model.theta.tobytes()
    assert np.isnan(trainer.step(bad, Y[[PLANTED, 0]]))
    assert np.isnan(trainer.step(good, Y[:10]))
    assert model.theta.tobytes() == before
    assert be.owns(model.theta)
