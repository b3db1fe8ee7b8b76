"""Convolutions of sequences, images and volumes, and transposed ones."""

from dataclasses import replace

import numpy as np

import xpnn
from cases.planting import Planted, another_cache, gradients_from
from cases.row import Case
from xpnn.initializers import Normal, glorot_uniform

ROWS = [
    Case(xpnn.Conv2D(3, 3), (5, 4, 2)),  # the plain one
    Case(xpnn.Conv2D(1, 1), (1, 1, 1), batch=1),  # one number
    Case(xpnn.Conv2D(2, (2, 3), padding="same"), (3, 5, 2), batch=2),  # an even kernel, padded unequally
    Case(xpnn.Conv2D(2, 3, (2, 3), ((2, 0), (1, 2)), init=glorot_uniform, bias_init=Normal(0.5)), (5, 4, 3)),
    # above: strides and padding that differ on every side
    Case(xpnn.Conv2D(2, (3, 2), padding=1, dilation=(1, 2)), (3, 5, 1)),  # dilated in one direction
    Case(xpnn.Conv2D(4, 3, (2, 1), "same", groups=2), (4, 3, 2), batch=2),  # grouped
    Case(xpnn.Conv2D(3, 2, groups=3), (3, 4, 3)),  # depthwise
    Case(xpnn.Conv2D(17, 3, padding="same"), (9, 7, 8)),  # sizes that no block divides
    Case(xpnn.Conv1D(3, 2), (5, 2)),  # the plain one
    Case(xpnn.Conv1D(4, 3, 2, "same", groups=2), (6, 4), batch=1),  # strided and grouped
    Case(
        xpnn.Conv1D(2, 2, 1, (2, 0), 3, init=glorot_uniform, bias_init=Normal(0.5)), (4, 3)
    ),  # causal and dilated
    Case(xpnn.Conv2D(2, 2, padding="same_lower", bias=False), (3, 2, 2), batch=2),  # the pad before, no bias
    Case(xpnn.Conv1D(2, 2, padding="same_lower", bias=False), (3, 2), batch=1),  # the same, without a bias
    Case(xpnn.Conv3D(3, 2), (3, 2, 4, 2)),  # the plain one
    Case(xpnn.Conv3D(1, 1), (1, 1, 1, 1), batch=1),  # one number
    Case(
        xpnn.Conv3D(4, (2, 1, 3), (1, 2, 1), ((1, 0), (0, 0), (0, 2)), (2, 1, 1), groups=2), (3, 3, 4, 2)
    ),  # every axis differently, grouped
    Case(
        xpnn.Conv3D(2, 3, 2, "same", groups=2, init=glorot_uniform, bias_init=Normal(0.5)),
        (3, 2, 4, 2),
        batch=2,
    ),  # depthwise
    Case(xpnn.Conv3D(2, 2, padding="same_lower", bias=False), (2, 3, 2, 1), batch=2),  # without a bias
    Case(xpnn.SeparableConv2D(3, 2), (3, 4, 2)),  # the plain one
    Case(
        xpnn.SeparableConv2D(2, (3, 2), (2, 1), "same", (1, 2), 2, glorot_uniform, Normal(0.5)),
        (4, 5, 3),
        batch=2,
    ),  # two kernels for each channel, strided and dilated
    Case(
        xpnn.SeparableConv2D(4, 3, padding=((1, 0), (0, 2)), bias=False), (3, 2, 2), batch=1
    ),  # without a bias
    Case(xpnn.ConvTranspose1D(3, 3), (4, 2)),  # the plain one
    Case(xpnn.ConvTranspose1D(4, 3, 2, "same", groups=2), (3, 4), batch=1),  # cropped and grouped
    Case(xpnn.ConvTranspose1D(2, 3, 3, (2, 1), 2, output_padding=1, bias=False), (3, 2)),  # on both sides
    Case(xpnn.ConvTranspose1D(1, 2, init=glorot_uniform, bias_init=Normal(0.5)), (1, 1)),  # one number
    Case(xpnn.ConvTranspose3D(3, 2), (2, 3, 2, 2)),  # the plain one
    Case(
        xpnn.ConvTranspose3D(2, (1, 2, 3), (2, 1, 2), ((0, 0), (1, 0), (0, 2)), (1, 2, 1), 2, (1, 0, 1)),
        (2, 3, 2, 2),
        batch=2,
    ),  # every axis differently, grouped
    Case(
        xpnn.ConvTranspose3D(2, 3, 2, "same_lower", init=glorot_uniform, bias_init=Normal(0.5)), (2, 1, 2, 1)
    ),  # cropped
    Case(xpnn.ConvTranspose3D(2, 1, padding=0, bias=False), (1, 2, 1, 2), batch=1),  # without a bias
    Case(
        xpnn.ConvTranspose2D(2, 3, 2, "same_lower", bias=False), (2, 3, 2), batch=2
    ),  # the same, without a bias
    Case(xpnn.ConvTranspose2D(3, 3), (3, 2, 2)),  # the plain one
    Case(xpnn.ConvTranspose2D(2, 3, (2, 3), "same"), (3, 2, 3), batch=1),  # cropped
    Case(
        xpnn.ConvTranspose2D(1, (2, 3), 2, ((1, 0), (0, 2)), (1, 2), output_padding=(1, 0)), (2, 3, 1)
    ),  # on every side
    Case(
        xpnn.ConvTranspose2D(4, 2, 2, 1, groups=2, init=glorot_uniform, bias_init=Normal(0.5)), (3, 2, 2)
    ),  # grouped
    Case(xpnn.ConvTranspose2D(2, 1, 3, "same", output_padding=0), (1, 2, 1)),  # gaps wider than the kernel
    Case(xpnn.ConvTranspose2D(17, 3, 1, 1), (4, 5, 2), batch=1),  # sizes that no block divides
]


def window(layer, dy_or_x, **changes):
    """Where the kernel lies, with something wrong."""
    right = layer.window(dy_or_x.shape[1:])
    return replace(right, **{name: f(getattr(right, name)) for name, f in changes.items()})


def other_side(pads):
    return tuple(pad[::-1] for pad in pads)


PLANTED = {
    xpnn.Conv2D: Planted(
        Case(xpnn.Conv2D(3, (2, 3), (1, 2), ((1, 0), (0, 2)), bias_init=Normal(0.5)), (4, 5, 2), batch=4),
        {
            "cache of another input": another_cache,
            "kernel not flipped back": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv_dx(
                    dy, p["W"][::-1, ::-1], c[0].shape, window(layer, c[0])
                )
            ),
            "rows and columns exchanged": gradients_from(
                W=lambda layer, be, p, c, dy, dW: be.conv_dw(
                    np.flip(c[0], 1), np.flip(dy, 1), window(layer, c[0])
                )
            ),
            "dW without the last sample": gradients_from(
                W=lambda layer, be, p, c, dy, dW: be.conv_dw(c[0][:-1], dy[:-1], window(layer, c[0]))
            ),
            "padding on the other side": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv_dx(
                    dy, p["W"], c[0].shape, window(layer, c[0], pads=other_side)
                )
            ),
            "db is a mean": gradients_from(b=lambda layer, be, p, c, dy, db: dy.mean(axis=(0, 1, 2))),
            "db of the first row": gradients_from(
                b=lambda layer, be, p, c, dy, db: dy[:, 0].sum(axis=(0, 1))
            ),
        },
    ),
    xpnn.Conv1D: Planted(
        Case(xpnn.Conv1D(3, 2, 2, (1, 0), bias_init=Normal(0.5)), (5, 2), batch=4),
        {
            "db is a mean": gradients_from(b=lambda layer, be, p, c, dy, db: dy.mean(axis=(0, 1))),
            "kernel not flipped back": lambda layer, cx, p, cache, dy, right: (
                right(layer, cx, {**p, "W": p["W"][::-1]}, cache, dy)[0],
                right(layer, cx, p, cache, dy)[1],
            ),
        },
    ),
    xpnn.Conv3D: Planted(
        Case(
            xpnn.Conv3D(3, (2, 1, 2), 1, ((1, 0), (0, 0), (0, 1)), bias_init=Normal(0.5)),
            (3, 2, 3, 2),
            batch=4,
        ),
        {
            "kernel not flipped back": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv_dx(
                    dy, p["W"][::-1, ::-1, ::-1], c[0].shape, window(layer, c[0])
                )
            ),
            "padding on the other side": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv_dx(
                    dy, p["W"], c[0].shape, window(layer, c[0], pads=other_side)
                )
            ),
            "depth not summed": gradients_from(
                b=lambda layer, be, p, c, dy, db: dy[:, 0].sum(axis=(0, 1, 2))
            ),
        },
    ),
    xpnn.SeparableConv2D: Planted(
        Case(xpnn.SeparableConv2D(3, 2, padding=1, multiplier=2, bias_init=Normal(0.5)), (3, 4, 2), batch=4),
        {
            "channels exchanged": gradients_from(
                depth=lambda layer, be, p, c, dy, d: {"W": d["W"][..., ::-1]}
            ),
            "kernels of a channel exchanged": gradients_from(
                point=lambda layer, be, p, c, dy, d: d | {"W": d["W"][:, :, ::-1]}
            ),
            "db is a mean": gradients_from(
                point=lambda layer, be, p, c, dy, d: d | {"b": dy.mean(axis=(0, 1, 2))}
            ),
        },
    ),
    xpnn.ConvTranspose1D: Planted(
        Case(xpnn.ConvTranspose1D(3, 3, 2, (1, 0), bias_init=Normal(0.5)), (4, 2), batch=4),
        {
            "kernel flipped": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv(dy, p["W"][::-1], None, window(layer, dy))
            ),
            "cropped on the other side": gradients_from(
                W=lambda layer, be, p, c, dy, dW: be.conv_dw(dy, c[0], window(layer, dy, pads=other_side))
            ),
        },
    ),
    xpnn.ConvTranspose3D: Planted(
        Case(
            xpnn.ConvTranspose3D(3, (2, 1, 2), 1, ((1, 0), (0, 0), (0, 1)), bias_init=Normal(0.5)),
            (3, 2, 3, 2),
            batch=4,
        ),
        {
            "kernel flipped": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv(
                    dy, p["W"][::-1, ::-1, ::-1], None, window(layer, dy)
                )
            ),
            "cropped on the other side": gradients_from(
                W=lambda layer, be, p, c, dy, dW: be.conv_dw(dy, c[0], window(layer, dy, pads=other_side))
            ),
        },
    ),
    xpnn.ConvTranspose2D: Planted(
        Case(
            xpnn.ConvTranspose2D(3, (2, 3), (1, 2), ((1, 0), (0, 2)), bias_init=Normal(0.5)),
            (4, 3, 2),
            batch=4,
        ),
        {
            "kernel flipped": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv(dy, p["W"][::-1, ::-1], None, window(layer, dy))
            ),
            "cropped on the other side": gradients_from(
                x=lambda layer, be, p, c, dy, dx: be.conv(
                    dy, p["W"], None, window(layer, dy, pads=other_side)
                )
            ),
            "dW cropped on the other side": gradients_from(
                W=lambda layer, be, p, c, dy, dW: be.conv_dw(dy, c[0], window(layer, dy, pads=other_side))
            ),
            "dW flipped": gradients_from(W=lambda layer, be, p, c, dy, dW: dW[::-1, ::-1]),
            "dW without the last sample": gradients_from(
                W=lambda layer, be, p, c, dy, dW: be.conv_dw(dy[:-1], c[0][:-1], window(layer, dy))
            ),
            "dx with the bias": gradients_from(x=lambda layer, be, p, c, dy, dx: dx + p["b"][:2]),
            "db is a mean": gradients_from(b=lambda layer, be, p, c, dy, db: dy.mean(axis=(0, 1, 2))),
            "db of the first row": gradients_from(
                b=lambda layer, be, p, c, dy, db: dy[:, 0].sum(axis=(0, 1))
            ),
        },
    ),
}
