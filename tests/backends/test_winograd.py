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


@pytest.mark.parametrize(
    ("shape", "applies"),
    [
        ((32, 6, 6, 8), True),  # one tile each, in the least number of them
        ((31, 6, 6, 8), False),
        ((32, 5, 4, 8), True),  # six outputs of a tile's sixteen
        ((32, 4, 5, 8), True),
        ((32, 7, 3, 8), False),  # five outputs of two tiles
        ((1, 34, 18, 8), True),
        ((1, 33, 18, 8), True),  # its last tiles are not full
    ],
)
def test_the_fewest_and_the_emptiest_tiles(shape, applies):
    assert winograd.applies(shape, VALID, 1, 8) is applies


@pytest.mark.parametrize(("places", "tiles"), [((1, 4), (1, 1)), ((5, 8), (2, 2)), ((9, 12), (3, 3))])
def test_tiles_are_four_outputs_wide(places, tiles):
    assert winograd.tiled(places) == tiles


@pytest.mark.parametrize(
    ("n", "rows", "columns", "sizes", "tiles"),
    [
        (1, 1, 1, [1], [1]),
        (2, 7, 10, [3], [60, 60, 20]),  # six rows of tiles at a time
        (1, 3, 64, [3], [64] * 3),
        (1, 3, 65, [3], [65] * 3),  # a row of tiles is not cut
        (2, 10, 64, [8, 8, 4], [64] * 20),  # eight blocks in a part at least
        (4, 10, 64, [10] * 4, [64] * 40),
        (4, 11, 33, [11] * 4, [33] * 44),
        (3, 11, 32, [8, 8, 1], [64] * 16 + [32]),
    ],
)
def test_tiles_in_blocks_in_parts(n, rows, columns, sizes, tiles):
    parts = winograd.blocks(n, rows, columns)
    assert [len(part) for part in parts] == sizes
    every = [block for part in parts for block in part]
    assert [size for _, size in every] == tiles
    assert [first * columns for first, _ in every] == [sum(tiles[:i]) for i in range(len(tiles))]


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((2, 37, 38, 8), Window((3, 3), pads=((0, 1), (1, 0)))),  # blocks begin in the middle of an image
        ((5, 9, 30, 16), Window((3, 3), pads=((2, 2), (0, 2)))),
        ((3, 18, 66, 8), VALID),  # sixteen full tiles in a row
    ],
)
def test_many_blocks_are_the_convolution(shape, window):
    """In float64, to what the points lose; with and without a bias, there, back, and with maxima."""
    rng, be = rng_of("winograd blocks", shape), open_backend("numpy", "float64")
    x, W, b = rng.standard_normal(shape), rng.standard_normal((3, 3, shape[-1], 8)), rng.standard_normal(8)
    dy = rng.standard_normal((shape[0], *counts(shape, window), 8))
    assert len(winograd.blocks(shape[0], *winograd.tiled(dy.shape[1:3]))[0]) > 1
    pool, flipped = Window((2, 2), (2, 2)), winograd.backwards(W, window)
    assert flipped is not None
    found = {
        "conv": (winograd.conv(x, W, b, window, relu=True), be.conv(x, W, b, window, 1, True)),
        "no bias": (winograd.conv(x, W, None, window, relu=False), be.conv(x, W, None, window)),
        "dx": (winograd.conv(dy, flipped[0], None, flipped[1], relu=False), be.conv_dx(dy, W, shape, window)),
        "dW": (winograd.conv_dw(x, dy, window), be.conv_dw(x, dy, window)),
    }
    for bias in (b, None):
        pooled = winograd.conv_relu_max_pool(x, W, bias, window)
        wanted = be.conv_relu_max_pool(x, W, bias, window, 1, pool)
        found[f"maxima, {bias is None}"] = pooled[0], wanted[0]
        at = wanted[0] > 1e-9  # where all four are below 0 no tap is right or wrong
        assert np.array_equal(pooled[1][at], wanted[1][at])
    for name, (got, wanted) in found.items():
        assert got.shape == wanted.shape
        assert np.abs(got - wanted).max() < 1e-13 * np.abs(wanted).max(), name


@pytest.mark.parametrize(
    ("pads", "back"),
    [(((0, 2), (1, 1)), ((2, 0), (1, 1))), (((3, 0), (0, 0)), None), (((0, 0), (0, 3)), None)],
)
def test_the_way_back_has_the_other_pads(pads, back):
    W = rng_of("back").standard_normal((3, 3, 8, 16))
    found = winograd.backwards(W, Window((3, 3), pads=pads))
    if back is None:
        assert found is None
        return
    flipped, window = found
    assert window == Window((3, 3), (1, 1), back, (1, 1))
    assert flipped.flags.c_contiguous
    for i in range(3):
        for j in range(3):
            assert np.array_equal(flipped[i, j], W[2 - i, 2 - j].T)
