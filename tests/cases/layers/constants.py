"""Offset and Scale: numbers added to every sample, or multiplied with it."""

import numpy as np

import xpnn
from cases.planting import Planted, gradients_from
from cases.row import Case
from xpnn.initializers import Constant

ROWS = [
    Case(layer(*settings), shape)
    for layer in (xpnn.Offset, xpnn.Scale)
    for settings, shape in (
        ((), (5,)),  # one for each feature
        ((), (2, 3, 4)),  # one for each channel of an image
        ((None,), (2, 3)),  # one for each number
        (((),), (2, 3)),  # one for all
        (((1, 3), Constant(0.1)), (2, 3, 4)),
        (((-1,), Constant((0.5, -1.0, 3.0)), False), (2, 3)),  # fixed
    )
]
PLANTED = {
    xpnn.Offset: Planted(
        Case(xpnn.Offset(), (4, 4), batch=4),
        {
            "dc a mean": gradients_from(c=lambda layer, be, p, c, dy, dc: dc / 16),
            "dc of the first position": gradients_from(c=lambda layer, be, p, c, dy, dc: dy[:, :1, :].sum(0)),
            "c added to dx": gradients_from(x=lambda layer, be, p, c, dy, dx: dx + p["c"]),
        },
    ),
    xpnn.Scale: Planted(
        Case(xpnn.Scale(), (4, 4), batch=4),
        {
            "c forgotten": gradients_from(x=lambda layer, be, p, c, dy, dx: dy),
            "divided by c": gradients_from(x=lambda layer, be, p, c, dy, dx: dy / p["c"]),
            "x forgotten": gradients_from(
                c=lambda layer, be, p, c, dy, dc: np.reshape(dy.sum(axis=(0, 1)), dc.shape)
            ),
        },
    ),
}
