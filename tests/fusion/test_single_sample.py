"""One sample takes the short way, to the same bits, and only where it needs neither conversion nor an error."""

import numpy as np
import pytest
from harness import open_backend
from tolerances import assert_close, assert_same

import xpnn
from xpnn.errors import DataError, ShapeError

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
    found = []

    def counting(one_sample):
        def counted(be, chain):
            short = one_sample(be, chain)

            def outputs(theta, x):
                y = short(theta, x)
                if y is not None:
                    found.append(x)
                return y

            return outputs

        return counted

    for mode in ("numpy", "fast"):
        kind = type(open_backend(mode, "float32"))
        monkeypatch.setattr(kind, "one_sample", counting(kind.one_sample))
    return found


def model(net, mode="numpy", dtype="float32", n=784):
    return xpnn.Model(net, (n,), backend=open_backend(mode, dtype), seed=1)


def long_way(made, net):
    """The same weights in a network that is no chain by its form."""
    nested = xpnn.Sequential(net), xpnn.Sequential([])
    return xpnn.Model(nested, made.input_shape, backend=made.backend, vectors=made.snapshot())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["numpy", "fast"])
@pytest.mark.parametrize("net", CHAINS)
def test_the_outputs_are_those_of_the_long_way(taken, net, mode, dtype):
    made = model(CHAINS[net], mode, dtype)
    for sparse in (False, True):
        x = RNG.standard_normal((1, 784)).astype(dtype) * (RNG.random(784) < 0.3 if sparse else 1)
        y, wanted = made.forward(x.astype(dtype)), long_way(made, CHAINS[net]).forward(x.astype(dtype))
        if mode == "numpy":
            assert_same(y, wanted)
        else:  # another order of the sums
            assert_close(y, wanted, dtype)
    assert len(taken) == 2


@pytest.mark.parametrize("mode", ["numpy", "fast"])
def test_one_sample_has_the_same_bits_however_it_is_given(taken, mode):
    made, x = model(CHAINS["narrow"], mode, n=9), RNG.standard_normal((1, 9)).astype(np.float32)
    every_second = np.repeat(x, 2, axis=1)[:, ::2]
    for given in (x, x.tolist(), x.astype(np.float64), np.asfortranarray(x), every_second):
        assert_same(made.forward(given), made.forward(x))
    assert len(taken) == 10


@pytest.mark.parametrize("units", [1, 7, 8, 9, 40])
@pytest.mark.parametrize("n", [1, 3, 4, 6])
def test_sums_of_every_length_are_whole(units, n):
    made = model([xpnn.Dense(units), xpnn.ReLU(), xpnn.Dense(3)], "fast", "float64", n)
    x, p = RNG.standard_normal((1, n)), made.parameters()
    hidden = np.maximum(x @ p["0.W"] + p["0.b"], 0)
    assert_close(made.forward(x), hidden @ p["2.W"] + p["2.b"], "float64")


def test_nan_in_a_weight_is_not_lost():
    made = model(CHAINS["narrow"], "fast", n=9)
    made.parameters()["0.W"][4, 3] = np.nan
    assert np.isnan(made.forward(np.ones((1, 9), np.float32))).all()


@pytest.mark.parametrize("net", OTHERS)
def test_other_networks_take_the_long_way(taken, net):
    made = model(OTHERS[net], n=9)
    x = np.ones((1, 9), np.float32)
    assert_same(made.forward(x), made.backend.to_numpy(made.outputs(made.inputs(x))))
    assert not taken


@pytest.mark.parametrize("mode", ["numpy", "fast"])
def test_whatever_needs_more_takes_the_long_way(taken, mode):
    made, x = model(CHAINS["narrow"], mode, n=9), RNG.standard_normal((4, 9)).astype(np.float32)
    assert made.forward(x).shape == (4, 5)
    for bad, error in (
        (x[:1] * np.nan, DataError),
        (x[:1] * np.inf, DataError),
        (-x[:1] * np.inf, DataError),
        (x[0], ShapeError),
        (x[:0], DataError),
    ):
        with pytest.raises(error):
            made.forward(bad)
    assert not taken
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
        assert_close(made.forward(x), long_way(made, CHAINS["narrow"]).forward(x), "float32")
    assert len(taken) == 6
    assert made.predict(x).shape == (1,)
    assert made.predict_proba(x).shape == (1, 5)
    assert len(taken) == 8


@pytest.mark.parametrize("mode", ["numpy", "fast"])
def test_weights_that_do_not_lie_side_by_side(mode):
    """Compiled loops see where the vector begins, not how far apart its numbers are."""
    made = model(CHAINS["narrow"], mode, n=6)
    x, theta = RNG.standard_normal((1, 6)).astype(np.float32), np.array(made.theta)
    wanted = made.forward(x)
    for given in (np.stack([theta, theta + 1], 1)[:, 0], theta[::-1].copy()[::-1]):
        made.theta = given
        assert_close(made.forward(x), wanted, "float32")
