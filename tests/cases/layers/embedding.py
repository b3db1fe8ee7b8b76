"""Embedding: rows of a table by their ids."""

import numpy as np

import xpnn
from cases.planting import Planted, called_with, one_hot
from cases.row import Case
from xpnn.initializers import Normal

ROWS = [
    Case(xpnn.Embedding(5, 3), (4,)),  # a sequence
    Case(xpnn.Embedding(3, 1), (), batch=7),  # one id per sample, one number per id
    Case(xpnn.Embedding(50, 2, Normal(1.0)), (2, 3), batch=1),  # most rows unused; more axes
    Case(xpnn.Embedding(1, 4), (3,)),  # a table of one row
    Case(xpnn.Embedding(5, 3, padding_idx=2), (4,)),  # a row that stays as it is
    Case(
        xpnn.Parallel((xpnn.Embedding(5, 3), xpnn.Embedding(9, 3)), "add"), (4,)
    ),  # two tables: the smaller bounds the ids
    Case(
        xpnn.Sequential(
            (xpnn.Reshape((2, 3)), xpnn.Recompute(xpnn.Embedding(4, 2)), xpnn.Flatten(), xpnn.Dense(2))
        ),
        (6,),
    ),  # behind a reshape
]


def last_wins(ids, dy, n):
    """Assigned, not added."""
    W = np.zeros((n, dy.shape[-1]))
    W[ids] = dy
    return W


def mean_over_places(ids, dy, n):
    rows = one_hot(ids, n)
    return rows.T @ dy.reshape(-1, dy.shape[-1]) / np.maximum(rows.sum(0), 1)[:, None]


def sum_from(f):
    """dW = f(ids, dy, tokens)."""
    return lambda layer, cx, p, cache, dy, right: (None, {"W": f(cache[0], dy, layer.tokens)})


PLANTED = {
    xpnn.Embedding: Planted(
        Case(xpnn.Embedding(4, 4), (3,), batch=4),
        {
            "of other ids": called_with(lambda layer, p, c, dy: (p, (np.roll(c[0], 1),), dy)),
            "ids after the first forgotten": sum_from(lambda ids, dy, n: one_hot(ids[:, :1], n).T @ dy[:, 0]),
            "the last wins": sum_from(lambda ids, dy, n: last_wins(ids, dy, n)),
            "mean over the places": sum_from(lambda ids, dy, n: mean_over_places(ids, dy, n)),
            "column by column": sum_from(
                lambda ids, dy, n: one_hot(ids.T, n).T @ dy.reshape(-1, dy.shape[-1])
            ),
            "divided by the length": sum_from(
                lambda ids, dy, n: one_hot(ids, n).T @ dy.reshape(-1, dy.shape[-1]) / 3
            ),
        },
    ),
}
