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
