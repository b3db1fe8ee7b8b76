"""The faults that are planted: wrong backward passes, each a mistake somebody has made."""

from dataclasses import dataclass
from typing import Any

import faults_nested
import numpy as np
from cases import LOSSES, WEIGHTS, Case, LossCase

from xpnn.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Dense,
    Dropout,
    Flatten,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Standardize,
    Tanh,
)
from xpnn.losses import BinaryCrossEntropy, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy
from xpnn.parameters import leaves


def last_dropped(a):
    """The last entry's term is forgotten."""
    a = np.array(a)
    a[..., -1] = 0
    return a


def transposed(a):
    """The right numbers in the order of the transposed array."""
    return np.reshape(a.T, a.shape)


GENERIC = {
    "scaled by 1.0001": lambda a: 1.0001 * a,
    "sign flipped": lambda a: -a,
    "zero": np.zeros_like,
    "divided by N once more": lambda a: a / 4,
    "last term dropped": last_dropped,
    "axes swapped": transposed,
    "shifted by one": lambda a: np.roll(a, 1),
    "of the first row only": lambda a: a * (np.arange(len(a)) == 0).reshape(-1, *[1] * (a.ndim - 1)),
    "nothing given": lambda a: None,
}


def own(f):
    """A whole backward pass that is wrong: f(layer, p, cache, dy) -> dx."""
    return lambda layer, cx, p, cache, dy, right: (f(layer, p, cache, dy), {})


def stale(layer, cx, p, cache, dy, right):
    """The cache of another input: another layer object's, or that of the step before."""
    return right(layer, cx, p, tuple(np.flip(a, 0) * 0.9 + 0.05 for a in cache), dy)


def dense(**wrong):
    """One gradient of Dense replaced: f(p, x, dy)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        found = {"x": dx, **grads} | {name: f(p, cache[0], dy) for name, f in wrong.items()}
        return found.pop("x"), found

    return backward


CASES = {
    Dense: Case(Dense(4), (4,), batch=4),
    Flatten: Case(Flatten(), (2, 3), batch=4),
    Reshape: Case(Reshape((3, 2)), (2, 3), batch=4),
    Rescale: Case(Rescale(0.3, 0.1), (5,), batch=4),
    Standardize: Case(Standardize((0.5, -1.0, 3.0), (2.0, 0.25, 1.5)), (3,), batch=4),
    Dropout: Case(Dropout(0.4), (9,), batch=4),
    ReLU: Case(ReLU(), (7,), batch=4),
    LeakyReLU: Case(LeakyReLU(0.1), (7,), batch=4),
    ELU: Case(ELU(0.7), (7,), batch=4),
    Sigmoid: Case(Sigmoid(), (5,), batch=4),
    Tanh: Case(Tanh(), (5,), batch=4),
    Softplus: Case(Softplus(), (5,), batch=4),
    Softmax: Case(Softmax(), (5,), batch=4),
}
OWN = {
    Dense: {
        "stale cache": stale,
        "W not transposed": dense(x=lambda p, x, dy: dy @ p["W"]),
        "dW transposed": dense(W=lambda p, x, dy: dy.T @ x),
        "dW without the last sample": dense(W=lambda p, x, dy: x[:-1].T @ dy[:-1]),
        "db is a mean": dense(b=lambda p, x, dy: dy.mean(axis=0)),
        "db summed over outputs": dense(b=lambda p, x, dy: dy.sum(axis=1)),
        "db forgotten": dense(b=lambda p, x, dy: np.zeros_like(p["b"])),
    },
    Flatten: {"column by column": own(lambda _, p, c, dy: np.reshape(dy, c[0], order="F"))},
    Reshape: {"column by column": own(lambda _, p, c, dy: np.reshape(dy, c[0], order="F"))},
    Rescale: {
        "scale forgotten": own(lambda layer, p, c, dy: dy),
        "divided by the scale": own(lambda layer, p, c, dy: dy / layer.scale),
        "offset added": own(lambda layer, p, c, dy: dy * layer.scale + layer.offset),
    },
    Standardize: {
        "std forgotten": own(lambda _, p, c, dy: dy),
        "multiplied by std": own(lambda _, p, c, dy: dy / p["gain"]),
        "mean subtracted": own(lambda _, p, c, dy: (dy - p["mean"]) * p["gain"]),
    },
    Dropout: {
        "mask forgotten": own(lambda layer, p, c, dy: dy / (1 - layer.rate)),
        "scale forgotten": own(lambda _, p, c, dy: dy * c[0]),
        "mask inverted": own(lambda layer, p, c, dy: dy * ~c[0] / (1 - layer.rate)),
        "another step's mask": own(lambda layer, p, c, dy: dy * np.roll(c[0], 1) / (1 - layer.rate)),
        "divided by the rate": own(lambda layer, p, c, dy: dy * c[0] / layer.rate),
    },
    ReLU: {
        "stale cache": stale,
        "mask forgotten": own(lambda _, p, c, dy: dy),
        "mask inverted": own(lambda _, p, c, dy: dy * (c[0] <= 0)),
        "mask of dy": own(lambda _, p, c, dy: dy * (dy > 0)),
        "multiplied by y": own(lambda _, p, c, dy: dy * c[0]),
    },
    LeakyReLU: {
        "stale cache": stale,
        "slope forgotten": own(lambda _, p, c, dy: dy * (c[0] > 0)),
        "slope everywhere": own(lambda layer, p, c, dy: dy * layer.slope),
        "mask inverted": own(lambda layer, p, c, dy: np.where(c[0] > 0, layer.slope * dy, dy)),
    },
    ELU: {
        "stale cache": stale,
        "alpha dropped": own(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * c[1])),
        "of another alpha": own(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * (c[1] + 1))),
        "mask forgotten": own(lambda layer, p, c, dy: dy * (c[1] + layer.alpha)),
    },
    Sigmoid: {
        "stale cache": stale,
        "1 - y dropped": own(lambda _, p, c, dy: dy * c[0]),
        "1 - y^2": own(lambda _, p, c, dy: dy * (1 - c[0] ** 2)),
        "dy dropped": own(lambda _, p, c, dy: c[0] * (1 - c[0])),
    },
    Tanh: {
        "stale cache": stale,
        "not squared": own(lambda _, p, c, dy: dy * (1 - c[0])),
        "y (1 - y)": own(lambda _, p, c, dy: dy * c[0] * (1 - c[0])),
        "dy dropped": own(lambda _, p, c, dy: 1 - c[0] ** 2),
    },
    Softplus: {
        "stale cache": stale,
        "sigmoid dropped": own(lambda _, p, c, dy: dy),
        "sigmoid of -x": own(lambda _, p, c, dy: dy / (1 + np.exp(c[0]))),
        "sigmoid's own slope": own(lambda _, p, c, dy: dy * np.exp(-c[0]) / (1 + np.exp(-c[0])) ** 2),
    },
    Softmax: {
        "stale cache": stale,
        "sum dropped": own(lambda _, p, c, dy: dy * c[0]),
        "diagonal only": own(lambda _, p, c, dy: dy * c[0] * (1 - c[0])),
        "summed over samples": own(lambda _, p, c, dy: c[0] * (dy - (dy * c[0]).sum(axis=0, keepdims=True))),
        "mean for sum": own(lambda _, p, c, dy: c[0] * (dy - (dy * c[0]).mean(axis=-1, keepdims=True))),
    },
}


def logistic(x):
    return 1 / (1 + np.exp(-x))


def slope(f):
    """The gradient of PReLU's slope replaced: f(x, dy)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, _ = right(layer, cx, p, cache, dy)
        return dx, {"slope": f(cache[0], dy)}

    return backward


CASES |= {
    GELU: Case(GELU(), (5,), batch=4),
    SiLU: Case(SiLU(), (5,), batch=4),
    Mish: Case(Mish(), (5,), batch=4),
    SELU: Case(SELU(), (7,), batch=4),
    CELU: Case(CELU(0.4), (7,), batch=4),
    HardSigmoid: Case(HardSigmoid(), (5,), batch=4),
    HardSwish: Case(HardSwish(), (5,), batch=4),
    HardTanh: Case(HardTanh(), (9,), batch=4),
    Softsign: Case(Softsign(), (5,), batch=4),
    LogSoftmax: Case(LogSoftmax(), (5,), batch=4),
    LogSigmoid: Case(LogSigmoid(), (5,), batch=4),
    PReLU: Case(PReLU(), (3, 5), batch=4),
}
OWN |= {
    GELU: {
        "stale cache": stale,
        "x P' dropped": own(lambda _, p, c, dy: dy * c[1]),
        "P dropped": own(lambda _, p, c, dy: dy * c[0] * np.exp(-(c[0] ** 2) / 2) / np.sqrt(2 * np.pi)),
        "1 / sqrt(pi)": own(
            lambda _, p, c, dy: dy * (c[1] + c[0] * np.exp(-(c[0] ** 2) / 2) / np.sqrt(np.pi))
        ),
        "the approximation's slope": own(
            lambda _, p, c, dy: dy * (c[1] + c[0] * 1.702 * logistic(1.702 * c[0]) * logistic(-1.702 * c[0]))
        ),
    },
    SiLU: {
        "stale cache": stale,
        "x dropped": own(lambda _, p, c, dy: dy * c[1] * (2 - c[1])),
        "x s (1 - s) dropped": own(lambda _, p, c, dy: dy * c[1]),
        "s^2 for s": own(lambda _, p, c, dy: dy * c[1] * (1 + c[0] * (1 - c[1] ** 2))),
    },
    Mish: {
        "stale cache": stale,
        "sigmoid dropped": own(lambda _, p, c, dy: dy * (c[1] + c[0] * (1 - c[1] ** 2))),
        "not squared": own(lambda _, p, c, dy: dy * (c[1] + c[0] * logistic(c[0]) * (1 - c[1]))),
        "t alone": own(lambda _, p, c, dy: dy * c[1]),
    },
    SELU: {
        "stale cache": stale,
        "scale dropped above 0": own(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * (c[1] + 1.7580993408))),
        "alpha dropped": own(lambda _, p, c, dy: np.where(c[0] > 0, 1.0507009873554805 * dy, dy * c[1])),
        "mask inverted": own(lambda _, p, c, dy: np.where(c[0] < 0, 1.0507009873554805 * dy, dy)),
    },
    CELU: {
        "stale cache": stale,
        "alpha twice": own(lambda layer, p, c, dy: np.where(c[0] > 0, dy, dy * layer.alpha * (c[1] + 1))),
        "ELU's": own(lambda layer, p, c, dy: np.where(c[0] > 0, dy, dy * (layer.alpha * c[1] + layer.alpha))),
        "1 dropped": own(lambda _, p, c, dy: np.where(c[0] > 0, dy, dy * c[1])),
    },
    HardSigmoid: {
        "6 dropped": own(lambda _, p, c, dy: dy * c[0]),
        "the slope 0.2": own(lambda _, p, c, dy: 0.2 * dy * c[0]),
        "mask inverted": own(lambda _, p, c, dy: dy * ~c[0] / 6),
    },
    HardSwish: {
        "stale cache": stale,
        "h alone": own(lambda _, p, c, dy: dy * (c[0] + 3) / 6),
        "1 / 2 dropped": own(lambda _, p, c, dy: dy * c[0] / 3),
        "x / 6 for x / 3": own(lambda _, p, c, dy: dy * (c[0] / 6 + 0.5) * 1.5),
    },
    HardTanh: {
        "mask forgotten": own(lambda _, p, c, dy: dy),
        "mask inverted": own(lambda _, p, c, dy: dy * ~c[0]),
        "mask of dy": own(lambda _, p, c, dy: dy * (abs(dy) < 1)),
    },
    Softsign: {
        "stale cache": stale,
        "divided once": own(lambda _, p, c, dy: dy / c[0]),
        "1 dropped": own(lambda _, p, c, dy: dy / (c[0] - 1) ** 2),
        "square of y": own(lambda _, p, c, dy: dy * (1 - (1 - 1 / c[0]) ** 2)),
    },
    LogSoftmax: {
        "stale cache": stale,
        "sum dropped": own(lambda _, p, c, dy: dy - np.exp(c[0])),
        "Softmax's": own(
            lambda _, p, c, dy: np.exp(c[0]) * (dy - (dy * np.exp(c[0])).sum(-1, keepdims=True))
        ),
        "summed over samples": own(lambda _, p, c, dy: dy - np.exp(c[0]) * dy.sum(0, keepdims=True)),
        "mean for sum": own(lambda _, p, c, dy: dy - np.exp(c[0]) * dy.mean(-1, keepdims=True)),
    },
    LogSigmoid: {
        "stale cache": stale,
        "sigmoid of x": own(lambda _, p, c, dy: dy * logistic(c[0])),
        "Sigmoid's": own(lambda _, p, c, dy: dy * logistic(c[0]) * logistic(-c[0])),
    },
    PReLU: {
        "stale cache": stale,
        "mask inverted for the slope": slope(lambda x, dy: (dy * x * (x > 0)).sum(axis=(0, 1))),
        "mask forgotten for the slope": slope(lambda x, dy: (dy * x).sum(axis=(0, 1))),
        "x dropped for the slope": slope(lambda x, dy: (dy * (x <= 0)).sum(axis=(0, 1))),
        "slope's gradient a mean": slope(lambda x, dy: (dy * x * (x <= 0)).mean(axis=(0, 1))),
        "summed over features": slope(lambda x, dy: np.full(5, (dy * x * (x <= 0)).sum())),
    },
}


def generic(array, fault):
    """`fault` applied to one array of what the right backward pass gives."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        found = {"x": dx, **grads}
        found[array] = fault(found[array])
        return found.pop("x"), found

    return backward


def changes(cls, name, array):
    """A vector has no axes to swap: that would be no fault."""
    return not (name == "axes swapped" and len(arrays(cls)[array]) < 2)


def arrays(cls):
    """{"x" or the name of a parameter that is trained: its shape}."""
    case = CASES[cls]
    specs = dict(leaves(case.layer.plan(case.shape)[0]))
    trained = {name: spec.shape for name, spec in specs.items() if spec.trainable}
    return {"x": (case.batch, *case.shape), **trained}


FAULTS = {
    cls: OWN[cls]
    | {
        f"d{array} {name}": generic(array, fault)
        for array in arrays(cls)
        for name, fault in GENERIC.items()
        if changes(cls, name, array)
    }
    for cls in CASES
}

# Containers, embeddings and recurrent layers
CASES |= faults_nested.CASES
FAULTS |= faults_nested.planted(GENERIC)


def chain(order=None, last=True, skip=None):
    """A chain rule with something wrong in it."""

    def backward(net, cx, p, cache, dy, right):
        steps = list(reversed(range(len(net.layers)))) if order is None else order(len(net.layers))
        grads = [None] * len(net.layers)
        dx = dy
        for i in steps:
            given = dx if last else dy
            dx, grads[i] = net.layers[i].backward(cx.child(i), p[i], cache[i], given)
            if i == skip:
                dx = given
        return dx, tuple(grads)

    return backward


SQUARE = Case(Sequential((Dense(4), Tanh(), Dense(4), Sigmoid())), (4,), batch=4)
CHAIN = {
    "scaled by 1.0001": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, 1.0001 * dy),
    "sign flipped": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, -dy),
    "zero": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, 0 * dy),
    "extra 1 / N": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, dy / len(dy)),
    "an activation skipped": chain(skip=1),
    "a Dense skipped": chain(skip=2),
    "every layer gets the last dy": chain(last=False),
    "left to right": chain(order=range),
    "caches in the wrong order": lambda net, cx, p, cache, dy, right: right(
        net, cx, p, (cache[2], cache[3], cache[0], cache[1]), dy
    ),
    "parameters in the wrong order": lambda net, cx, p, cache, dy, right: right(
        net, cx, (p[2], p[1], p[0], p[3]), cache, dy
    ),
}


# Losses


@dataclass(frozen=True)
class LossFault:
    """`wrong(loss, z, t, weight, right gradient) -> gradient`, seen on a case; by gradcheck too unless `ours` alone."""

    wrong: Any
    case: LossCase | None = None
    ours: bool = False


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


def hot(z, t):
    return np.eye(z.shape[1])[t]


IDS = LossCase(SoftmaxCrossEntropy(), (4, 5), "ids")
SMOOTH = LossCase(SoftmaxCrossEntropy(0.2), (4, 5), "ids")
CLASSES = LossCase(SoftmaxCrossEntropy(class_weight=WEIGHTS), (4, 5), "ids")
UNIT, REAL = (
    LossCase(loss, (4, 5), kind)
    for loss, kind in ((BinaryCrossEntropy(), "unit"), (MeanSquaredError(), "real"))
)
ABSOLUTE = LossCase(MeanAbsoluteError(), (4, 5), "real")
SAMPLES = [case for case in LOSSES if case.weighted and case.shape[0] > 1]
LOSS_CASES = {
    SoftmaxCrossEntropy: IDS,
    BinaryCrossEntropy: UNIT,
    MeanSquaredError: REAL,
    MeanAbsoluteError: ABSOLUTE,
}

LOSS_GENERIC = {
    "scaled by 1.0001": LossFault(lambda loss, z, t, w, g: 1.0001 * g),
    "sign flipped": LossFault(lambda loss, z, t, w, g: -g),
    "zero": LossFault(lambda loss, z, t, w, g: 0 * g),
    "missing 1 / N": LossFault(lambda loss, z, t, w, g: g * len(g)),
    "extra 1 / N": LossFault(lambda loss, z, t, w, g: g / len(g)),
    "missing 1 / C": LossFault(lambda loss, z, t, w, g: g * g.shape[1]),
    "last term dropped": LossFault(lambda loss, z, t, w, g: last_dropped(g)),
    "shifted by one": LossFault(lambda loss, z, t, w, g: np.roll(g, 1)),
    "axes swapped": LossFault(lambda loss, z, t, w, g: transposed(g)),
    "of the first sample only": LossFault(lambda loss, z, t, w, g: g * (np.arange(len(g)) == 0)[:, None]),
}
LOSS_OWN = {
    SoftmaxCrossEntropy: {
        "one-hot dropped": LossFault(lambda loss, z, t, w, g: softmax(z) / len(z)),
        "softmax dropped": LossFault(lambda loss, z, t, w, g: -hot(z, t) / len(z)),
        "softmax not of this batch": LossFault(
            lambda loss, z, t, w, g: (softmax(z[::-1]) - hot(z, t)) / len(z)
        ),
        "smoothing forgotten": LossFault(lambda loss, z, t, w, g: (softmax(z) - hot(z, t)) / len(z), SMOOTH),
        "smoothing over the other classes": LossFault(
            lambda loss, z, t, w, g: g + (0.2 / 5 - 0.2 / 4) * (1 - hot(z, t)) / len(z), SMOOTH
        ),
        "class weights forgotten": LossFault(
            lambda loss, z, t, w, g: (softmax(z) - hot(z, t)) / len(z), CLASSES
        ),
        "divided by N, not by the weights": LossFault(
            lambda loss, z, t, w, g: np.asarray(WEIGHTS)[t][:, None] * (softmax(z) - hot(z, t)) / len(z),
            CLASSES,
        ),
    },
    BinaryCrossEntropy: {
        "target dropped": LossFault(lambda loss, z, t, w, g: 1 / (1 + np.exp(-z)) / z.size),
        "z for sigmoid(z)": LossFault(lambda loss, z, t, w, g: (z - t) / z.size),
        "sigmoid's slope twice": LossFault(lambda loss, z, t, w, g: g / (2 + np.exp(-z) + np.exp(z))),
    },
    MeanSquaredError: {
        "2 dropped": LossFault(lambda loss, z, t, w, g: g / 2),
        "target dropped": LossFault(lambda loss, z, t, w, g: 2 * z / z.size),
    },
    MeanAbsoluteError: {
        "sign dropped": LossFault(lambda loss, z, t, w, g: abs(g)),
        "error for its sign": LossFault(lambda loss, z, t, w, g: (z - t) / z.size),
    },
}
LOSS_FAULTS = [
    (cls, name, fault) for cls in LOSS_CASES for name, fault in (LOSS_GENERIC | LOSS_OWN[cls]).items()
]


# Kernels that backward passes are made of

RELU_GRAD = {
    "scaled by 1.0001": lambda be, dy, y, right: 1.0001 * right(be, dy, y),
    "sign flipped": lambda be, dy, y, right: -right(be, dy, y),
    "zero": lambda be, dy, y, right: np.zeros_like(dy),
    "mask forgotten": lambda be, dy, y, right: dy,
    "mask inverted": lambda be, dy, y, right: dy * (y <= 0),
    "mask of dy": lambda be, dy, y, right: dy * (dy > 0),
    "arguments exchanged": lambda be, dy, y, right: right(be, y, dy),
    "another row's mask": lambda be, dy, y, right: right(be, dy, np.roll(y, 1, axis=0)),
    "a factor y": lambda be, dy, y, right: dy * y,
}
CROSS_ENTROPY = {
    "scaled by 1.0001": lambda z, ids, g: 1.0001 * g,
    "sign flipped": lambda z, ids, g: -g,
    "zero": lambda z, ids, g: 0 * g,
    "missing 1 / N": lambda z, ids, g: g * len(g),
    "extra 1 / N": lambda z, ids, g: g / len(g),
    "one-hot dropped": lambda z, ids, g: softmax(z) / len(z),
    "softmax over samples": lambda z, ids, g: (softmax(z.T).T - hot(z, ids)) / len(z),
    "another sample's id": lambda z, ids, g: (softmax(z) - np.roll(hot(z, ids), 1, axis=1)) / len(z),
    "1/C for 1/N": lambda z, ids, g: g * len(g) / g.shape[1],
}
