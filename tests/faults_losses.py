"""The faults that are planted in losses: wrong(loss, z, t, weight, right gradient) -> gradient."""

import numpy as np
from cases import LossCase

from xpnn.losses import (
    CosineEmbedding,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    NegativeLogLikelihood,
    Poisson,
    SmoothL1,
    SquaredHinge,
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
}


def softmax(z):
    e = np.exp(z)
    return e / e.sum(axis=-1, keepdims=True)


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
}
