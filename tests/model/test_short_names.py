"""What may be said in short: a name for an object, a list of layers for a chain of them."""

import numpy as np
import pytest

import xpnn
from xpnn.config import from_config, to_config
from xpnn.initializers import INITIALIZERS, he_uniform, ones
from xpnn.losses import LOSSES, get_loss
from xpnn.losses.by_name import SHORT
from xpnn.schedules import Cosine, Warmup

DENSE, RELU = xpnn.Dense(4), xpnn.ReLU()
SAID = [
    (xpnn.Dense(3, init="he_uniform", bias_init="ones"), xpnn.Dense(3, init=he_uniform, bias_init=ones)),
    (xpnn.LSTM(3, init="he_uniform"), xpnn.LSTM(3, init=he_uniform)),
    (xpnn.Residual([DENSE, RELU]), xpnn.Residual(xpnn.Sequential([DENSE, RELU]))),
    (xpnn.Recompute((DENSE, RELU)), xpnn.Recompute(xpnn.Sequential([DENSE, RELU]))),
    (
        xpnn.Parallel([[DENSE, RELU], DENSE], "add"),
        xpnn.Parallel((xpnn.Sequential([DENSE, RELU]), DENSE), "add"),
    ),
    (xpnn.EMA("adam"), xpnn.EMA(xpnn.Adam())),
    (Warmup(5, "cosine"), Warmup(5, Cosine())),
    (
        xpnn.losses.MultiOutputLoss(("mse", "cross_entropy")),
        xpnn.losses.MultiOutputLoss((xpnn.losses.MeanSquaredError(), xpnn.losses.SoftmaxCrossEntropy())),
    ),
]


@pytest.mark.parametrize(("short", "full"), SAID, ids=lambda value: type(value).__name__)
def test_it_is_the_same_object(short, full):
    assert short == full
    assert hash(short) == hash(full)
    assert from_config(to_config(short)) == full


def test_every_initializer_has_its_name():
    values = {
        k: v for k, v in vars(xpnn.initializers).items() if isinstance(v, xpnn.initializers.Initializer)
    }
    assert values.items() <= INITIALIZERS.items()
    classes = {type(v).__name__ for v in INITIALIZERS.values()}
    assert classes >= {name for name in xpnn.initializers.__all__ if name[0].isupper()} - {
        "INITIALIZERS", "Constant", "Initializer", "VarianceScaling",
    }  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_losses_as_they_are_called_elsewhere(name):
    assert get_loss(name) == LOSSES[SHORT[name]]()


def test_a_network_said_in_short_trains():
    model = xpnn.Model([xpnn.Residual([xpnn.Dense(4, init="he_normal"), RELU]), xpnn.Dense(2)], (4,), seed=0)
    x = np.sin(np.arange(40.0)).reshape(10, 4)
    sweep = xpnn.find_lr(model, x, np.arange(10) % 2, loss="cross_entropy", steps=10)
    assert sweep.suggestion > 0
    history = model.fit(x, x[:, :2], loss="mse", optimizer="adam", epochs=3, verbose=0)
    assert history["train_loss"][-1] < history["train_loss"][0]
