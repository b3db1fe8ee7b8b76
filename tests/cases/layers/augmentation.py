"""Augmentation: reading between pixels at random places, erasing, mirroring."""

import numpy as np

import xpnn
from cases.planting import Planted
from cases.row import Case

ROWS = [
    Case(xpnn.RandomShift(0.4), (4, 5, 2)),
    Case(xpnn.RandomShift(0.9), (1, 3, 1), batch=1),  # mostly out of the picture
    Case(xpnn.RandomRotation(180.0), (5, 4, 1)),  # by any angle
    Case(xpnn.RandomZoom(0.5), (4, 5, 1), batch=1),
    Case(xpnn.RandomShear(40.0), (5, 3, 2)),
    Case(xpnn.RandomElastic(), (4, 6, 1)),
    Case(xpnn.RandomElastic(0.5, 1.5), (1, 1, 3), batch=1),  # one pixel
    Case(  # several motions, read once
        xpnn.Warp(
            (
                xpnn.RandomRotation(),
                xpnn.RandomShift(),
                xpnn.RandomElastic(0.7),
                xpnn.RandomZoom(0.2),
                xpnn.RandomElastic(),
            )
        ),
        (5, 4, 1),
    ),
    Case(
        xpnn.Warp((xpnn.Warp((xpnn.RandomShear(), xpnn.RandomZoom())),)), (3, 3, 1), bytes=True
    ),  # nested, of bytes
    Case(xpnn.Warp(()), (2, 3, 1)),  # no motion
    Case(xpnn.RandomErase(0.8, (0.3, 0.9)), (4, 5, 2)),
    Case(xpnn.RandomErase(1.0, (1.0, 1.0)), (2, 3, 1), batch=1),  # everything
    Case(xpnn.RandomErase(0.0), (2, 3, 1)),  # nothing
    Case(xpnn.RandomFlip(), (2, 3, 2), batch=5),
    Case(xpnn.RandomFlip(0.9, "vertical"), (3, 2, 1), batch=1),
    Case(  # before Rescale, of bytes
        xpnn.Sequential(
            (
                xpnn.RandomFlip(0.0),
                xpnn.RandomErase(),
                xpnn.Rescale(1 / 255),
                xpnn.Warp((xpnn.RandomShift(),)),
                xpnn.Flatten(),
                xpnn.Dense(2),
            )
        ),
        (3, 4, 1),
        bytes=True,
    ),
]
SHAPE = (4, 4, 2)


def read_by(f):
    """A whole backward pass that is wrong: f(be, layer, cache, dy) -> dx, without parameters."""
    return lambda layer, cx, p, cache, dy, right: (
        f(cx.be, layer, cache, dy),
        right(layer, cx, p, cache, dy)[1],
    )


READING = {
    "dy passed on": read_by(lambda be, layer, c, dy: dy),
    "dy read at the same places": read_by(lambda be, layer, c, dy: be.bilinear(dy, *c)),
    "rows and columns exchanged": read_by(
        lambda be, layer, c, dy: be.bilinear_grad(dy, c[1], c[0], dy.shape)
    ),
    "the nearest pixel alone": read_by(
        lambda be, layer, c, dy: be.bilinear_grad(dy, np.rint(c[0]), np.rint(c[1]), dy.shape)
    ),
    "held at the edge": read_by(
        lambda be, layer, c, dy: be.bilinear_grad(dy, np.clip(c[0], 0, 3), np.clip(c[1], 0, 3), dy.shape)
    ),
    "another image's places": read_by(
        lambda be, layer, c, dy: be.bilinear_grad(dy, np.roll(c[0], 1, 0), np.roll(c[1], 1, 0), dy.shape)
    ),
}
PLANTED = {
    type(layer): Planted(Case(layer, SHAPE, batch=4), READING)
    for layer in (
        xpnn.RandomShift(0.3),
        xpnn.RandomRotation(40.0),
        xpnn.RandomZoom(0.4),
        xpnn.RandomShear(30.0),
        xpnn.RandomElastic(0.8, 2.0),
        xpnn.Warp((xpnn.RandomRotation(40.0), xpnn.RandomElastic(0.8, 2.0))),
    )
}
PLANTED |= {
    xpnn.RandomErase: Planted(
        Case(xpnn.RandomErase(0.9, (0.3, 0.7)), SHAPE, batch=4),
        {
            "mask forgotten": read_by(lambda be, layer, c, dy: dy),
            "mask inverted": read_by(lambda be, layer, c, dy: dy * ~c[0]),
            "another image's mask": read_by(lambda be, layer, c, dy: dy * np.roll(c[0], 1, 0)),
            "scaled as dropout": read_by(lambda be, layer, c, dy: dy * c[0] / np.mean(c[0])),
        },
    ),
    xpnn.RandomFlip: Planted(
        Case(xpnn.RandomFlip(), SHAPE, batch=4),
        {
            "not mirrored": read_by(lambda be, layer, c, dy: dy),
            "all mirrored": read_by(lambda be, layer, c, dy: dy[:, :, ::-1]),
            "the others mirrored": read_by(lambda be, layer, c, dy: np.where(c[0], dy[:, :, ::-1], dy)),
            "the other axis": read_by(lambda be, layer, c, dy: np.where(c[0], dy, dy[:, ::-1])),
        },
    ),
}
