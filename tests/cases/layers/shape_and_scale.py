"""Flatten, Reshape, Rescale, Standardize: samples in another shape or unit."""

import numpy as np

import xpnn
from cases.planting import Planted, dx_from
from cases.row import Case

ROWS = [
    Case(xpnn.Flatten(), (2, 3, 2)),  # three axes into one
    Case(xpnn.Flatten(), (5,), batch=1),  # flat already
    Case(xpnn.Flatten(), ()),  # a sample that is one number
    Case(xpnn.Reshape((3, 2)), (6,)),  # more axes
    Case(xpnn.Reshape((6,)), (1, 2, 3)),  # fewer
    Case(xpnn.Reshape(()), (1,)),  # none
    Case(xpnn.Rescale(1 / 127.5, -1.0), (2, 3)),  # with an offset
    Case(xpnn.Rescale(-2.5), (5,), batch=1),  # a negative scale
    Case(xpnn.Rescale(1 / 255), (4, 3), bytes=True),  # the way pixels come in
    Case(xpnn.Standardize(0.5, 2.0), (3,)),  # one mean for all features
    Case(xpnn.Standardize((0.5, -1.0, 3.0), (2.0, 0.25, 1.5)), (2, 3)),  # one for each
    Case(xpnn.Standardize((30.0, 128.0), (50.0, 70.0)), (5, 2), bytes=True),  # of bytes
]
BY_COLUMNS = {"column by column": dx_from(lambda _, p, c, dy: np.reshape(dy, c[0], order="F"))}
PLANTED = {
    xpnn.Flatten: Planted(Case(xpnn.Flatten(), (2, 3), batch=4), BY_COLUMNS),
    xpnn.Reshape: Planted(Case(xpnn.Reshape((3, 2)), (2, 3), batch=4), BY_COLUMNS),
    xpnn.Rescale: Planted(
        Case(xpnn.Rescale(0.3, 0.1), (5,), batch=4),
        {
            "scale forgotten": dx_from(lambda layer, p, c, dy: dy),
            "divided by the scale": dx_from(lambda layer, p, c, dy: dy / layer.scale),
            "offset added": dx_from(lambda layer, p, c, dy: dy * layer.scale + layer.offset),
        },
    ),
    xpnn.Standardize: Planted(
        Case(xpnn.Standardize((0.5, -1.0, 3.0), (2.0, 0.25, 1.5)), (3,), batch=4),
        {
            "std forgotten": dx_from(lambda _, p, c, dy: dy),
            "multiplied by std": dx_from(lambda _, p, c, dy: dy / p["gain"]),
            "mean subtracted": dx_from(lambda _, p, c, dy: (dy - p["mean"]) * p["gain"]),
        },
    ),
}
