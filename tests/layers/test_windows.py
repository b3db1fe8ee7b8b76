"""Windows over images: settings and shapes that are refused, and what a maximum makes of ties, NaN and padding."""

import math

import numpy as np
import pytest
from comparison import NAMES, run_layer

import xpnn
from xpnn import (
    AvgPool2D,
    Conv2D,
    ConvTranspose2D,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool2D,
    UpSampling2D,
    ZeroPad2D,
)
from xpnn.config import from_config, to_config
from xpnn.errors import ShapeError, UsageError

INF, NAN = math.inf, math.nan


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2D(0, 3), "filters=0"),
        (lambda: Conv2D(4, (3, 0)), r"kernel=\(3, 0\)"),
        (lambda: Conv2D(4, (3, 3, 3)), "kernel"),
        (lambda: Conv2D(4, 3, stride=0), "stride=0"),
        (lambda: Conv2D(4, 3, dilation=-1), "dilation=-1"),
        (lambda: Conv2D(4, 3, groups=0), "groups=0"),
        (lambda: Conv2D(4, 3, groups=3), "the groups do not divide the filters"),
        (lambda: Conv2D(4, 3, padding="full"), "unknown padding"),
        (lambda: Conv2D(4, 3, padding=-1), "padding=-1"),
        (lambda: Conv2D(4, 3, padding=((0, 0), (0, -2))), "padding"),
        (lambda: MaxPool2D(0), "pool=0"),
        (lambda: MaxPool2D(2, 0), "stride=0"),
        (lambda: AvgPool2D(2, padding="SAME"), "unknown padding"),
        (lambda: xpnn.Conv1D(4, 0), r"Conv1D\(kernel=0\)"),
        (lambda: xpnn.Conv1D(4, 2, padding="causal"), "unknown padding"),
        (lambda: xpnn.MaxPool1D(2, 0), r"MaxPool1D\(stride=0\)"),
        (lambda: xpnn.AvgPool1D(-1), r"AvgPool1D\(pool=-1\)"),
        (lambda: ZeroPad2D(-1), "padding=-1"),
        (lambda: ZeroPad2D("same"), "padding='same'"),
        (lambda: UpSampling2D((2, 0)), "size"),
        (lambda: xpnn.Conv3D(4, (3, 3)), "kernel"),
        (lambda: xpnn.Conv3D(4, 3, padding="full"), "unknown padding"),
        (lambda: MaxPool2D(2, dilation=0), "dilation=0"),
        (lambda: xpnn.SeparableConv2D(4, 3, multiplier=0), "multiplier=0"),
        (lambda: xpnn.Pad(((1, -1),)), "pads"),
        (lambda: xpnn.Pad(((1, 1),), "mirror"), "unknown mode"),
        (lambda: xpnn.Pad(((1, 1),), "edge", 2.0), "only a constant"),
        (lambda: xpnn.Resize(), "wanted one of both"),
        (lambda: xpnn.Resize(3, 2.0), "wanted one of both"),
        (lambda: xpnn.Resize(0), "size=0"),
        (lambda: xpnn.Resize(scale=0.0), "above 0"),
        (lambda: xpnn.Resize(3, mode="cubic"), "unknown mode"),
        (lambda: xpnn.AdaptiveAvgPool(0), "size=0"),
        (lambda: xpnn.LocalResponseNorm(0), "size=0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2D(4, 3), (2, 5, 1), "span 3 values"),
        (Conv2D(4, 2, padding=1, dilation=(1, 8)), (2, 5, 1), "span 9 values"),
        (Conv2D(4, 3), (5, 5), "wants images"),
        (Conv2D(4, 3, groups=2), (5, 5, 3), "groups that do not divide"),
        (MaxPool2D(3), (2, 3, 1), "span 3 values"),
        (MaxPool2D(2, padding=2), (4, 4, 1), "nothing but padding"),
        (AvgPool2D((1, 2), padding=((0, 1), (0, 0))), (4, 4, 1), "nothing but padding"),
        (GlobalAveragePool(), (4,), "wants images"),
        (GlobalMaxPool(), (4,), "wants images"),
        (UpSampling2D(), (4, 2), "wants images"),
        (xpnn.Conv3D(2, 2), (4, 4, 1), "wants volumes"),
        (xpnn.Conv3D(2, 3), (4, 2, 4, 1), "span 3 values"),
        (MaxPool2D(2, 1, 1, dilation=2), (1, 4, 1), "nothing but padding"),
        (xpnn.Pad(((1, 1),)), (4, 1), "pads for samples of 1 axes"),
        (xpnn.Pad(((3, 0),), "reflect"), (3,), "more than lies behind"),
        (xpnn.Resize((3, 3)), (4, 1), "resizes 2 axes"),
        (xpnn.Resize(scale=1.3), (4, 1), "no whole size"),
        (xpnn.AdaptiveAvgPool((2, 2)), (4, 1), "sizes for 2 axes"),
        (ZeroPad2D(), (4, 2), "wants images"),
        (xpnn.Conv1D(2, 3), (2, 1), "span 3 values"),
        (xpnn.Conv1D(2, 3), (4, 4, 1), "wants sequences"),
        (xpnn.AvgPool1D(), (4,), "wants sequences"),
    ],
)
def test_shapes_that_do_not_fit_name_the_layer(layer, shape, message):
    with pytest.raises(ShapeError, match=f"layer 0 {type(layer).__name__}.* {message}"):
        xpnn.Model([layer], shape)


def image(rows):
    return np.asarray(rows, float)[None, :, :, None]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("layer", "x", "y", "dx"),
    [
        (MaxPool2D(), [[2, 2], [2, 2]], [[2]], [[1, 0], [0, 0]]),
        (MaxPool2D(), [[1, 2], [2, 0]], [[2]], [[0, 1], [0, 0]]),
        (MaxPool2D(), [[-INF, -INF], [-INF, -INF]], [[-INF]], [[1, 0], [0, 0]]),
        (MaxPool2D(), [[INF, 1], [NAN, 2]], [[NAN]], [[0, 0], [1, 0]]),
        (MaxPool2D(2, padding=((1, 0), (1, 0))), [[-INF]], [[-INF]], [[1]]),
        (MaxPool2D(2, 1, padding=1), [[-3.0]], [[-3, -3], [-3, -3]], [[4]]),
        (MaxPool2D((1, 2), 1), [[1, 3, 2]], [[3, 3]], [[0, 2, 0]]),
        (GlobalMaxPool(), [[0, 5], [5, 1]], 5, [[0, 1], [0, 0]]),
        (AvgPool2D(2, 1, padding=1), [[4.0]], [[4, 4], [4, 4]], [[4]]),
    ],
    ids=str,
)
def test_first_of_equals_nan_and_padding(name, layer, x, y, dx):
    """The first of equal values takes the gradient, NaN comes through, and a pad is never chosen nor counted."""
    got = run_layer(layer, image(x), name=name)
    np.testing.assert_array_equal(got.reshape(np.shape(y)), y)
    _, back, _ = run_layer(layer, image(x), np.ones_like(got), name=name)
    np.testing.assert_array_equal(back, image(dx))


@pytest.mark.parametrize("name", NAMES)
def test_an_infinite_gradient_stays_where_it_belongs(name):
    _, dx, _ = run_layer(MaxPool2D(), image([[1, 2], [3, 4]]), image([[INF]]), name=name)
    np.testing.assert_array_equal(dx, image([[0, 0], [0, INF]]))


@pytest.mark.parametrize("name", NAMES)
def test_a_convolution_is_a_cross_correlation(name):
    """The kernel is not flipped; channels last, the filters' axis last of all."""
    x = np.zeros((1, 4, 4, 1))
    x[0, 1, 2, 0] = 1
    W = np.arange(1.0, 10).reshape(3, 3, 1, 1)
    y = run_layer(Conv2D(1, 3), x, p={"W": W, "b": np.array([0.5])}, name=name)
    np.testing.assert_allclose(y[0, :, :, 0], [[6.5, 5.5], [3.5, 2.5]])


def test_an_even_window_of_channels_reaches_one_further_up():
    """As ONNX defines it: from c - floor((size - 1) / 2) to c + floor(size / 2)."""
    x = np.arange(1.0, 6)
    y = run_layer(xpnn.LocalResponseNorm(4, 2.0, 1.0, 0.5), x[None])
    total = [sum(x[max(c - 1, 0) : c + 3] ** 2) for c in range(5)]
    np.testing.assert_allclose(y[0], x / (0.5 + 0.5 * np.array(total)), rtol=1e-12)


@pytest.mark.parametrize(
    "layer", [Conv2D(3, 2), xpnn.Conv1D(3, 2), ConvTranspose2D(2, 2), MaxPool2D(), AvgPool2D()]
)
def test_files_from_before_the_new_settings_open(layer):
    """A setting that a file does not have takes its default, which is what the layer did then."""
    data = to_config(layer)
    new = {"bias", "ceil_mode", "count_include_pad"} | ({"dilation"} if "pool" in data else set())
    assert from_config({key: value for key, value in data.items() if key not in new}) == layer
