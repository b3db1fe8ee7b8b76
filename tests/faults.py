"""The faults that are planted: wrong backward passes, each a mistake somebody has made."""

from dataclasses import dataclass, replace
from typing import Any

import faults_attention
import faults_augment
import faults_graph
import faults_losses
import faults_nested
import numpy as np
from cases import LOSSES, WEIGHTS, Case, LossCase

from xpnn.backends import get_backend
from xpnn.initializers import Normal
from xpnn.layers import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    AlphaDropout,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    HardTanh,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Maxout,
    MaxPool1D,
    MaxPool2D,
    Mish,
    PReLU,
    ReLU,
    Rescale,
    Reshape,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    SpatialDropout,
    Standardize,
    Tanh,
    UpSampling2D,
    ZeroPad2D,
)
from xpnn.losses import BinaryCrossEntropy, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy
from xpnn.parameters import leaves
from xpnn.window import place


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


def conv(**wrong):
    """One gradient of Conv2D replaced: f(be, window, p, x, dy)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        window = place(cache[0].shape[1:], layer.kernel, layer.stride, layer.padding)
        found = {"x": dx, **grads}
        found |= {name: f(cx.be, window, p, cache[0], dy) for name, f in wrong.items()}
        return found.pop("x"), found

    return backward


BE = get_backend("numpy", None, "float64")


def pooled(layer, shape, dy, tap):
    """The gradient of MaxPool2D, had it chosen other taps."""
    return BE.max_pool_grad(dy, tap, shape, place(shape[1:], (3, 3), (2, 2), layer.padding))


def summed(layer, shape, dy):
    """The gradient of a sum over each window."""
    return BE.sum_pool_grad(dy, shape, place(shape[1:], layer.pool, (2, 2), layer.padding))


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
    Conv2D: Case(Conv2D(3, (2, 3), (1, 2), ((1, 0), (0, 2)), bias_init=Normal(0.5)), (4, 5, 2), batch=4),
    MaxPool2D: Case(MaxPool2D(3, 2, 1), (4, 5, 2), batch=4),
    Conv1D: Case(Conv1D(3, 2, 2, (1, 0), bias_init=Normal(0.5)), (5, 2), batch=4),
    MaxPool1D: Case(MaxPool1D(3, 2, 1), (5, 2), batch=4),
    AvgPool1D: Case(AvgPool1D(3, 2, 1), (5, 2), batch=4),
    GlobalAveragePool: Case(GlobalAveragePool(), (2, 3, 2), batch=4),
    GlobalMaxPool: Case(GlobalMaxPool(), (2, 3, 2), batch=4),
    ZeroPad2D: Case(ZeroPad2D(((2, 1), (0, 1))), (2, 3, 2), batch=4),
    UpSampling2D: Case(UpSampling2D((2, 3)), (2, 3, 2), batch=4),
    AvgPool2D: Case(AvgPool2D((3, 2), 2, ((1, 0), (0, 1))), (4, 5, 2), batch=4),
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
    Conv2D: {
        "stale cache": stale,
        "kernel not flipped back": conv(
            x=lambda be, w, p, x, dy: be.conv2d_dx(dy, p["W"][::-1, ::-1], x.shape, w)
        ),
        "rows and columns exchanged": conv(
            W=lambda be, w, p, x, dy: be.conv2d_dw(np.flip(x, 1), np.flip(dy, 1), w)
        ),
        "dW without the last sample": conv(W=lambda be, w, p, x, dy: be.conv2d_dw(x[:-1], dy[:-1], w)),
        "padding on the other side": conv(
            x=lambda be, w, p, x, dy: be.conv2d_dx(
                dy, p["W"], x.shape, replace(w, pads=tuple(pad[::-1] for pad in w.pads))
            )
        ),
        "db is a mean": conv(b=lambda be, w, p, x, dy: dy.mean(axis=(0, 1, 2))),
        "db of the first row": conv(b=lambda be, w, p, x, dy: dy[:, 0].sum(axis=(0, 1))),
    },
    MaxPool2D: {
        "the next tap": own(lambda layer, p, c, dy: pooled(layer, c[1], dy, (c[0] + 1) % 9)),
        "rows and columns exchanged": own(
            lambda layer, p, c, dy: pooled(layer, c[1], dy, c[0] % 3 * 3 + c[0] // 3)
        ),
        "always the middle": own(lambda layer, p, c, dy: pooled(layer, c[1], dy, np.full_like(c[0], 4))),
    },
    Conv1D: {
        "db is a mean": lambda layer, cx, p, cache, dy, right: (
            (back := right(layer, cx, p, cache, dy))[0],
            back[1] | {"b": dy.mean(axis=(0, 1))},
        ),
        "kernel not flipped back": lambda layer, cx, p, cache, dy, right: (
            right(layer, cx, {**p, "W": p["W"][::-1]}, cache, dy)[0],
            right(layer, cx, p, cache, dy)[1],
        ),
    },
    MaxPool1D: {
        "the next tap": lambda layer, cx, p, cache, dy, right: right(
            layer, cx, p, ((cache[0] + 1) % 3, cache[1]), dy
        ),
    },
    AvgPool1D: {
        "a sum": lambda layer, cx, p, cache, dy, right: right(layer, cx, p, cache, 3 * dy),
    },
    GlobalAveragePool: {
        "a sum": own(lambda _, p, c, dy: np.broadcast_to(dy[:, None, None], c[0])),
        "divided by the channels too": own(lambda _, p, c, dy: np.broadcast_to(dy[:, None, None] / 12, c[0])),
    },
    GlobalMaxPool: {
        "everywhere": own(lambda _, p, c, dy: np.broadcast_to(dy[:, None, None], c[1])),
        "the first pixel": own(
            lambda _, p, c, dy: BE.max_pool_grad(
                dy[:, None, None], 0 * c[0], c[1], place(c[1][1:], (2, 3), (2, 3), 0)
            )
        ),
    },
    ZeroPad2D: {
        "top and bottom exchanged": own(lambda _, p, c, dy: dy[:, 1:3, :3]),
        "left and right exchanged": own(lambda _, p, c, dy: dy[:, 2:4, 1:]),
    },
    UpSampling2D: {
        "a mean": own(lambda _, p, c, dy: dy.reshape(4, 2, 2, 3, 3, 2).mean(axis=(2, 4))),
        "the first of each block": own(lambda _, p, c, dy: dy[:, ::2, ::3]),
        "sizes exchanged": own(
            lambda _, p, c, dy: dy.reshape(4, 2, 2, 3, 3, 2).sum(axis=(1, 4)).reshape(4, 2, 3, 2)
        ),
    },
    AvgPool2D: {
        "a sum": own(lambda layer, p, c, dy: summed(layer, c[0], dy)),
        "padding counted": own(lambda layer, p, c, dy: summed(layer, c[0], dy / 6)),
        "divided by the windows": own(lambda layer, p, c, dy: summed(layer, c[0], dy / dy[0, :, :, 0].size)),
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


def normalized(axis, f):
    """dx of a normalization that is wrong: f(dn, n, r, mean over `axis`)."""

    def backward(layer, cx, p, cache, dy, right):
        _, grads = right(layer, cx, p, cache, dy)
        shape = dy.shape
        if isinstance(layer, GroupNorm | InstanceNorm):
            groups = layer.groups if isinstance(layer, GroupNorm) else shape[-1]
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
CASES |= {
    BatchNorm: Case(BatchNorm(), (5,), batch=4),
    LayerNorm: Case(LayerNorm(), (5,), batch=4),
    RMSNorm: Case(RMSNorm(), (5,), batch=4),
    GroupNorm: Case(GroupNorm(2), (3, 4), batch=4),
    InstanceNorm: Case(InstanceNorm(), (5, 3), batch=4),
}
OWN |= {
    BatchNorm: normalization(0) | GAINS | BIASES,
    LayerNorm: normalization(-1) | GAINS | BIASES,
    RMSNorm: normalization(-1, centred=False) | GAINS,
    GroupNorm: normalization((1, 3)) | GAINS | BIASES,
    InstanceNorm: normalization((1, 3)) | GAINS | BIASES,
}


def maxout(**wrong):
    """One gradient of Maxout replaced: f(p, x, dz)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        chosen = cache[1][..., None] == np.arange(layer.pieces)
        dz = (chosen * dy[..., None]).reshape(len(dy), -1)
        found = {"x": dx, **grads} | {name: f(p, cache[0], dz) for name, f in wrong.items()}
        return found.pop("x"), found

    return backward


CASES |= {
    GaussianNoise: Case(GaussianNoise(0.5), (5,), batch=4),
    SpatialDropout: Case(SpatialDropout(0.4), (2, 9), batch=4),
    AlphaDropout: Case(AlphaDropout(0.4), (9,), batch=4),
    GLU: Case(GLU(), (6,), batch=4),
    Maxout: Case(Maxout(3), (4,), batch=4),
}
OWN |= {
    GaussianNoise: {"std": own(lambda layer, p, c, dy: layer.std * dy)},
    SpatialDropout: {
        "mask forgotten": own(lambda layer, p, c, dy: dy / (1 - layer.rate)),
        "scale forgotten": own(lambda _, p, c, dy: dy * c[0]),
        "mask inverted": own(lambda layer, p, c, dy: dy * ~c[0] / (1 - layer.rate)),
        "another sample's mask": own(lambda layer, p, c, dy: dy * np.roll(c[0], 1, 0) / (1 - layer.rate)),
    },
    AlphaDropout: {
        "mask forgotten": own(lambda layer, p, c, dy: dy * layer._gain()),
        "gain forgotten": own(lambda _, p, c, dy: dy * c[0]),
        "Dropout's gain": own(lambda layer, p, c, dy: dy * c[0] / (1 - layer.rate)),
        "mask inverted": own(lambda layer, p, c, dy: dy * ~c[0] * layer._gain()),
    },
    GLU: {
        "stale cache": stale,
        "halves exchanged": own(lambda _, p, c, dy: np.hstack([dy * c[0] * c[1] * (1 - c[1]), dy * c[1]])),
        "a forgotten": own(lambda _, p, c, dy: np.hstack([dy * c[1], dy * c[1] * (1 - c[1])])),
        "1 - s forgotten": own(lambda _, p, c, dy: np.hstack([dy * c[1], dy * c[0] * c[1]])),
    },
    Maxout: {
        "every piece": maxout(b=lambda p, x, dz: np.repeat(dz.sum(axis=0).reshape(-1, 2).sum(axis=1), 2)),
        "the other piece": maxout(W=lambda p, x, dz: x.T @ dz.reshape(4, 3, 2)[..., ::-1].reshape(4, 6)),
        "dx of the other piece": maxout(
            x=lambda p, x, dz: dz.reshape(4, 3, 2)[..., ::-1].reshape(4, 6) @ p["W"].T
        ),
        "db a mean": maxout(b=lambda p, x, dz: dz.mean(axis=0)),
        "dW without the last sample": maxout(W=lambda p, x, dz: x[:-1].T @ dz[:-1]),
    },
}

CASES |= faults_attention.CASES
OWN |= faults_attention.OWN


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
CASES |= faults_nested.CASES | faults_graph.CASES
FAULTS |= faults_nested.planted(GENERIC) | faults_graph.planted(GENERIC)
# Augmentation: dx alone
CASES |= faults_augment.CASES
FAULTS |= {
    cls: {f"dx {name}": faults_nested.in_tree("x", fault) for name, fault in GENERIC.items()} | own
    for cls, own in faults_augment.OWN.items()
}


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
        net, cx, p, ((cache[0][0], cache[2][1]), cache[1], (cache[2][0], cache[0][1]), cache[3]), dy
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
IGNORED = LossCase(SoftmaxCrossEntropy(ignore_index=1), (9, 3), "ids")
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
    "of the first sample only": LossFault(lambda loss, z, t, w, g: np.concat([g[:1], 0 * g[1:]])),
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
        "ignored samples pull too": LossFault(
            lambda loss, z, t, w, g: (softmax(z) - hot(z, t)) / (t != 1).sum(), IGNORED
        ),
        "ignored samples in the denominator": LossFault(
            lambda loss, z, t, w, g: g * (t != 1).mean(), IGNORED
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
# Later losses
LOSS_CASES |= faults_losses.CASES
LOSS_OWN |= {
    cls: {name: LossFault(wrong) for name, wrong in faults.items()}
    for cls, faults in faults_losses.OWN.items()
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
