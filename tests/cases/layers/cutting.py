"""Permute, Slice and Split: axes in another order, and parts of one."""

import numpy as np

import xpnn
from cases.planting import Planted, dx_after, dx_from
from cases.row import Case

PARTS = xpnn.Graph(
    inputs="x",
    nodes={
        "parts": (xpnn.Split((1, 3, 2)), "x"),
        "first": (xpnn.SelectOutput(0), "parts"),
        "last": (xpnn.SelectOutput(2), "parts"),
        "product": (xpnn.Multiply(), ("first", "last")),
    },
    outputs="product",
)
"""One of three parts goes nowhere."""
ROWS = [
    Case(xpnn.Permute((2, 1)), (3, 2)),  # a transpose
    Case(xpnn.Permute((3, 1, 2)), (2, 3, 4), batch=1),  # an order that is not its own inverse
    Case(xpnn.Permute((1,)), (5,)),  # nothing to move
    Case(xpnn.Slice(1, 4), (6,)),  # in the middle
    Case(xpnn.Slice(step=-1, axis=1), (4, 3)),  # reversed in time
    Case(xpnn.Slice(-2, None, -3), (8, 8)),  # backwards in steps, some places left before and behind
    Case(xpnn.Slice(1, 7, 3, axis=2), (2, 7, 3), batch=1),  # steps that do not end at the last place
    Case(xpnn.Split(3), (6,)),  # equal parts
    Case(xpnn.Split((1, 3), axis=1), (4, 2)),  # of other sizes, on another axis
    Case(xpnn.Sequential((xpnn.Split(2), xpnn.Multiply())), (2, 6)),  # what takes several inputs behind it
    Case(PARTS, (4, 6)),
]
PLANTED = {
    xpnn.Permute: Planted(
        Case(xpnn.Permute((3, 1, 2)), (4, 4, 4), batch=4),
        {
            "the same order back": dx_from(lambda layer, p, c, dy: np.permute_dims(dy, (0, *layer.axes))),
            "reshaped back": dx_from(lambda layer, p, c, dy: dy),
        },
    ),
    xpnn.Slice: Planted(
        Case(xpnn.Slice(1, 4, 2), (4,), batch=4),
        {
            "at the beginning": dx_after(lambda layer, p, c, dx, dy: np.roll(dx, -1, axis=1)),
            "without the steps between": dx_after(
                lambda layer, p, c, dx, dy: np.concat([0 * dy[:, :1], dy, 0 * dy[:, :1]], axis=1)
            ),
        },
    ),
    xpnn.Split: Planted(
        Case(xpnn.Split((1, 3)), (4,), batch=4),
        {"parts exchanged": dx_after(lambda layer, p, c, dx, dy: np.roll(dx, 1, axis=1))},
    ),
}
