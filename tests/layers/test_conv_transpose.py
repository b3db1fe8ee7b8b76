"""Transposed convolution: the adjoint of the convolution, the sizes it gives, and what it refuses."""

import numpy as np
import pytest
from comparison import NAMES, run_layer

import xpnn
from xpnn import Conv2D, ConvTranspose2D
from xpnn.errors import ShapeError, UsageError

# (settings of both, output_padding, shape of the convolution's input)
PAIRS = [
    ({"kernel": 3}, 0, (6, 5, 2)),
    ({"kernel": (2, 3), "stride": (3, 2)}, (2, 1), (7, 8, 2)),
    ({"kernel": 3, "stride": 2, "padding": "same"}, 0, (6, 4, 2)),
    ({"kernel": (1, 2), "stride": 3, "padding": "same"}, 0, (3, 6, 2)),
    ({"kernel": 3, "padding": ((2, 0), (1, 3)), "dilation": (1, 2)}, 0, (5, 6, 2)),
    ({"kernel": 2, "stride": 2, "padding": 1, "groups": 2}, 0, (6, 4, 4)),
    ({"kernel": 3, "padding": 4}, 0, (2, 2, 2)),
    ({"kernel": 3, "padding": 1}, 0, (12, 11, 17)),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("settings", "more", "shape"), PAIRS, ids=str)
def test_it_is_the_adjoint_of_the_convolution(name, settings, more, shape):
    """<conv(y), x> = <y, convT(x)>, with the same W; and it gives the shape that the convolution took."""
    rng = np.random.default_rng(0)
    conv = Conv2D(6, **settings)
    specs, out = conv.plan(shape)
    up = ConvTranspose2D(shape[2], **settings, output_padding=more)
    assert up.plan(out)[1] == shape
    assert up.plan(out)[0]["W"].shape == specs["W"].shape
    y, x, W = (rng.standard_normal(s) for s in ((2, *shape), (2, *out), specs["W"].shape))
    down = run_layer(conv, y, p={"W": W, "b": np.zeros(6)}, name=name)
    upward = run_layer(up, x, p={"W": W, "b": np.zeros(shape[2])}, name=name)
    assert np.sum(down * x) == pytest.approx(np.sum(y * upward), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_one_pixel_becomes_the_kernel(name):
    """Not flipped, cropped at the top and left, with a row more below that only the bias reaches."""
    x = np.zeros((1, 1, 2, 1))
    x[0, 0, 1, 0] = 2
    W = np.arange(1.0, 5).reshape(2, 2, 1, 1)
    layer = ConvTranspose2D(1, 2, 2, ((0, 0), (1, 0)), output_padding=(1, 0))
    y = run_layer(layer, x, p={"W": W, "b": np.array([0.5])}, name=name)
    np.testing.assert_array_equal(y[0, :, :, 0], [[0.5, 2.5, 4.5], [0.5, 6.5, 8.5], [0.5, 0.5, 0.5]])


@pytest.mark.parametrize("stride", [1, 2, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_same_multiplies_by_the_stride(kernel, stride):
    assert ConvTranspose2D(3, kernel, stride, "same").plan((4, 1, 2))[1] == (4 * stride, stride, 3)


def test_initial_weights_keep_the_size_of_values():
    """He's rule counts the inputs of an output, which lie on the kernel's last axis."""
    layer = ConvTranspose2D(256, 3, padding=1)
    W = layer.plan((6, 6, 16))[0]["W"].initialize(np.random.default_rng(0))
    x = np.maximum(np.random.default_rng(1).standard_normal((8, 6, 6, 16)), 0)
    y = run_layer(layer, x, p={"W": W, "b": np.zeros(256)})
    assert np.mean(y[:, 1:-1, 1:-1] ** 2) == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvTranspose2D(0, 3), "filters=0"),
        (lambda: ConvTranspose2D(4, (3, 0)), r"kernel=\(3, 0\)"),
        (lambda: ConvTranspose2D(4, 3, stride=0), "stride=0"),
        (lambda: ConvTranspose2D(4, 3, dilation=-1), "dilation=-1"),
        (lambda: ConvTranspose2D(4, 3, groups=0), "groups=0"),
        (lambda: ConvTranspose2D(4, 3, groups=3), "the groups do not divide the filters"),
        (lambda: ConvTranspose2D(4, 3, padding="full"), "unknown padding"),
        (lambda: ConvTranspose2D(4, 3, padding=-1), "padding=-1"),
        (lambda: ConvTranspose2D(4, 3, 2, output_padding=-1), "output_padding=-1"),
        (lambda: ConvTranspose2D(4, 3, 2, output_padding=2), "less than the stride"),
        (lambda: ConvTranspose2D(4, 3, (2, 1), output_padding=1), "less than the stride"),
        (lambda: ConvTranspose2D(4, 3, 2, "same", output_padding=1), "padding='same' gives"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (ConvTranspose2D(4, 3), (5, 5), "wants images"),
        (ConvTranspose2D(4, 3, groups=2), (5, 5, 3), "groups that do not divide"),
        (ConvTranspose2D(4, 3, padding=((3, 0), (0, 0))), (1, 5, 1), "crops all"),
        (ConvTranspose2D(4, 2, padding=2), (3, 2, 1), "crops all"),
    ],
)
def test_shapes_that_do_not_fit_name_the_layer(layer, shape, message):
    with pytest.raises(ShapeError, match=f"layer 0 ConvTranspose2D.* {message}"):
        xpnn.Model([layer], shape)
