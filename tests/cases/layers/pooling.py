"""Pooling, padding and upsampling: windows without weights."""

import numpy as np

import xpnn
from cases.planting import Planted, called_with, dx_from
from cases.row import Case
from xpnn.backends import get_backend
from xpnn.window import place

ROWS = [
    Case(xpnn.MaxPool2D(), (4, 4, 3)),  # the plain one
    Case(xpnn.MaxPool2D((3, 2), (2, 1), "same"), (5, 4, 2)),  # overlapping windows, padded
    Case(xpnn.MaxPool2D(2, padding=1), (3, 5, 1), batch=1),  # windows that reach out
    Case(xpnn.MaxPool2D((2, 3), 1, ((1, 0), (0, 2))), (4, 3, 2)),  # on every side differently
    Case(xpnn.AvgPool2D(), (5, 4, 3)),  # a row left over
    Case(xpnn.AvgPool2D((3, 2), (2, 1), "same"), (5, 4, 2)),  # overlapping windows, padded
    Case(xpnn.AvgPool2D((2, 3), 1, ((1, 0), (0, 2))), (4, 3, 2), batch=1),  # on every side differently
    Case(xpnn.MaxPool1D(), (5, 2)),  # a step left over
    Case(xpnn.MaxPool1D(3, 2, 1), (4, 3), batch=1),  # overlapping and padded
    Case(xpnn.AvgPool1D(), (5, 2)),  # a step left over
    Case(xpnn.AvgPool1D(3, 2, (1, 2)), (4, 3), batch=1),  # padded unequally
    Case(xpnn.MaxPool2D(2, 1, dilation=(2, 1)), (4, 3, 2)),  # taps that lie apart
    Case(
        xpnn.MaxPool2D(2, 2, ((1, 0), (0, 0)), ceil_mode=True), (4, 5, 1), batch=2
    ),  # a window that ends outside
    Case(
        xpnn.MaxPool2D(2, dilation=2), (5, 5, 2)
    ),  # windows that overlap although each begins a pool further
    Case(xpnn.MaxPool2D(2, 1, "same_lower"), (2, 3, 2), batch=1),  # the pad before
    Case(xpnn.AvgPool2D(2, 1, dilation=(1, 2)), (3, 4, 2)),  # taps that lie apart
    Case(xpnn.AvgPool2D(3, 2, 1, ceil_mode=True), (4, 6, 1), batch=2),  # a window that ends outside
    Case(xpnn.AvgPool2D(3, 2, 1, ceil_mode=True, count_include_pad=True), (4, 6, 1), batch=2),  # pads count
    Case(xpnn.AvgPool2D(2, 1, "same_lower", count_include_pad=True), (2, 3, 2), batch=1),  # the pad before
    Case(xpnn.MaxPool1D(2, 2, dilation=2, ceil_mode=True), (6, 2)),  # both
    Case(xpnn.MaxPool1D(2, 1, "same_lower"), (3, 2), batch=1),  # the pad before
    Case(xpnn.AvgPool1D(2, 2, 1, 2, True, True), (6, 2)),  # all
    Case(xpnn.MaxPool3D(), (2, 4, 3, 2)),  # the plain one
    Case(
        xpnn.MaxPool3D((1, 2, 3), 1, ((0, 0), (1, 0), (0, 2))), (2, 3, 3, 1), batch=2
    ),  # every axis differently
    Case(
        xpnn.MaxPool3D(2, (2, 1, 2), dilation=(1, 2, 1), ceil_mode=True), (3, 3, 3, 1), batch=2
    ),  # all options
    Case(xpnn.AvgPool3D(), (2, 4, 3, 2)),  # the plain one
    Case(xpnn.AvgPool3D((1, 2, 3), 1, "same_lower"), (2, 3, 3, 1), batch=2),  # every axis differently
    Case(
        xpnn.AvgPool3D(2, 2, 1, (1, 2, 1), ceil_mode=True, count_include_pad=True), (2, 3, 4, 1), batch=2
    ),  # all options
    Case(xpnn.GlobalAveragePool(), (2, 3, 2, 4), batch=2),  # a volume
    Case(xpnn.GlobalMaxPool(), (2, 3, 2, 2), batch=2),  # a volume
    Case(xpnn.GlobalAveragePool(), (3, 2, 4)),  # an image
    Case(xpnn.GlobalAveragePool(), (1, 1, 1), batch=1),  # one number
    Case(xpnn.GlobalAveragePool(), (5, 2)),  # a sequence
    Case(xpnn.GlobalMaxPool(), (5, 2)),  # a sequence
    Case(xpnn.GlobalMaxPool(), (3, 2, 4)),  # an image
    Case(xpnn.GlobalMaxPool(), (1, 1, 1), batch=1),  # one number
    Case(xpnn.ZeroPad2D(), (2, 3, 2)),  # one on every side
    Case(xpnn.ZeroPad2D(((0, 2), (1, 0))), (1, 3, 2)),  # none on two of them
    Case(xpnn.Pad(((1, 0), (0, 2), (1, 1)), value=-1.5), (2, 3, 2)),  # any axes, also the channels
    Case(xpnn.Pad(((2, 1), (0, 0), (0, 1)), "reflect"), (3, 2, 2), batch=2),  # backwards
    Case(xpnn.Pad(((2, 1),), "reflect"), (3,), batch=2),  # all that lies behind the edge
    Case(xpnn.Pad(((2, 1), (0, 0)), "edge"), (2, 3), batch=1),  # the edge
    Case(xpnn.Pad(((1, 3), (1, 0)), "wrap"), (2, 3)),  # from the other end
    Case(xpnn.Pad(((0, 0), (0, 0))), (2, 3), batch=1),  # nothing
    Case(xpnn.Resize(5), (3, 2)),  # a sequence
    Case(xpnn.Resize((4, 2)), (3, 5, 2)),  # an image, one axis larger and one smaller
    Case(xpnn.Resize((3, 5), coordinates="align_corners"), (2, 3, 1), batch=2),  # both
    Case(xpnn.Resize((1, 4), coordinates="align_corners"), (3, 1, 2), batch=1),  # from one place and to one
    Case(xpnn.Resize((3, 5), coordinates="asymmetric"), (2, 3, 1), batch=2),  # from the corner
    Case(xpnn.Resize(scale=2.0), (2, 1, 2, 1), batch=2),  # a volume
    Case(xpnn.Resize(scale=(1.5, 0.5), mode="nearest"), (2, 4, 2), batch=2),  # the nearest
    Case(xpnn.Resize(7, mode="nearest", coordinates="asymmetric", rounding="floor"), (3, 2)),  # PyTorch's
    Case(xpnn.Resize(4, mode="nearest", coordinates="align_corners", rounding="ceil"), (3, 1)),  # above
    Case(xpnn.Resize(4, mode="nearest", rounding="prefer_ceil"), (6, 1)),  # at a half up
    Case(xpnn.AdaptiveAvgPool(2), (4, 6, 2)),  # windows side by side
    Case(xpnn.AdaptiveAvgPool((3, 5)), (4, 3, 2), batch=2),  # cells that overlap, one axis larger
    Case(xpnn.AdaptiveAvgPool(2), (5, 1), batch=2),  # a sequence
    Case(xpnn.AdaptiveAvgPool((1, 2, 3)), (2, 3, 4, 2), batch=1),  # a volume
    Case(xpnn.LocalResponseNorm(), (2, 3, 4)),  # fewer channels than the window
    Case(xpnn.LocalResponseNorm(3, 0.5, 0.6, 2.0), (3, 5), batch=2),  # a sequence
    Case(xpnn.LocalResponseNorm(3, 1.5), (7,)),  # features
    Case(xpnn.UpSampling2D(), (2, 3, 2)),  # doubled
    Case(xpnn.UpSampling2D((1, 3)), (3, 1, 2), batch=1),  # in one direction
]
BE = get_backend("numpy", None, "float64")


def pooled(layer, shape, dy, tap):
    """The gradient of MaxPool2D, had it chosen other taps."""
    return BE.max_pool_grad(dy, tap, shape, place(shape[1:], (3, 3), (2, 2), layer.padding))


def called_with_layer(other):
    """The backward pass of another layer."""
    return lambda layer, cx, p, cache, dy, right: right(other, cx, p, cache, dy)


def summed(layer, shape, dy):
    """The gradient of a sum over each window."""
    return BE.sum_pool_grad(dy, shape, place(shape[1:], layer.pool, (2, 2), layer.padding))


PLANTED = {
    xpnn.MaxPool2D: Planted(
        Case(xpnn.MaxPool2D(3, 2, 1), (4, 5, 2), batch=4),
        {
            "the next tap": dx_from(lambda layer, p, c, dy: pooled(layer, c[1], dy, (c[0] + 1) % 9)),
            "rows and columns exchanged": dx_from(
                lambda layer, p, c, dy: pooled(layer, c[1], dy, c[0] % 3 * 3 + c[0] // 3)
            ),
            "always the middle": dx_from(
                lambda layer, p, c, dy: pooled(layer, c[1], dy, np.full_like(c[0], 4))
            ),
        },
    ),
    xpnn.AvgPool2D: Planted(
        Case(xpnn.AvgPool2D((3, 2), 2, ((1, 0), (0, 1))), (4, 5, 2), batch=4),
        {
            "a sum": dx_from(lambda layer, p, c, dy: summed(layer, c[0], dy)),
            "padding counted": dx_from(lambda layer, p, c, dy: summed(layer, c[0], dy / 6)),
            "divided by the windows": dx_from(
                lambda layer, p, c, dy: summed(layer, c[0], dy / dy[0, :, :, 0].size)
            ),
        },
    ),
    xpnn.MaxPool1D: Planted(
        Case(xpnn.MaxPool1D(3, 2, 1), (5, 2), batch=4),
        {"the next tap": called_with(lambda layer, p, c, dy: (p, ((c[0] + 1) % 3, c[1]), dy))},
    ),
    xpnn.AvgPool1D: Planted(
        Case(xpnn.AvgPool1D(3, 2, 1), (5, 2), batch=4),
        {"a sum": called_with(lambda layer, p, c, dy: (p, c, 3 * dy))},
    ),
    xpnn.MaxPool3D: Planted(
        Case(xpnn.MaxPool3D(2, 1), (3, 2, 3, 2), batch=4),
        {"the next tap": called_with(lambda layer, p, c, dy: (p, ((c[0] + 1) % 8, c[1]), dy))},
    ),
    xpnn.AvgPool3D: Planted(
        Case(xpnn.AvgPool3D(2, 1, 1), (2, 2, 3, 2), batch=4),
        {"a sum": called_with(lambda layer, p, c, dy: (p, c, 8 * dy))},
    ),
    xpnn.GlobalAveragePool: Planted(
        Case(xpnn.GlobalAveragePool(), (2, 3, 2), batch=4),
        {
            "a sum": dx_from(lambda _, p, c, dy: np.broadcast_to(dy[:, None, None], c[0])),
            "divided by the channels too": dx_from(
                lambda _, p, c, dy: np.broadcast_to(dy[:, None, None] / 12, c[0])
            ),
        },
    ),
    xpnn.GlobalMaxPool: Planted(
        Case(xpnn.GlobalMaxPool(), (2, 3, 2), batch=4),
        {
            "everywhere": dx_from(lambda _, p, c, dy: np.broadcast_to(dy[:, None, None], c[1])),
            "the first pixel": dx_from(
                lambda _, p, c, dy: BE.max_pool_grad(
                    dy[:, None, None], 0 * c[0], c[1], place(c[1][1:], (2, 3), (2, 3), 0)
                )
            ),
        },
    ),
    xpnn.ZeroPad2D: Planted(
        Case(xpnn.ZeroPad2D(((2, 1), (0, 1))), (2, 3, 2), batch=4),
        {
            "top and bottom exchanged": dx_from(lambda _, p, c, dy: dy[:, 1:3, :3]),
            "left and right exchanged": dx_from(lambda _, p, c, dy: dy[:, 2:4, 1:]),
        },
    ),
    xpnn.Pad: Planted(
        Case(xpnn.Pad(((2, 1), (0, 1), (0, 0)), "reflect"), (3, 2, 2), batch=4),
        {
            "only the middle": dx_from(lambda _, p, c, dy: dy[:, 2:5, :2]),
            "the edge's": called_with_layer(xpnn.Pad(((2, 1), (0, 1), (0, 0)), "edge")),
        },
    ),
    xpnn.Resize: Planted(
        Case(xpnn.Resize((5, 2)), (3, 4, 2), batch=4),
        {
            "corners aligned": called_with_layer(xpnn.Resize((5, 2), coordinates="align_corners")),
            "the nearest alone": called_with_layer(xpnn.Resize((5, 2), mode="nearest")),
        },
    ),
    xpnn.AdaptiveAvgPool: Planted(
        Case(xpnn.AdaptiveAvgPool((3, 2)), (4, 5, 2), batch=4),
        {"a sum": called_with(lambda layer, p, c, dy: (p, c, 2 * dy))},
    ),
    xpnn.LocalResponseNorm: Planted(
        Case(xpnn.LocalResponseNorm(3, 0.9), (2, 5), batch=4),
        {
            "the root alone": dx_from(lambda layer, p, c, dy: dy * c[1] ** -layer.beta),
            "alpha not divided": called_with_layer(xpnn.LocalResponseNorm(3, 2.7)),
            "the window turned round": called_with_layer(xpnn.LocalResponseNorm(4, 1.2)),
        },
    ),
    xpnn.UpSampling2D: Planted(
        Case(xpnn.UpSampling2D((2, 3)), (2, 3, 2), batch=4),
        {
            "a mean": dx_from(lambda _, p, c, dy: dy.reshape(4, 2, 2, 3, 3, 2).mean(axis=(2, 4))),
            "the first of each block": dx_from(lambda _, p, c, dy: dy[:, ::2, ::3]),
            "sizes exchanged": dx_from(
                lambda _, p, c, dy: dy.reshape(4, 2, 2, 3, 3, 2).sum(axis=(1, 4)).reshape(4, 2, 3, 2)
            ),
        },
    ),
}
