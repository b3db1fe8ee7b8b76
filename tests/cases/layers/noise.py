"""Dropout and noise: what is drawn anew at every step, and drawn again the same on the way back."""

import numpy as np

import xpnn
from cases.planting import Planted, dx_from
from cases.row import Case

ROWS = [
    Case(xpnn.Dropout(0.5), (7,)),  # the usual rate
    Case(xpnn.Dropout(0.1), (3, 4, 5)),  # more axes; a scale that is no power of 2
    Case(xpnn.Dropout(0.0), (5,)),  # nothing dropped
    Case(xpnn.Dropout(1.0), (5,)),  # everything: no division by 0
    Case(xpnn.SpatialDropout(0.5), (3, 7)),  # whole channels of a sequence
    Case(xpnn.SpatialDropout(0.2), (2, 3, 5), batch=1),  # of an image
    Case(xpnn.SpatialDropout(0.0), (2, 3)),  # nothing dropped
    Case(xpnn.SpatialDropout(1.0), (2, 3)),  # everything
    Case(xpnn.AlphaDropout(0.5), (7,)),  # the usual rate
    Case(xpnn.AlphaDropout(0.1), (2, 3), batch=1),  # a small one
    Case(xpnn.AlphaDropout(0.0), (5,)),  # nothing dropped: gain 1 and offset 0
    Case(xpnn.GaussianNoise(0.5), (7,)),  # a derivative of 1, whatever is drawn
    Case(xpnn.GaussianNoise(2.0), (2, 3), batch=1),  # more than the signal
    Case(xpnn.GaussianNoise(0.0), (5,)),  # none
]
PLANTED = {
    xpnn.Dropout: Planted(
        Case(xpnn.Dropout(0.4), (9,), batch=4),
        {
            "mask forgotten": dx_from(lambda layer, p, c, dy: dy / (1 - layer.rate)),
            "scale forgotten": dx_from(lambda _, p, c, dy: dy * c[0]),
            "mask inverted": dx_from(lambda layer, p, c, dy: dy * ~c[0] / (1 - layer.rate)),
            "another step's mask": dx_from(lambda layer, p, c, dy: dy * np.roll(c[0], 1) / (1 - layer.rate)),
            "divided by the rate": dx_from(lambda layer, p, c, dy: dy * c[0] / layer.rate),
        },
    ),
    xpnn.GaussianNoise: Planted(
        Case(xpnn.GaussianNoise(0.5), (5,), batch=4), {"std": dx_from(lambda layer, p, c, dy: layer.std * dy)}
    ),
    xpnn.SpatialDropout: Planted(
        Case(xpnn.SpatialDropout(0.4), (2, 9), batch=4),
        {
            "mask forgotten": dx_from(lambda layer, p, c, dy: dy / (1 - layer.rate)),
            "scale forgotten": dx_from(lambda _, p, c, dy: dy * c[0]),
            "mask inverted": dx_from(lambda layer, p, c, dy: dy * ~c[0] / (1 - layer.rate)),
            "another sample's mask": dx_from(
                lambda layer, p, c, dy: dy * np.roll(c[0], 1, 0) / (1 - layer.rate)
            ),
        },
    ),
    xpnn.AlphaDropout: Planted(
        Case(xpnn.AlphaDropout(0.4), (9,), batch=4),
        {
            "mask forgotten": dx_from(lambda layer, p, c, dy: dy * layer.gain()),
            "gain forgotten": dx_from(lambda _, p, c, dy: dy * c[0]),
            "Dropout's gain": dx_from(lambda layer, p, c, dy: dy * c[0] / (1 - layer.rate)),
            "mask inverted": dx_from(lambda layer, p, c, dy: dy * ~c[0] * layer.gain()),
        },
    ),
}
