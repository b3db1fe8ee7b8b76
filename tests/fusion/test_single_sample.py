"""One sample takes the short way, to the same bits, and only where it needs neither conversion nor an error."""

import numpy as np
import pytest
from harness import open_backend
from tolerances import assert_same

import xpnn
from xpnn.errors import DataError, ShapeError
from xpnn.fusion import single_sample

RNG = np.random.default_rng(3)
CHAINS = {
    "narrow": [xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(5)],
    "wide": [xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dropout(0.3), xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dense(5)],
    "linear": [xpnn.Dropout(0.1), xpnn.Dense(7), xpnn.Dense(5)],
    "ends in ReLU": [xpnn.Dense(7), xpnn.ReLU()],
}
OTHERS = {
    "no bias": [xpnn.Dense(7, bias=False), xpnn.ReLU()],
    "two ReLU": [xpnn.Dense(7), xpnn.ReLU(), xpnn.ReLU()],
    "first a ReLU": [xpnn.ReLU(), xpnn.Dense(7)],
    "another activation": [xpnn.Dense(7), xpnn.Tanh(), xpnn.Dense(2)],
    "statistics": [xpnn.Dense(7), xpnn.BatchNorm(), xpnn.ReLU()],
}


@pytest.fixture
def taken(monkeypatch):
    """The samples that took the short way."""
    found, through = [], single_sample.through

    def counted(be, products, x):
        found.append(x)
        return through(be, products, x)

    monkeypatch.setattr(single_sample, "through", counted)
    return found


def model(net, mode="numpy", dtype="float32", n=784):
    return xpnn.Model(net, (n,), backend=open_backend(mode, dtype), seed=1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["numpy", "fast"])
@pytest.mark.parametrize("net", CHAINS)
def test_the_bits_are_those_of_the_long_way(taken, net, mode, dtype):
    made = model(CHAINS[net], mode, dtype)
    for _ in range(3):
        x = RNG.standard_normal((1, 784)).astype(dtype)
        assert_same(made.forward(x), made.backend.to_numpy(made.outputs(made.inputs(x))))
    assert len(taken) == 3


@pytest.mark.parametrize("net", OTHERS)
def test_other_networks_take_the_long_way(taken, net):
    made = model(OTHERS[net], n=9)
    x = np.ones((1, 9), np.float32)
    assert_same(made.forward(x), made.backend.to_numpy(made.outputs(made.inputs(x))))
    assert not taken


def test_whatever_needs_more_takes_the_long_way(taken):
    made, x = model(CHAINS["narrow"], n=9), RNG.standard_normal((4, 9)).astype(np.float32)
    for given in (
        x,
        x[:1].astype(np.float64),
        x[:1].tolist(),
        np.ones((2, 9), np.float32)[::2],
        x[0:1, ::-1],
    ):
        assert made.forward(given).shape == (len(given), 5)
    for bad, error in (
        (x[:1] * np.nan, DataError),
        (x[:1] * np.inf, DataError),
        (x[0], ShapeError),
        (x[:0], DataError),
    ):
        with pytest.raises(error):
            made.forward(bad)
    assert len(taken) == 1, "every second of two rows is one row in order"
    assert np.isfinite(made.forward(np.full((1, 9), 1e30, np.float32))).all(), (
        "squares beyond float32 are no error"
    )


def test_the_present_weights_count(taken):
    made, x = model(CHAINS["narrow"], n=9), np.ones((1, 9), np.float32)
    trainer = xpnn.Trainer(made)
    for change in (
        lambda: trainer.step(np.ones((6, 9), np.float32), np.arange(6) % 5),
        lambda: made.load_parameters({"0.b": np.full(16, 3.0)}, strict=False),
    ):
        before = made.forward(x)
        change()
        assert not np.array_equal(made.forward(x), before)
        assert_same(made.forward(x), made.backend.to_numpy(made.outputs(made.inputs(x))))
    assert len(taken) == 6
    assert made.predict(x).shape == (1,)
    assert made.predict_proba(x).shape == (1, 5)
    assert len(taken) == 8
