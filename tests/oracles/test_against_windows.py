"""Volumes, transposed sequences and the options of pooling against PyTorch."""

import numpy as np
import pytest
from comparison import error, parameters, run_layer
from tolerances import label

from xpnn import layers as L
from xpnn.trees import leaves

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.against("PyTorch"), pytest.mark.oracle]

TOLERANCE = 1e-12
"""Norm-relative, float64."""


def first(a):
    """Channels last to channels first."""
    return a.movedim(-1, 1)


def last(a):
    return a.movedim(1, -1)


def padded(x, layer, value=0.0):
    """Channels first, with the pads that PyTorch's own layers do not have; and the padding that is left to them."""
    padding = layer.padding
    if padding == "same_lower":  # at stride 1: of an odd number the one more before
        kernel = getattr(layer, "kernel", getattr(layer, "pool", None))
        needs = [k - 1 for k in ((kernel,) * (x.ndim - 2) if isinstance(kernel, int) else kernel)]
        padding = tuple((need - need // 2, need // 2) for need in needs)
    if isinstance(padding, tuple):
        ends = padding if isinstance(padding[0], tuple) else (padding,)
        return F.pad(first(x), [n for pair in reversed(ends) for n in pair], value=value), 0
    return first(x), 0 if padding == "valid" else padding


def convolution(x, p, layer):
    function = (F.conv1d, F.conv2d, F.conv3d)[layer.axes - 1]
    x, padding = padded(x, layer)
    W = p["W"].movedim((-1, -2), (0, 1))
    return last(function(x, W, p.get("b"), layer.stride, padding, layer.dilation, layer.groups))


def transposed(x, p, layer):
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[layer.axes - 1]
    W, padding = p["W"].movedim((-1, -2), (0, 1)), layer.padding if isinstance(layer.padding, int) else 0
    y = function(
        first(x), W, p.get("b"), layer.stride, padding, layer.output_padding, layer.groups, layer.dilation
    )
    if isinstance(layer.padding, tuple):
        ends = layer.padding if isinstance(layer.padding[0], tuple) else (layer.padding,)
        y = F.pad(y, [-n for pair in reversed(ends) for n in pair])
    return last(y)


def max_pool(x, p, layer):
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[layer.axes - 1]
    x, padding = padded(x, layer, -np.inf)
    return last(function(x, layer.pool, layer.stride, padding, layer.dilation, layer.ceil_mode))


def average_pool(x, p, layer):
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[layer.axes - 1]
    padding = 0 if layer.padding == "valid" else layer.padding
    return last(
        function(first(x), layer.pool, layer.stride, padding, layer.ceil_mode, layer.count_include_pad)
    )


def separable(x, p, layer):
    h = F.conv2d(
        first(x),
        p["depth.W"].movedim((-1, -2), (0, 1)),
        None,
        layer.stride,
        layer.padding,
        layer.dilation,
        x.shape[-1],
    )
    return last(F.conv2d(h, p["point.W"].movedim((-1, -2), (0, 1)), p.get("point.b")))


def pad(x, p, layer):
    """Of the positions, as PyTorch's modes are; of any axes by a number."""
    if layer.mode == "constant":
        return F.pad(x, [n for pair in reversed(layer.pads) for n in pair], value=layer.value)
    ends = [n for pair in reversed(layer.pads[:-1]) for n in pair]
    return last(F.pad(first(x), ends, {"edge": "replicate", "wrap": "circular"}.get(layer.mode, layer.mode)))


def resize(x, p, layer):
    size = layer.sizes(tuple(x.shape[1:-1]))
    if layer.mode == "nearest":
        how = "nearest" if layer.coordinates == "asymmetric" else "nearest-exact"
        return last(F.interpolate(first(x), size, mode=how))
    how = ("linear", "bilinear", "trilinear")[len(size) - 1]
    return last(F.interpolate(first(x), size, mode=how, align_corners=layer.coordinates == "align_corners"))


def adaptive(x, p, layer):
    function = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[x.ndim - 3]
    return last(function(first(x), layer.size))


def response(x, p, layer):
    return last(F.local_response_norm(first(x), layer.size, layer.alpha, layer.beta, layer.k))


# (layer, shape of one sample, the same in PyTorch)
LAYERS = [
    (L.Conv3D(4, 3), (5, 4, 6, 2), convolution),
    (L.Conv3D(4, (2, 3, 1), (2, 1, 3), 1, (1, 2, 1), 2), (5, 6, 4, 4), convolution),
    (L.Conv3D(6, 3, padding=1, groups=3), (3, 4, 5, 3), convolution),
    (L.Conv3D(3, (2, 3, 2), padding=((1, 0), (2, 1), (0, 1)), bias=False), (3, 4, 5, 2), convolution),
    (L.Conv3D(16, 3, padding=1), (6, 6, 6, 16), convolution),
    (L.Conv2D(3, (2, 4), padding="same_lower", bias=False), (5, 6, 2), convolution),
    (L.Conv1D(3, 4, padding="same_lower"), (7, 2), convolution),
    (L.ConvTranspose1D(4, 3), (5, 2), transposed),
    (L.ConvTranspose1D(4, 4, 3, 1, 1, 2, 2), (5, 4), transposed),
    (L.ConvTranspose1D(2, 3, 2, (1, 2), bias=False), (5, 3), transposed),
    (L.ConvTranspose3D(4, 3), (3, 4, 2, 2), transposed),
    (L.ConvTranspose3D(4, (2, 3, 2), (1, 2, 3), 1, (1, 2, 1), 2, (0, 1, 2)), (3, 2, 3, 4), transposed),
    (L.ConvTranspose3D(2, 2, 2, ((1, 0), (0, 1), (0, 0)), bias=False), (3, 2, 3, 3), transposed),
    (L.MaxPool3D(2), (4, 5, 6, 2), max_pool),
    (L.MaxPool3D((2, 3, 2), (1, 2, 2), 1), (4, 5, 6, 2), max_pool),
    (L.MaxPool3D(2, 2, dilation=(1, 2, 1), ceil_mode=True), (4, 5, 5, 2), max_pool),
    (L.MaxPool2D(3, 2, 1, (2, 1), True), (9, 8, 2), max_pool),
    (L.MaxPool2D(2, 3, ceil_mode=True), (7, 8, 2), max_pool),
    (L.MaxPool2D((2, 4), 1, "same_lower"), (5, 6, 2), max_pool),
    (L.MaxPool1D(3, 2, 1, 2, True), (9, 2), max_pool),
    (L.AvgPool3D(2), (4, 5, 6, 2), average_pool),
    (L.AvgPool3D((2, 3, 2), (1, 2, 2), 1, 1, True, True), (4, 5, 6, 2), average_pool),
    (L.AvgPool3D(3, 2, 1, ceil_mode=True), (4, 5, 6, 2), average_pool),
    (L.AvgPool2D(3, 2, 1, count_include_pad=True), (6, 7, 2), average_pool),
    (L.AvgPool2D(3, 2, 1, 1, True, True), (6, 8, 2), average_pool),
    (L.AvgPool2D(2, 3, 1, 1, True, False), (7, 9, 2), average_pool),
    (L.AvgPool1D(3, 2, 1, 1, True, True), (8, 2), average_pool),
    (L.SeparableConv2D(4, 3, padding=1, multiplier=2), (5, 6, 3), separable),
    (L.SeparableConv2D(4, (2, 3), (2, 1), 0, (1, 2), bias=False), (5, 6, 3), separable),
    (L.Pad(((1, 2), (0, 3), (2, 0)), value=0.5), (3, 4, 2), pad),
    (L.Pad(((1, 2), (0, 3), (0, 0)), "reflect"), (3, 4, 2), pad),
    (L.Pad(((1, 2), (0, 3), (2, 2), (0, 0)), "edge"), (3, 4, 2, 2), pad),
    (L.Pad(((1, 2), (0, 0)), "wrap"), (3, 2), pad),
    *(
        (L.Resize(size, coordinates=how), shape, resize)
        for how in ("half_pixel", "align_corners")
        for size, shape in ((7, (4, 2)), (3, (8, 2)), ((9, 2), (4, 5, 2)), ((4, 1, 5), (2, 3, 5, 2)))
    ),
    *(
        (L.Resize(size, mode="nearest", coordinates=how, rounding=rounding), shape, resize)
        for how, rounding in (("asymmetric", "floor"), ("half_pixel", "prefer_ceil"))
        for size, shape in ((7, (4, 2)), ((9, 2), (4, 5, 2)), ((4, 1, 5), (2, 3, 5, 2)))
    ),
    (L.Resize(scale=(2.0, 1.5)), (4, 6, 2), resize),
    (L.AdaptiveAvgPool(2), (7, 2), adaptive),
    (L.AdaptiveAvgPool((3, 5)), (7, 4, 2), adaptive),
    (L.AdaptiveAvgPool((1, 2, 4)), (2, 3, 6, 2), adaptive),
    (L.LocalResponseNorm(), (4, 5, 8), response),
    (L.LocalResponseNorm(3, 0.7, 0.6, 2.0), (4, 7), response),
]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("layer", "shape", "oracle"), LAYERS, ids=label)
def test_layer_equals_torch(layer, shape, oracle, scale):
    rng = np.random.default_rng(0)
    x, p = scale * rng.standard_normal((4, *shape)), parameters(layer, shape, rng)
    tx = torch.from_numpy(x).requires_grad_()
    tp = {path: torch.from_numpy(a).requires_grad_() for path, a in leaves(p)}
    wanted = oracle(tx, tp, layer)
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run_layer(layer, x, dy, p)
    assert y.shape[1:] == tuple(layer.plan(shape)[1])
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE
    found = dict(leaves(grads))
    assert set(found) == set(tp)
    for path, grad in found.items():
        assert error(grad, tp[path].grad) <= TOLERANCE, path
