"""Sums, means and largest numbers over axes, and means that leave padding out."""

import numpy as np

import xpnn
from cases.planting import Planted, another_cache, dx_after
from cases.row import Case

ROWS = [
    Case(layer(*settings), shape)
    for layer in (xpnn.ReduceSum, xpnn.ReduceMean, xpnn.ReduceMax)
    for settings, shape in (
        ((), (5,)),  # all there is
        (((-1,),), (2, 3)),  # the last axis
        (((1, 3), True), (2, 3, 4)),  # two that do not touch, kept
        (((2, 1),), (3, 2, 2)),  # positions, in any order
        ((None, True), (2, 2)),
    )
]
ROWS += [
    Case(xpnn.MaskedMean(), ((5, 2), (5,))),
    Case(xpnn.MaskedMean(), ((4, 2, 3), (4,)), blank=True),  # a sample of nothing but padding; more axes
    Case(xpnn.MaskedMean(), ((1, 3), (1,)), batch=1),
]
PLANTED = {
    xpnn.ReduceSum: Planted(
        Case(xpnn.ReduceSum((1,)), (4, 4), batch=4),
        {
            "a mean's": dx_after(lambda layer, p, c, dx, dy: dx / 4),
            "over the other axis": dx_after(lambda layer, p, c, dx, dy: np.swapaxes(dx, 1, 2)),
        },
    ),
    xpnn.ReduceMean: Planted(
        Case(xpnn.ReduceMean((1,)), (4, 4), batch=4),
        {
            "a sum's": dx_after(lambda layer, p, c, dx, dy: dx * 4),
            "over the other axis": dx_after(lambda layer, p, c, dx, dy: np.swapaxes(dx, 1, 2)),
        },
    ),
    xpnn.ReduceMax: Planted(
        Case(xpnn.ReduceMax((1,)), (4, 4), batch=4),
        {
            "cache of another input": another_cache,
            "to all": dx_after(lambda layer, p, c, dx, dy: np.broadcast_to(dy[:, None, :], dx.shape)),
            "of the sum": dx_after(lambda layer, p, c, dx, dy: dx + dy[:, None, :]),
        },
    ),
    xpnn.MaskedMean: Planted(
        Case(xpnn.MaskedMean(), ((6, 3), (6,)), batch=4),
        {
            "divided by all steps": dx_after(
                lambda layer, p, c, dx, dy: ((c[0] > 0) * dy[:, None, :] / c[0].shape[1], None)
            ),
            "padding pulls too": dx_after(
                lambda layer, p, c, dx, dy: (np.broadcast_to(dy[:, None, :] / 6, dx[0].shape), None)
            ),
        },
    ),
}
