"""Normalizations: over the batch, the features, or groups of them."""

import numpy as np

import xpnn
from cases.planting import Planted, dx_after, dx_from
from cases.row import Case

ROWS = [
    Case(xpnn.BatchNorm(), (5,), batch=4),  # vectors
    Case(xpnn.BatchNorm(0.3, 1e-3), (2, 3, 3), batch=5),  # images: one mean per channel
    Case(xpnn.BatchNorm(unbiased=False), (5,), batch=4),  # the running variance has the divisor n
    Case(xpnn.BatchNorm(1.0), (3, 2), batch=1),  # one sample, of several positions
    Case(xpnn.BatchNorm(0.0, 0.1), (1,), batch=2),  # statistics that never move
    Case(xpnn.BatchNorm(bias=False), (2, 3), batch=3),  # a gain alone
    Case(xpnn.LayerNorm(), (5,)),  # vectors
    Case(xpnn.LayerNorm(1e-3), (2, 3, 7), batch=1),  # images
    Case(xpnn.LayerNorm(bias=False), (2, 5)),  # a gain alone
    Case(xpnn.LpNormalize(), (5,)),  # length 1
    Case(xpnn.LpNormalize(1), (2, 3)),  # by the sum of the sizes
    Case(xpnn.LpNormalize(axis=1), (4, 3), batch=1),  # on another axis
    Case(xpnn.LpNormalize(1, 2, 5.0), (2, 4, 3)),  # some rows are shorter than eps
    Case(xpnn.RMSNorm(), (5,)),  # vectors
    Case(xpnn.RMSNorm(0.1), (2, 3, 1), batch=1),  # one feature: all there is is eps
    Case(xpnn.GroupNorm(2), (3, 1, 6)),  # images
    Case(xpnn.GroupNorm(1, 1e-3), (5,), batch=1),  # one group: LayerNorm
    Case(xpnn.GroupNorm(3), (7, 3)),  # as many groups as features
    Case(xpnn.GroupNorm(2, bias=False), (3, 4)),  # a gain alone
    Case(xpnn.InstanceNorm(), (3, 2, 3)),  # images
    Case(xpnn.InstanceNorm(bias=False), (3, 2), batch=2),  # a gain alone
    Case(xpnn.InstanceNorm(1e-3), (7, 1), batch=1),  # a sequence of one feature
    Case(
        xpnn.Sequential((xpnn.Dense(4), xpnn.ReLU(), xpnn.BatchNorm(), xpnn.Dense(2))), (3,), batch=5
    ),  # in the middle of a net
]


def normalized(axis, f):
    """dx of a normalization that is wrong: f(dn, n, r, mean over `axis`)."""

    def backward(layer, cx, p, cache, dy, right):
        _, grads = right(layer, cx, p, cache, dy)
        shape = dy.shape
        if isinstance(layer, xpnn.GroupNorm | xpnn.InstanceNorm):
            groups = layer.groups if isinstance(layer, xpnn.GroupNorm) else shape[-1]
            shape = (len(dy), -1, groups, dy.shape[-1] // groups)
        dn, n = np.reshape(dy * p["gain"], shape), np.reshape(cache[0], shape)
        dx = f(dn, n, cache[1], lambda a: a.mean(axis=axis, keepdims=True))
        return np.reshape(dx, dy.shape), grads

    return backward


def normalization(axis, centred=True):
    """What somebody has forgotten in every kind of them."""
    faults = {
        "statistics taken as constant": lambda dn, n, r, mean: dn * r,
        "mean's share dropped": lambda dn, n, r, mean: r * (dn - n * mean(dn * n)),
        "variance's share dropped": lambda dn, n, r, mean: r * (dn - mean(dn)),
        "r forgotten": lambda dn, n, r, mean: dn - centred * mean(dn) - n * mean(dn * n),
        "r^2": lambda dn, n, r, mean: r * r * (dn - centred * mean(dn) - n * mean(dn * n)),
        "divisor n - 1": lambda dn, n, r, mean: r * (dn - centred * mean(dn) - 1.25 * n * mean(dn * n)),
        "means of the whole": lambda dn, n, r, mean: r * (dn - centred * dn.mean() - n * (dn * n).mean()),
        "n dropped": lambda dn, n, r, mean: r * (dn - centred * mean(dn) - mean(dn * n)),
    }
    if not centred:
        del faults["mean's share dropped"]
    return {name: normalized(axis, f) for name, f in faults.items()} | {"gain forgotten": gainless}


def gainless(layer, cx, p, cache, dy, right):
    return right(layer, cx, {**p, "gain": np.ones_like(p["gain"])}, cache, dy)


def gain(f):
    """Gradients of gain and bias that are wrong: f(gradients, n, dy)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        return dx, grads | f(grads, cache[0], dy)

    return backward


GAINS = {
    "n forgotten in dgain": gain(lambda g, n, dy: {"gain": dy.reshape(-1, dy.shape[-1]).sum(axis=0)}),
    "dgain divided by N": gain(lambda g, n, dy: {"gain": g["gain"] / len(dy)}),
    "dgain of the last sample": gain(lambda g, n, dy: {"gain": (dy * n)[-1].reshape(-1, n.shape[-1]).sum(0)}),
}
BIASES = {
    "dbias a mean": gain(lambda g, n, dy: {"bias": dy.reshape(-1, dy.shape[-1]).mean(axis=0)}),
    "gain's gradient for the bias": gain(lambda g, n, dy: {"bias": g["gain"], "gain": g["bias"]}),
}
PLANTED = {
    xpnn.LpNormalize: Planted(
        Case(xpnn.LpNormalize(), (5,), batch=4),
        {
            "length taken as constant": dx_from(lambda _, p, c, dy: dy / c[1]),
            "length forgotten": dx_after(lambda _, p, c, dx, dy: dx * c[1]),
            "of the 1-norm": dx_from(
                lambda _, p, c, dy: (dy - np.sign(c[0]) * (dy * c[0]).sum(-1, keepdims=True)) / c[1]
            ),
        },
    ),
    xpnn.BatchNorm: Planted(
        Case(xpnn.BatchNorm(), (5,), batch=4),
        normalization(0) | GAINS | BIASES,
    ),
    xpnn.LayerNorm: Planted(
        Case(xpnn.LayerNorm(), (5,), batch=4),
        normalization(-1) | GAINS | BIASES,
    ),
    xpnn.RMSNorm: Planted(
        Case(xpnn.RMSNorm(), (5,), batch=4),
        normalization(-1, centred=False) | GAINS,
    ),
    xpnn.GroupNorm: Planted(
        Case(xpnn.GroupNorm(2), (3, 4), batch=4),
        normalization((1, 3)) | GAINS | BIASES,
    ),
    xpnn.InstanceNorm: Planted(
        Case(xpnn.InstanceNorm(), (5, 3), batch=4),
        normalization((1, 3)) | GAINS | BIASES,
    ),
}
