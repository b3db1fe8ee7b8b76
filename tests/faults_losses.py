"""The faults that are planted in losses: wrong(loss, z, t, weight, right gradient) -> gradient."""

import numpy as np
from cases import LossCase

from xpnn.losses import (
    CTC,
    Contrastive,
    CosineEmbedding,
    Dice,
    Focal,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    NegativeLogLikelihood,
    Poisson,
    SmoothL1,
    SquaredHinge,
    Triplet,
)

CASES = {
    type(loss): LossCase(loss, (4, 5), target)
    for loss, target in (
        (Huber(0.5), "real"),
        (SmoothL1(0.5), "real"),
        (LogCosh(), "real"),
        (Hinge(), "signs"),
        (SquaredHinge(), "signs"),
        (KLDivergence(), "unit"),
        (NegativeLogLikelihood(), "ids"),
        (Poisson(), "counts"),
        (CosineEmbedding(), "real"),
        (Focal(), "ids"),
    )
} | {
    type(loss): LossCase(loss, shape, target)
    for loss, shape, target in (
        (Dice(), (4, 3, 2), "unit"),
        (GaussianNLL(), (4, 6), "own"),
        (Contrastive(1.8), (5, 3), "own"),
        (Triplet(), (5, 3), "own"),
        (CTC(1), (4, 5, 4), "own"),
    )
}


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def along(z, g):
    """sum_j g_ij (z_i - z_j) / d_ij."""
    steps = z[:, None] - z[None]
    d = np.linalg.norm(steps, axis=-1, keepdims=True)
    return (g(d)[..., None] * np.where(d > 0, steps / np.where(d > 0, d, 1), 0)).sum(1)


def contrast(loss, z, t, attract, repel):
    """The gradient of Contrastive from the slopes of the two kinds of pairs."""
    same = t[:, None] == t[None]
    return along(z, lambda d: np.where(same, attract(d[..., 0]), repel(loss.margin - d[..., 0]))) / (
        len(z) * (len(z) - 1) / 2
    )


def triple(loss, z, t, active, anchors=True, positives=True, negatives=True):
    """The gradient of Triplet from what counts as active, without one of the three."""
    total = np.zeros_like(z)
    all_of = [
        (a, p, n)
        for a in range(len(z))
        for p in range(len(z))
        for n in range(len(z))
        if a != p and t[a] == t[p] and t[a] != t[n]
    ]
    for a, p, n in all_of:
        near, far = z[a] - z[p], z[a] - z[n]
        d, e = np.linalg.norm(near), np.linalg.norm(far)
        if active(d - e + loss.margin):
            total[a] += anchors * (near / d - far / e)
            total[p] -= positives * near / d
            total[n] += negatives * far / e
    return total / len(all_of)


def dice(loss, z, t):
    """p, the score and its denominator."""
    p = sigmoid(z)
    lower = (p + t).sum(1, keepdims=True) + loss.smooth
    return p, (2 * (p * t).sum(1, keepdims=True) + loss.smooth) / lower, lower


OWN = {
    Huber: {
        "error not held": lambda loss, z, t, w, g: (z - t) / z.size,
        "sign for the error": lambda loss, z, t, w, g: np.sign(z - t) / z.size,
        "delta 1": lambda loss, z, t, w, g: np.clip(z - t, -1, 1) / z.size,
    },
    SmoothL1: {
        "error not held": lambda loss, z, t, w, g: (z - t) / loss.beta / z.size,
        "not divided by beta": lambda loss, z, t, w, g: g * loss.beta,
    },
    LogCosh: {
        "error for its tanh": lambda loss, z, t, w, g: (z - t) / z.size,
        "slope of tanh": lambda loss, z, t, w, g: (1 - np.tanh(z - t) ** 2) / z.size,
    },
    Hinge: {
        "margin 0": lambda loss, z, t, w, g: -t * (t * z < 0) / z.size,
        "score for target": lambda loss, z, t, w, g: -z * (t * z < 1) / z.size,
    },
    SquaredHinge: {
        "2 dropped": lambda loss, z, t, w, g: g / 2,
        "not squared": lambda loss, z, t, w, g: -t * (t * z < 1) / z.size,
    },
    KLDivergence: {
        "from probabilities": lambda loss, z, t, w, g: g * np.exp(-z),
        "target for one": lambda loss, z, t, w, g: -np.ones_like(t) / len(z),
    },
    NegativeLogLikelihood: {
        "softmax added": lambda loss, z, t, w, g: g + softmax(z) / len(z),
        "every class": lambda loss, z, t, w, g: -np.ones_like(z) / len(z),
    },
    Poisson: {
        "target dropped": lambda loss, z, t, w, g: np.exp(z) / z.size,
        "rate for its logarithm": lambda loss, z, t, w, g: (z - t) / z.size,
    },
    CosineEmbedding: {
        "length of p not differentiated": lambda loss, z, t, w, g: (
            -t / np.linalg.norm(z, axis=1, keepdims=True) / np.linalg.norm(t, axis=1, keepdims=True) / len(z)
        ),
        "length of t in place of p's": lambda loss, z, t, w, g: (
            g * np.linalg.norm(z, axis=1, keepdims=True) / np.linalg.norm(t, axis=1, keepdims=True)
        ),
    },
    Focal: {
        "cross-entropy's": lambda loss, z, t, w, g: (softmax(z) - np.eye(5)[t]) / len(z),
        "weight not differentiated": lambda loss, z, t, w, g: (
            ((1 - softmax(z)[np.arange(len(z)), t]) ** loss.gamma)[:, None]
            * (softmax(z) - np.eye(5)[t])
            / len(z)
        ),
    },
    Dice: {
        "denominator not differentiated": lambda loss, z, t, w, g: (
            -2 * t * sigmoid(z) * (1 - sigmoid(z)) / dice(loss, z, t)[2] / 8
        ),
        "slope of the sigmoid dropped": lambda loss, z, t, w, g: g / sigmoid(z) / sigmoid(-z),
        "smooth dropped": lambda loss, z, t, w, g: (
            g * dice(loss, z, t)[2] / (dice(loss, z, t)[2] - loss.smooth)
        ),
    },
    GaussianNLL: {
        "variance fixed": lambda loss, z, t, w, g: g * (np.arange(6) < 3),
        "half of the mean's": lambda loss, z, t, w, g: g * np.where(np.arange(6) < 3, 0.5, 1),
        "slope of the softplus dropped": lambda loss, z, t, w, g: (
            g / np.where(np.arange(6) < 3, 1, sigmoid(z))
        ),
        "log-variance for r": lambda loss, z, t, w, g: np.hstack(
            [
                (z[:, :3] - t) * np.exp(-z[:, 3:]) / 12,
                (1 - (z[:, :3] - t) ** 2 * np.exp(-z[:, 3:])) / 24,
            ]
        ),
    },
    Contrastive: {
        "others not pushed off": lambda loss, z, t, w, g: contrast(loss, z, t, lambda d: d, lambda m: 0 * m),
        "others pushed beyond the margin": lambda loss, z, t, w, g: contrast(
            loss, z, t, lambda d: d, lambda m: -np.abs(m)
        ),
        "others attracted": lambda loss, z, t, w, g: contrast(
            loss, z, t, lambda d: d, lambda m: np.maximum(m, 0)
        ),
        "not squared": lambda loss, z, t, w, g: contrast(
            loss, z, t, lambda d: 0 * d + 1, lambda m: -1.0 * (m > 0)
        ),
        "only one of each pair moved": lambda loss, z, t, w, g: g / 2,
    },
    Triplet: {
        "every triple active": lambda loss, z, t, w, g: triple(loss, z, t, lambda short: True),
        "margin forgotten": lambda loss, z, t, w, g: triple(loss, z, t, lambda short: short > loss.margin),
        "anchor fixed": lambda loss, z, t, w, g: triple(loss, z, t, lambda short: short > 0, anchors=False),
        "positive fixed": lambda loss, z, t, w, g: triple(
            loss, z, t, lambda short: short > 0, positives=False
        ),
        "negative fixed": lambda loss, z, t, w, g: triple(
            loss, z, t, lambda short: short > 0, negatives=False
        ),
    },
    CTC: {
        "labels forgotten": lambda loss, z, t, w, g: softmax(z) / 4,
        "blank like any class": lambda loss, z, t, w, g: np.where(
            np.arange(4) == loss.blank, softmax(z) / 4, g
        ),
        "not divided by the labels": lambda loss, z, t, w, g: g * (t >= 0).sum(1)[:, None, None],
        "last frame dropped": lambda loss, z, t, w, g: g * (np.arange(5) < 4)[None, :, None],
    },
}
