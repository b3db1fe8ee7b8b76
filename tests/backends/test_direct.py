"""Convolution by compiled loops over taps: the numbers are those of NumPy's general way, which PyTorch confirms."""

import numpy as np
import pytest
from harness import open_backend, rng_of

pytest.importorskip("numba")

from xpnn.backends.cpu import direct_convolution
from xpnn.backends.cpu.threads import blas_threads
from xpnn.window import Window, counts

SHAPES = {
    "one channel": ((3, 9, 9, 1), 8, Window((3, 3))),
    "colours": ((2, 8, 11, 3), 16, Window((3, 3), pads=((1, 1), (1, 1)))),
    "strides": ((2, 11, 13, 3), 8, Window((5, 5), (2, 3), ((2, 2), (1, 2)))),
    "dilation": ((2, 12, 9, 2), 8, Window((3, 2), (1, 1), ((0, 1), (2, 0)), (2, 3))),
    "four columns": ((1, 3, 4, 1), 24, Window((1, 1))),
    "no samples": ((0, 9, 9, 1), 8, Window((3, 3), pads=((1, 1), (1, 1)))),
    "depthwise": ((3, 7, 7, 16), 16, Window((3, 3), pads=((1, 1), (1, 1)))),
    "depthwise, strides": ((2, 12, 13, 8), 8, Window((3, 3), (2, 2), ((0, 1), (1, 1)))),
    "depthwise, dilation": ((2, 9, 12, 8), 8, Window((5, 2), (1, 1), ((4, 4), (2, 2)), (2, 2))),
    "pads beyond the kernel": ((2, 6, 6, 8), 8, Window((3, 3), pads=((3, 3), (3, 3)))),
}


def arrays(name, dtype):
    """(x, W, b, dy, window, groups) of a convolution."""
    shape, filters, window = SHAPES[name]
    rng, channels = rng_of("direct", name), 1 if shape[-1] == filters else shape[-1]
    sizes = (
        shape,
        (*window.kernel, channels, filters),
        (filters,),
        (shape[0], *counts(shape, window), filters),
    )
    given = [rng.standard_normal(size).astype(dtype) for size in sizes]
    return *given, window, shape[-1] // channels


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_the_numbers_are_those_of_the_general_way(name, dtype):
    x, W, b, dy, window, groups = arrays(name, dtype)
    be = open_backend("numpy", dtype)
    assert direct_convolution.applies(x.shape, window, groups, W.shape[-1])
    pairs = {
        "conv": (direct_convolution.conv(x, W, b, window, True), be.conv(x, W, b, window, groups, True)),
        "no bias": (
            direct_convolution.conv(x, W, None, window, False),
            be.conv(x, W, None, window, groups, False),
        ),
        "dW": (direct_convolution.conv_dw(x, dy, window, groups), be.conv_dw(x, dy, window, groups)),
    }
    for what, (got, wanted) in pairs.items():
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        largest = np.abs(wanted).max(initial=0)
        assert np.abs(got - wanted).max(initial=0) <= (2e-6 if dtype == "float32" else 1e-14) * largest, what


@pytest.mark.parametrize("name", ["depthwise", "depthwise, dilation", "few filters"])
def test_dx_is_a_convolution_of_dy(name):
    if name == "few filters":
        x, W, dy, window, groups = (
            *map(np.ones, ((2, 9, 9, 8), (3, 3, 8, 2), (2, 7, 7, 2))),
            Window((3, 3)),
            1,
        )
        W, dy = W * np.arange(1, 17).reshape(8, 2), dy * np.arange(1, 99).reshape(7, 14)[None, :, 7:, None]
    else:
        x, W, _, dy, window, groups = arrays(name, "float64")
    dx = direct_convolution.conv_dx(dy, W, x.shape, window, groups)
    wanted = open_backend("numpy", "float64").conv_dx(dy, W, x.shape, window, groups)
    np.testing.assert_allclose(dx, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["depthwise, strides", "pads beyond the kernel", "colours"])
def test_dx_that_is_no_such_convolution_is_left_to_others(name):
    x, W, _, dy, window, groups = arrays(name, "float32")
    assert direct_convolution.conv_dx(dy, W, x.shape, window, groups) is None


def test_bits_do_not_depend_on_the_number_of_threads():
    x = rng_of("direct").standard_normal((41, 28, 28, 1)).astype(np.float32)
    window, found = Window((3, 3)), []
    assert len(direct_convolution.parts_of(np.empty((41, 26, 26, 32)), 9)) > 1
    for n in (1, 2):
        with blas_threads(n):
            y = direct_convolution.conv(x, np.ones((3, 3, 1, 32), np.float32), None, window, False)
            found.append((y.tobytes(), direct_convolution.conv_dw(x, y, window, 1).tobytes()))
    assert found[0] == found[1]


def test_nan_is_not_lost():
    x, W = np.zeros((1, 9, 9, 1)), np.ones((3, 3, 1, 8))
    x[0, 4, 4] = np.nan
    y = direct_convolution.conv(x, W, None, Window((3, 3)), True)
    assert np.isnan(y[0, 2:5, 2:5]).all()
    assert np.isnan(y).sum() == 9 * 8


@pytest.mark.parametrize(
    ("shape", "window", "groups", "filters"),
    [
        ((8, 9, 9, 8), Window((1, 1)), 1, 8),  # a product as it is
        ((8, 9, 9, 3), Window((7, 7)), 1, 8),  # many taps
        ((8, 9, 9, 1), Window((3, 3)), 1, 10),  # filters that fill no register
        ((8, 9, 3, 1), Window((3, 1)), 1, 8),  # rows of three outputs
        ((8, 9, 9, 16), Window((3, 3)), 2, 16),
        ((8, 9, 1), Window((3,)), 1, 8),
    ],
)
def test_other_convolutions_go_other_ways(shape, window, groups, filters):
    assert not direct_convolution.applies(shape, window, groups, filters)


@pytest.mark.parametrize("channels", [2, 8], ids=["few channels", "depthwise"])
def test_dw_of_a_large_image_keeps_its_digits(channels):
    """All terms are positive: in one sum over the image each addition would lose more."""
    rng, window = rng_of("direct", "large"), Window((1, 1))
    x, dy = (rng.random((1, 400, 400, n), dtype=np.float32) for n in (channels, 8))
    got, exact = (
        direct_convolution.conv_dw(x.astype(t), dy.astype(t), window, channels // 8 or 1)
        for t in ("f4", "f8")
    )
    assert np.abs(got / exact - 1).max() < 3e-6


@pytest.mark.parametrize(
    ("shape", "window", "groups", "filters", "applies"),
    [
        ((2, 9, 9, 4), Window((5, 5)), 1, 8, True),  # a hundred taps times channels
        ((2, 12, 17, 1), Window((10, 10)), 1, 8, True),
        ((2, 12, 17, 1), Window((9, 12)), 1, 8, False),
        ((2, 9, 9, 7), Window((3, 3)), 1, 8, True),
        ((2, 9, 9, 8), Window((3, 3)), 1, 16, False),  # as many channels as a register holds
        ((2, 9, 4, 1), Window((1, 1)), 1, 8, True),  # four outputs in a row
        ((2, 9, 5, 1), Window((1, 3)), 1, 8, False),
        ((2, 9, 9, 8), Window((9, 5)), 8, 8, True),  # depthwise, of any size
        ((2, 9, 9, 8), Window((3, 3)), 8, 16, False),
        ((2, 9, 9, 2), Window((3, 3)), 2, 8, False),
    ],
)
def test_the_limits_of_convolution_tap_by_tap(shape, window, groups, filters, applies):
    assert direct_convolution.applies(shape, window, groups, filters) is applies


LEAST = 1 << 19


@pytest.mark.parametrize(
    ("n", "each", "taps", "cuts"),
    [
        (0, 8, 9, [0]),
        (7, LEAST // 7, 1, [7]),
        (8, LEAST // 8, 2, [4, 8]),
        (8, LEAST // 8, 1, [8]),
        (10, LEAST, 1, [2, 5, 7, 10]),  # four parts at most
        (3, LEAST, 9, [1, 2, 3]),
        (5, 3 * LEAST // 5 + 1, 1, [1, 3, 5]),
    ],
)
def test_samples_in_parts_for_threads(n, each, taps, cuts):
    y = np.broadcast_to(np.float32(0), (n, each))
    assert direct_convolution.parts_of(y, taps) == [
        slice(a, b) for a, b in zip([0, *cuts], cuts, strict=False)
    ]


def test_each_channel_alone():
    x = np.zeros((1, 5, 5, 8))
    assert direct_convolution.is_depthwise(x, 8, 1)
    for other in ((x, 16, 1), (x, 8, 8), (x[..., :1], 1, 1)):
        assert not direct_convolution.is_depthwise(*other)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_padded_image_begins_at_a_line_of_the_cache(dtype):
    window = Window((3, 2), (2, 1), ((1, 2), (0, 3)), (2, 1))
    places = direct_convolution.places_of((7, 5, 3), window, False)
    for _ in range(5):
        padded = direct_convolution.empty_image(places, np.zeros(1, dtype))
        assert (padded.size, padded.dtype, padded.ctypes.data % 64) == (10 * 8 * 3, dtype, 0)
        assert not padded.any()


@pytest.mark.parametrize("depthwise", [False, True])
def test_places_are_those_of_the_windows(depthwise):
    """A picture copied row by row into a padded one, whose windows are read by offsets and steps."""
    window, x = Window((3, 2), (2, 3), ((1, 2), (0, 3)), (2, 1)), np.arange(1, 7 * 5 * 3 + 1).reshape(7, 5, 3)
    size, (rows, width, start, row), offsets, (down, right) = direct_convolution.places_of(
        x.shape, window, depthwise
    )
    padded = np.zeros(size, int)
    for r in range(rows):
        padded[start + r * row : start + r * row + width] = x.reshape(-1)[r * width : (r + 1) * width]
    wanted = np.pad(x, ((1, 2), (0, 3), (0, 0)))
    assert np.array_equal(padded.reshape(wanted.shape), wanted)
    for i in range(3):
        for j in range(3):
            under = wanted[2 * i : 2 * i + 5 : 2, 3 * j : 3 * j + 2]
            found = padded[i * down + j * right + offsets]
            assert found.tolist() == (under[..., 0] if depthwise else under).reshape(-1).tolist()
