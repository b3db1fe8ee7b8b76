"""Dense: plain products with weights."""

import numpy as np

import xpnn
from cases.planting import Planted, another_cache, gradients_from
from cases.row import Case
from xpnn.initializers import Normal, glorot_uniform

ROWS = [
    Case(xpnn.Dense(4), (5,)),  # the plain one
    Case(xpnn.Dense(1), (1,)),  # nothing to sum over
    Case(xpnn.Dense(3), (7,), batch=1),  # a single row
    Case(xpnn.Dense(3, glorot_uniform, Normal(0.5)), (2, 3, 5)),  # more axes; a bias that is not 0
    Case(xpnn.Dense(33), (47,), batch=5),  # sizes that no block divides
    Case(xpnn.Dense(4, bias=False), (5,)),  # without b
    Case(xpnn.Dense(3, bias=False), (2, 5), batch=1),
]
PLANTED = {
    xpnn.Dense: Planted(
        Case(xpnn.Dense(4), (4,), batch=4),
        {
            "cache of another input": another_cache,
            "W not transposed": gradients_from(x=lambda layer, be, p, c, dy, dx: dy @ p["W"]),
            "dW transposed": gradients_from(W=lambda layer, be, p, c, dy, dW: dy.T @ c[0]),
            "dW without the last sample": gradients_from(
                W=lambda layer, be, p, c, dy, dW: c[0][:-1].T @ dy[:-1]
            ),
            "db is a mean": gradients_from(b=lambda layer, be, p, c, dy, db: dy.mean(axis=0)),
            "db summed over outputs": gradients_from(b=lambda layer, be, p, c, dy, db: dy.sum(axis=1)),
            "db forgotten": gradients_from(b=lambda layer, be, p, c, dy, db: np.zeros_like(db)),
        },
    ),
}
