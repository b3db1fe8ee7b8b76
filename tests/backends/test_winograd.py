"""Winograd's method: how far float32 is off, and which convolutions it is used for."""

import numpy as np
import pytest
from harness import open_backend, rng_of

pytest.importorskip("numba")

from xpnn.backends.cpu import winograd
from xpnn.kernels import Kernels
from xpnn.window import Window, counts

VALID, SAME = Window((3, 3)), Window((3, 3), pads=((1, 1), (1, 1)))


@pytest.mark.parametrize(
    ("shape", "filters", "window"),
    [((4, 26, 26, 32), 64, VALID), ((8, 14, 14, 64), 64, SAME), ((16, 7, 7, 256), 32, SAME)],
)
def test_float32_is_within_a_hundred_thousandth(shape, filters, window):
    """Of the largest value; inputs as behind a ReLU, initial weights, gradients in a quarter of the places."""
    rng, be = rng_of("winograd", shape), open_backend("numpy", "float64")
    x = np.maximum(rng.standard_normal(shape), 0)
    W = rng.standard_normal((3, 3, shape[-1], filters)) * np.sqrt(2 / (9 * shape[-1]))
    dy = rng.standard_normal((shape[0], *counts(shape, window), filters))
    dy *= rng.random(dy.shape) < 0.25
    flipped, back = winograd.backwards(W, window)
    small = {
        name: np.asarray(a, np.float32) for name, a in {"x": x, "W": W, "dy": dy, "back": flipped}.items()
    }
    found = {
        "conv": winograd.conv(small["x"], small["W"], None, window, relu=False),
        "conv_dx": winograd.conv(small["dy"], small["back"], None, back, relu=False),
        "conv_dw": winograd.conv_dw(small["x"], small["dy"], window),
    }
    wanted = {
        "conv": be.conv(x, W, None, window),
        "conv_dx": be.conv_dx(dy, W, shape, window),
        "conv_dw": be.conv_dw(x, dy, window),
    }
    for name, got in found.items():
        assert got.dtype == np.float32
        assert np.abs(got - wanted[name]).max() < 1e-5 * np.abs(wanted[name]).max(), name


@pytest.mark.parametrize("relu", [False, True])
def test_it_keeps_what_is_not_a_number(relu):
    """All of the tile that holds it, so that nothing hides it; other tiles keep their numbers."""
    x, W = np.zeros((1, 26, 26, 8)), np.ones((3, 3, 8, 8))
    x[0, 1, 1, 3] = np.nan
    y = winograd.conv(x, W, None, VALID, relu)
    wrong = np.isnan(Kernels.conv(open_backend("numpy", "float64"), x, W, None, VALID))
    assert np.isnan(y[wrong]).all()
    assert not np.isnan(y[0, 4:]).any()
    assert not np.isnan(y[0, :, 4:]).any()


@pytest.mark.parametrize(
    ("shape", "window", "groups", "filters"),
    [
        ((64, 26, 26, 32), Window((3, 3), (2, 2)), 1, 64),
        ((64, 26, 26, 32), Window((3, 3), dilation=(1, 2)), 1, 64),
        ((64, 26, 26, 32), Window((5, 5)), 1, 64),
        ((64, 26, 26, 32), VALID, 2, 64),
        ((64, 26, 26, 1), VALID, 1, 64),  # channels that fill no register
        ((64, 26, 26, 32), VALID, 1, 10),
        ((1, 6, 6, 32), VALID, 1, 64),  # more work for the weights than for the image
        ((64, 4, 4, 32), VALID, 1, 64),  # tiles that are mostly outside
    ],
)
def test_it_leaves_what_would_gain_nothing(shape, window, groups, filters):
    assert winograd.applies((64, 26, 26, 32), VALID, 1, 64)
    assert not winograd.applies(shape, window, groups, filters)
