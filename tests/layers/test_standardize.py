"""Standardize.fit: columns that never change but for rounding, and columns far from 0."""

import numpy as np
import pytest

import xpnn

CONSTANTS = [0.1, 14.62, -3.3, 1e-300, 1.6e9, 1 / 3, 0.0, -1e20]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [1, 7, 77, 1000, 4097])
def test_a_constant_column_is_left_in_its_units(n, dtype):
    """The mean of a thousand 0.1 is not 0.1, and a deviation of 1e-15 would make an enormous number of 0.1001."""
    x = np.tile(np.asarray(CONSTANTS), (n, 1)).astype(dtype)
    layer = xpnn.Standardize.fit(x)
    assert layer.std == (1.0,) * len(CONSTANTS)
    assert layer.mean == tuple(x[0].astype(float).tolist())
    model = xpnn.Model([layer], (len(CONSTANTS),), dtype="float64", seed=0)
    np.testing.assert_allclose(
        model.forward(1.001 * x[:1].astype(float))[0], 0.001 * x[0].astype(float), rtol=1e-9
    )


def test_a_column_that_differs_by_rounding_alone_is_constant():
    for value in (0.1, 1.6e9, -7.0):
        x = np.where(np.arange(100) % 3 == 0, np.nextafter(value, np.inf), value)[:, None]
        assert xpnn.Standardize.fit(x).std == (1.0,)


def test_what_changes_is_measured():
    """Of scikit-learn's formula, divisor N; also where the numbers are large beside their differences."""
    rng = np.random.default_rng(0)
    x = np.stack(
        [rng.normal(size=500), 1.6e9 + rng.uniform(0, 60, 500), 0.1 + 1e-9 * rng.normal(size=500)], axis=1
    )
    layer = xpnn.Standardize.fit(x)
    np.testing.assert_allclose(layer.mean, [np.mean(c.astype(np.longdouble)) for c in x.T], rtol=1e-14)
    np.testing.assert_allclose(layer.std, [np.std(c.astype(np.longdouble)) for c in x.T], rtol=1e-9)
    assert xpnn.Standardize.fit(np.array([[0, 200], [0, 100]], np.uint8)).std == (1.0, 50.0)


TIMES = 1.6e9 + np.random.default_rng(1).uniform(0, 60, (200, 1))


@pytest.mark.parametrize("backend", ["numpy", "strict", pytest.param("torch", marks=pytest.mark.oracle),
                                     pytest.param("jax", marks=pytest.mark.oracle)])  # fmt: skip
@pytest.mark.parametrize("layers", [(), (xpnn.Flatten(),)], ids=["first", "behind Flatten"])
def test_times_keep_their_digits_until_the_mean_is_subtracted(backend, layers, tmp_path):
    """In float32 numbers of 1.6e9 are 128 apart, and a minute is 0."""
    expected = (TIMES - TIMES.mean()) / TIMES.std()
    net = [*layers, xpnn.Standardize.fit(TIMES)]
    model = xpnn.Model(net, (1,), seed=0, backend=backend)
    np.testing.assert_allclose(model.forward(TIMES), expected, atol=2e-6)
    assert model.forward(TIMES).dtype == np.float32
    whole = np.round(TIMES).astype(np.int64)
    np.testing.assert_allclose(model.forward(whole), (whole - TIMES.mean()) / TIMES.std(), atol=2e-6)
    labels = (TIMES[:, 0] > TIMES.mean()).astype(int)
    model = xpnn.Model([*net, xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(2)], (1,), seed=0, backend=backend)
    model.fit(TIMES, labels, epochs=30, batch_size=50, optimizer=xpnn.Adam(0.05), verbose=0)
    assert model.evaluate(TIMES, labels)["accuracy"] > 0.95
    model.save(tmp_path / "m.safetensors")
    assert np.array_equal(xpnn.load(tmp_path / "m.safetensors").predict(TIMES), model.predict(TIMES))


def test_other_samples_are_narrowed_as_ever():
    layer = xpnn.Standardize((1.0, 20.0), (1.0, 2.0))
    assert layer.input_kind == "any"
    model = xpnn.Model([layer], (2,), seed=0)
    assert model.inputs(np.ones((3, 2))).dtype == np.float32
    wide = xpnn.Model([xpnn.Standardize(1e6, 2.0)], (2,), seed=0)
    assert wide.inputs(np.ones((3, 2), "f4")).dtype == np.float32
    assert wide.inputs(np.ones((3, 2))).dtype == np.float64


def test_digits_that_are_gone_are_said_to_be():
    with pytest.warns(UserWarning, match=r"feature 1 is about 1\.6e\+09 .* 128 apart"):
        xpnn.Standardize.fit(np.hstack([TIMES - 1.6e9, TIMES + np.arange(200)[:, None]]).astype("f4"))
