"""The faults that are planted in augmentation: mistakes in the adjoint of a reading between pixels, and in masks."""

import numpy as np
from cases import Case

from xpnn.layers import (
    RandomElastic,
    RandomErase,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomShift,
    RandomZoom,
    Warp,
)

SHAPE = (4, 4, 2)
CASES = {
    type(layer): Case(layer, SHAPE, batch=4)
    for layer in (
        RandomShift(0.3),
        RandomRotation(40.0),
        RandomZoom(0.4),
        RandomShear(30.0),
        RandomElastic(0.8, 2.0),
        Warp((RandomRotation(40.0), RandomElastic(0.8, 2.0))),
        RandomErase(0.9, (0.3, 0.7)),
        RandomFlip(),
    )
}


def wrong(f):
    """A whole backward pass that is wrong: f(be, layer, cache, dy) -> dx, without parameters."""
    return lambda layer, cx, p, cache, dy, right: (
        f(cx.be, layer, cache, dy),
        right(layer, cx, p, cache, dy)[1],
    )


READING = {
    "dy passed on": wrong(lambda be, layer, c, dy: dy),
    "dy read at the same places": wrong(lambda be, layer, c, dy: be.bilinear(dy, *c)),
    "rows and columns exchanged": wrong(lambda be, layer, c, dy: be.bilinear_grad(dy, c[1], c[0], dy.shape)),
    "the nearest pixel alone": wrong(
        lambda be, layer, c, dy: be.bilinear_grad(dy, np.rint(c[0]), np.rint(c[1]), dy.shape)
    ),
    "held at the edge": wrong(
        lambda be, layer, c, dy: be.bilinear_grad(dy, np.clip(c[0], 0, 3), np.clip(c[1], 0, 3), dy.shape)
    ),
    "another image's places": wrong(
        lambda be, layer, c, dy: be.bilinear_grad(dy, np.roll(c[0], 1, 0), np.roll(c[1], 1, 0), dy.shape)
    ),
}
OWN = dict.fromkeys(CASES, READING) | {
    RandomErase: {
        "mask forgotten": wrong(lambda be, layer, c, dy: dy),
        "mask inverted": wrong(lambda be, layer, c, dy: dy * ~c[0]),
        "another image's mask": wrong(lambda be, layer, c, dy: dy * np.roll(c[0], 1, 0)),
        "scaled as dropout": wrong(lambda be, layer, c, dy: dy * c[0] / np.mean(c[0])),
    },
    RandomFlip: {
        "not mirrored": wrong(lambda be, layer, c, dy: dy),
        "all mirrored": wrong(lambda be, layer, c, dy: dy[:, :, ::-1]),
        "the others mirrored": wrong(lambda be, layer, c, dy: np.where(c[0], dy[:, :, ::-1], dy)),
        "the other axis": wrong(lambda be, layer, c, dy: np.where(c[0], dy, dy[:, ::-1])),
    },
}
