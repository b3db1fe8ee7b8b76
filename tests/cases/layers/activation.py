"""Activations, element by element, and Softmax over the last axis."""

import numpy as np

import xpnn
from cases.planting import Planted, another_cache, dx_from, gradients_from, logistic
from cases.row import Case
from xpnn.initializers import Constant

ROWS = [
    # each on one axis, and on more with a single sample; more where a setting changes the formula
    Case(xpnn.ReLU(), (7,)),
    Case(xpnn.ReLU(), (2, 3, 4), batch=1),
    Case(xpnn.LeakyReLU(), (7,)),
    Case(xpnn.LeakyReLU(0.3), (2, 3)),
    Case(xpnn.LeakyReLU(0.0), (5,), batch=1),  # ReLU by another name
    Case(xpnn.ELU(), (7,)),
    Case(xpnn.ELU(0.5), (2, 3), batch=1),
    Case(xpnn.Sigmoid(), (7,)),
    Case(xpnn.Sigmoid(), (3, 1, 2)),
    Case(xpnn.Tanh(), (7,)),
    Case(xpnn.Tanh(), (2, 3), batch=1),
    Case(xpnn.Softplus(), (7,)),
    Case(xpnn.Softplus(), (2, 3, 1)),
    Case(xpnn.Softmax(), (5,)),
    Case(xpnn.Softmax(), (2, 3), batch=1),
    Case(xpnn.Softmax(), (1,)),  # always 1, without a slope
    Case(xpnn.Step(), (7,)),
    Case(xpnn.Step(0.5), (2, 3), batch=1),
    Case(xpnn.GELU(), (7,)),
    Case(xpnn.GELU(), (2, 3), batch=1),
    Case(xpnn.GELU(True), (7,)),  # the approximation
    Case(xpnn.GELU(True), (3, 1, 2)),
    Case(xpnn.SiLU(), (7,)),
    Case(xpnn.SiLU(), (2, 3), batch=1),
    Case(xpnn.Mish(), (7,)),
    Case(xpnn.Mish(), (2, 3), batch=1),
    Case(xpnn.SELU(), (7,)),
    Case(xpnn.SELU(), (2, 3), batch=1),
    Case(xpnn.CELU(), (7,)),
    Case(xpnn.CELU(0.3), (2, 3), batch=1),
    Case(xpnn.CELU(2.5), (5,)),
    Case(xpnn.HardSigmoid(), (7,), batch=101),  # enough samples to meet both corners
    Case(xpnn.HardSigmoid(), (2, 3), batch=1),
    Case(xpnn.HardSwish(), (7,), batch=101),
    Case(xpnn.HardSwish(), (2, 3), batch=1),
    Case(xpnn.HardTanh(), (7,)),
    Case(xpnn.HardTanh(), (2, 3), batch=1),
    Case(xpnn.Clip(-0.5, 1.5), (7,), batch=9),
    Case(xpnn.Clip(high=0.3), (2, 3)),  # one limit
    Case(xpnn.Clip(low=-0.3), (5,), batch=1),  # the other
    Case(xpnn.Clip(), (3,)),  # none
    Case(xpnn.Hardmax(), (5,)),
    Case(xpnn.Hardmax(), (2, 3), batch=1),
    Case(xpnn.Softsign(), (7,)),
    Case(xpnn.Softsign(), (2, 3), batch=1),
    Case(xpnn.LogSoftmax(), (5,)),
    Case(xpnn.LogSoftmax(), (2, 3), batch=1),
    Case(xpnn.LogSoftmax(), (1,)),  # always 0
    Case(xpnn.LogSigmoid(), (7,)),
    Case(xpnn.LogSigmoid(), (2, 3), batch=1),
    Case(xpnn.PReLU(), (5,)),
    Case(xpnn.PReLU(init=Constant(-0.5)), (2, 1, 3), batch=1),  # a slope per feature of the last axis
    Case(xpnn.PReLU(shared=True), (3, 2)),  # one slope for all
    Case(xpnn.PReLU(shared=True), (), batch=4),  # of samples that are one number
]


def slope(f):
    """The gradient of PReLU's slope replaced: f(x, dy)."""
    return gradients_from(slope=lambda layer, be, p, c, dy, _: f(c[0], dy))


PLANTED = {
    xpnn.Clip: Planted(
        Case(xpnn.Clip(-1.5, 1.0), (7,), batch=4),
        {
            "cache of another input": dx_from(lambda _, p, c, dy: dy * c[0][::-1]),
            "limits forgotten": dx_from(lambda _, p, c, dy: dy),
            "outside for inside": dx_from(lambda _, p, c, dy: dy * ~c[0]),
        },
    ),
    xpnn.ReLU: Planted(
        Case(xpnn.ReLU(), (7,), batch=4),
        {
            "cache of another input": another_cache,
            "mask forgotten": dx_from(lambda _, p, c, dy: dy),
            "mask inverted": dx_from(lambda _, p, c, dy: dy * (c[0] <= 0)),
            "mask of dy": dx_from(lambda _, p, c, dy: dy * (dy > 0)),
            "multiplied by y": dx_from(lambda _, p, c, dy: dy * c[0]),
        },
    ),
    xpnn.LeakyReLU: Planted(
        Case(xpnn.LeakyReLU(0.1), (7,), batch=4),
        {
            "cache of another input": another_cache,
            "slope forgotten": dx_from(lambda _, p, c, dy: dy * (c[0] > 0)),
            "slope everywhere": dx_from(lambda layer, p, c, dy: dy * layer.slope),
            "mask inverted": dx_from(lambda layer, p, c, dy: np.where(c[0] > 0, layer.slope * dy, dy)),
        },
    ),
    xpnn.ELU: Planted(
        Case(xpnn.ELU(0.7), (7,), batch=4),
        {
            "cache of another input": another_cache,
            "alpha dropped": dx_from(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * c[1])),
            "of another alpha": dx_from(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * (c[1] + 1))),
            "mask forgotten": dx_from(lambda layer, p, c, dy: dy * (c[1] + layer.alpha)),
        },
    ),
    xpnn.Sigmoid: Planted(
        Case(xpnn.Sigmoid(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "1 - y dropped": dx_from(lambda _, p, c, dy: dy * c[0]),
            "1 - y^2": dx_from(lambda _, p, c, dy: dy * (1 - c[0] ** 2)),
            "dy dropped": dx_from(lambda _, p, c, dy: c[0] * (1 - c[0])),
        },
    ),
    xpnn.Tanh: Planted(
        Case(xpnn.Tanh(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "not squared": dx_from(lambda _, p, c, dy: dy * (1 - c[0])),
            "y (1 - y)": dx_from(lambda _, p, c, dy: dy * c[0] * (1 - c[0])),
            "dy dropped": dx_from(lambda _, p, c, dy: 1 - c[0] ** 2),
        },
    ),
    xpnn.Softplus: Planted(
        Case(xpnn.Softplus(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "sigmoid dropped": dx_from(lambda _, p, c, dy: dy),
            "sigmoid of -x": dx_from(lambda _, p, c, dy: dy / (1 + np.exp(c[0]))),
            "sigmoid's own slope": dx_from(lambda _, p, c, dy: dy * np.exp(-c[0]) / (1 + np.exp(-c[0])) ** 2),
        },
    ),
    xpnn.Softmax: Planted(
        Case(xpnn.Softmax(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "sum dropped": dx_from(lambda _, p, c, dy: dy * c[0]),
            "diagonal only": dx_from(lambda _, p, c, dy: dy * c[0] * (1 - c[0])),
            "summed over samples": dx_from(
                lambda _, p, c, dy: c[0] * (dy - (dy * c[0]).sum(axis=0, keepdims=True))
            ),
            "mean for sum": dx_from(
                lambda _, p, c, dy: c[0] * (dy - (dy * c[0]).mean(axis=-1, keepdims=True))
            ),
        },
    ),
    xpnn.GELU: Planted(
        Case(xpnn.GELU(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "x P' dropped": dx_from(lambda _, p, c, dy: dy * c[1]),
            "P dropped": dx_from(
                lambda _, p, c, dy: dy * c[0] * np.exp(-(c[0] ** 2) / 2) / np.sqrt(2 * np.pi)
            ),
            "1 / sqrt(pi)": dx_from(
                lambda _, p, c, dy: dy * (c[1] + c[0] * np.exp(-(c[0] ** 2) / 2) / np.sqrt(np.pi))
            ),
            "the approximation's slope": dx_from(
                lambda _, p, c, dy: (
                    dy * (c[1] + c[0] * 1.702 * logistic(1.702 * c[0]) * logistic(-1.702 * c[0]))
                )
            ),
        },
    ),
    xpnn.SiLU: Planted(
        Case(xpnn.SiLU(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "x dropped": dx_from(lambda _, p, c, dy: dy * c[1] * (2 - c[1])),
            "x s (1 - s) dropped": dx_from(lambda _, p, c, dy: dy * c[1]),
            "s^2 for s": dx_from(lambda _, p, c, dy: dy * c[1] * (1 + c[0] * (1 - c[1] ** 2))),
        },
    ),
    xpnn.Mish: Planted(
        Case(xpnn.Mish(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "sigmoid dropped": dx_from(lambda _, p, c, dy: dy * (c[1] + c[0] * (1 - c[1] ** 2))),
            "not squared": dx_from(lambda _, p, c, dy: dy * (c[1] + c[0] * logistic(c[0]) * (1 - c[1]))),
            "t alone": dx_from(lambda _, p, c, dy: dy * c[1]),
        },
    ),
    xpnn.SELU: Planted(
        Case(xpnn.SELU(), (7,), batch=4),
        {
            "cache of another input": another_cache,
            "scale dropped above 0": dx_from(
                lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * (c[1] + 1.7580993408))
            ),
            "alpha dropped": dx_from(
                lambda _, p, c, dy: np.where(c[0] > 0, 1.0507009873554805 * dy, dy * c[1])
            ),
            "mask inverted": dx_from(lambda _, p, c, dy: np.where(c[0] < 0, 1.0507009873554805 * dy, dy)),
        },
    ),
    xpnn.CELU: Planted(
        Case(xpnn.CELU(0.4), (7,), batch=4),
        {
            "cache of another input": another_cache,
            "alpha twice": dx_from(
                lambda layer, p, c, dy: np.where(c[0] > 0, dy, dy * layer.alpha * (c[1] + 1))
            ),
            "ELU's": dx_from(
                lambda layer, p, c, dy: np.where(c[0] > 0, dy, dy * (layer.alpha * c[1] + layer.alpha))
            ),
            "1 dropped": dx_from(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * c[1])),
        },
    ),
    xpnn.HardSigmoid: Planted(
        Case(xpnn.HardSigmoid(), (5,), batch=4),
        {
            "6 dropped": dx_from(lambda _, p, c, dy: dy * c[0]),
            "the slope 0.2": dx_from(lambda _, p, c, dy: 0.2 * dy * c[0]),
            "mask inverted": dx_from(lambda _, p, c, dy: dy * ~c[0] / 6),
        },
    ),
    xpnn.HardSwish: Planted(
        Case(xpnn.HardSwish(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "h alone": dx_from(lambda _, p, c, dy: dy * (c[0] + 3) / 6),
            "1 / 2 dropped": dx_from(lambda _, p, c, dy: dy * c[0] / 3),
            "x / 6 for x / 3": dx_from(lambda _, p, c, dy: dy * (c[0] / 6 + 0.5) * 1.5),
        },
    ),
    xpnn.HardTanh: Planted(
        Case(xpnn.HardTanh(), (9,), batch=4),
        {
            "mask forgotten": dx_from(lambda _, p, c, dy: dy),
            "mask inverted": dx_from(lambda _, p, c, dy: dy * ~c[0]),
            "mask of dy": dx_from(lambda _, p, c, dy: dy * (abs(dy) < 1)),
        },
    ),
    xpnn.Softsign: Planted(
        Case(xpnn.Softsign(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "divided once": dx_from(lambda _, p, c, dy: dy / c[0]),
            "1 dropped": dx_from(lambda _, p, c, dy: dy / (c[0] - 1) ** 2),
            "square of y": dx_from(lambda _, p, c, dy: dy * (1 - (1 - 1 / c[0]) ** 2)),
        },
    ),
    xpnn.LogSoftmax: Planted(
        Case(xpnn.LogSoftmax(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "sum dropped": dx_from(lambda _, p, c, dy: dy - np.exp(c[0])),
            "Softmax's": dx_from(
                lambda _, p, c, dy: np.exp(c[0]) * (dy - (dy * np.exp(c[0])).sum(-1, keepdims=True))
            ),
            "summed over samples": dx_from(lambda _, p, c, dy: dy - np.exp(c[0]) * dy.sum(0, keepdims=True)),
            "mean for sum": dx_from(lambda _, p, c, dy: dy - np.exp(c[0]) * dy.mean(-1, keepdims=True)),
        },
    ),
    xpnn.LogSigmoid: Planted(
        Case(xpnn.LogSigmoid(), (5,), batch=4),
        {
            "cache of another input": another_cache,
            "sigmoid of x": dx_from(lambda _, p, c, dy: dy * logistic(c[0])),
            "Sigmoid's": dx_from(lambda _, p, c, dy: dy * logistic(c[0]) * logistic(-c[0])),
        },
    ),
    xpnn.PReLU: Planted(
        Case(xpnn.PReLU(), (3, 5), batch=4),
        {
            "cache of another input": another_cache,
            "mask inverted for the slope": slope(lambda x, dy: (dy * x * (x > 0)).sum(axis=(0, 1))),
            "mask forgotten for the slope": slope(lambda x, dy: (dy * x).sum(axis=(0, 1))),
            "x dropped for the slope": slope(lambda x, dy: (dy * (x <= 0)).sum(axis=(0, 1))),
            "slope's gradient a mean": slope(lambda x, dy: (dy * x * (x <= 0)).mean(axis=(0, 1))),
            "summed over features": slope(lambda x, dy: np.full(5, (dy * x * (x <= 0)).sum())),
        },
    ),
}
