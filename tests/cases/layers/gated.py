"""GLU and Maxout: what keeps one part of its input, or weighs it by another."""

import numpy as np

import xpnn
from cases.planting import Planted, another_cache, dx_from
from cases.row import Case
from xpnn.initializers import Normal, glorot_uniform

ROWS = [
    Case(xpnn.GLU(), (6,)),  # the plain one
    Case(xpnn.GLU(), (3, 1, 2), batch=1),  # halves of one number each
    Case(xpnn.Maxout(3), (5,)),  # units chosen by itself
    Case(xpnn.Maxout(2, 3, glorot_uniform, Normal(0.5)), (2, 7), batch=1),  # more axes; a bias that is not 0
    Case(xpnn.Maxout(1, 1), (1,)),  # nothing to choose from
    Case(xpnn.Maxout(3, bias=False), (5,)),
]


def maxout(**wrong):
    """One gradient of Maxout replaced: f(p, x, dz)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        chosen = cache[1][..., None] == np.arange(layer.pieces)
        dz = (chosen * dy[..., None]).reshape(len(dy), -1)
        found = {"x": dx, **grads} | {name: f(p, cache[0], dz) for name, f in wrong.items()}
        return found.pop("x"), found

    return backward


PLANTED = {
    xpnn.GLU: Planted(
        Case(xpnn.GLU(), (6,), batch=4),
        {
            "cache of another input": another_cache,
            "halves exchanged": dx_from(
                lambda _, p, c, dy: np.hstack([dy * c[0] * c[1] * (1 - c[1]), dy * c[1]])
            ),
            "a forgotten": dx_from(lambda _, p, c, dy: np.hstack([dy * c[1], dy * c[1] * (1 - c[1])])),
            "1 - s forgotten": dx_from(lambda _, p, c, dy: np.hstack([dy * c[1], dy * c[0] * c[1]])),
        },
    ),
    xpnn.Maxout: Planted(
        Case(xpnn.Maxout(3), (4,), batch=4),
        {
            "every piece": maxout(b=lambda p, x, dz: np.repeat(dz.sum(axis=0).reshape(-1, 2).sum(axis=1), 2)),
            "the other piece": maxout(W=lambda p, x, dz: x.T @ dz.reshape(4, 3, 2)[..., ::-1].reshape(4, 6)),
            "dx of the other piece": maxout(
                x=lambda p, x, dz: dz.reshape(4, 3, 2)[..., ::-1].reshape(4, 6) @ p["W"].T
            ),
            "db a mean": maxout(b=lambda p, x, dz: dz.mean(axis=0)),
            "dW without the last sample": maxout(W=lambda p, x, dz: x[:-1].T @ dz[:-1]),
        },
    ),
}
