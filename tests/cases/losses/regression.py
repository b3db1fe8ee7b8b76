"""Losses of real numbers."""

import numpy as np

from cases.planting import PlantedInLoss, logistic
from cases.row import LossCase
from xpnn import losses

ROWS = [  # one output, and more axes; with and without weights
    LossCase(loss, shape, "real", weighted)
    for loss in (losses.MeanSquaredError(), losses.MeanAbsoluteError())
    for shape in ((4, 1), (3, 2, 5))
    for weighted in (False, True)
]
ROWS += [
    LossCase(loss, shape, target, weighted)
    for loss, target in (
        (losses.Huber(), "real"),
        (losses.Huber(0.3), "real"),  # most errors beyond delta
        (losses.SmoothL1(0.5), "real"),
        (losses.LogCosh(), "real"),
        (losses.Poisson(), "counts"),
        (losses.CosineEmbedding(), "real"),
    )
    for shape, weighted in (((4, 3), False), ((3, 2, 5), True))
]
ROWS += [
    LossCase(losses.MeanSquaredError(), (1, 1), "real"),  # one number
    LossCase(losses.Huber(0.3, reduction="sum"), (3, 2, 5), "real", True),
    LossCase(losses.CosineEmbedding(reduction="none"), (3, 2, 5), "real"),
    LossCase(losses.GaussianNLL(), (4, 2), "own"),  # a mean and a variance for each number
    LossCase(losses.GaussianNLL(0.3), (3, 2, 6), "own", True),  # a floor under the variance
]
PLANTED = {
    losses.MeanSquaredError: PlantedInLoss(
        LossCase(losses.MeanSquaredError(), (4, 5), "real"),
        {
            "2 dropped": lambda loss, z, t, w, g: g / 2,
            "target dropped": lambda loss, z, t, w, g: 2 * z / z.size,
        },
    ),
    losses.MeanAbsoluteError: PlantedInLoss(
        LossCase(losses.MeanAbsoluteError(), (4, 5), "real"),
        {
            "sign dropped": lambda loss, z, t, w, g: abs(g),
            "error for its sign": lambda loss, z, t, w, g: (z - t) / z.size,
        },
    ),
    losses.Huber: PlantedInLoss(
        LossCase(losses.Huber(0.5), (4, 5), "real"),
        {
            "error not held": lambda loss, z, t, w, g: (z - t) / z.size,
            "sign for the error": lambda loss, z, t, w, g: np.sign(z - t) / z.size,
            "delta 1": lambda loss, z, t, w, g: np.clip(z - t, -1, 1) / z.size,
        },
    ),
    losses.SmoothL1: PlantedInLoss(
        LossCase(losses.SmoothL1(0.5), (4, 5), "real"),
        {
            "error not held": lambda loss, z, t, w, g: (z - t) / loss.beta / z.size,
            "not divided by beta": lambda loss, z, t, w, g: g * loss.beta,
        },
    ),
    losses.LogCosh: PlantedInLoss(
        LossCase(losses.LogCosh(), (4, 5), "real"),
        {
            "error for its tanh": lambda loss, z, t, w, g: (z - t) / z.size,
            "slope of tanh": lambda loss, z, t, w, g: (1 - np.tanh(z - t) ** 2) / z.size,
        },
    ),
    losses.Poisson: PlantedInLoss(
        LossCase(losses.Poisson(), (4, 5), "counts"),
        {
            "target dropped": lambda loss, z, t, w, g: np.exp(z) / z.size,
            "rate for its logarithm": lambda loss, z, t, w, g: (z - t) / z.size,
        },
    ),
    losses.CosineEmbedding: PlantedInLoss(
        LossCase(losses.CosineEmbedding(), (4, 5), "real"),
        {
            "length of p not differentiated": lambda loss, z, t, w, g: (
                -t
                / np.linalg.norm(z, axis=1, keepdims=True)
                / np.linalg.norm(t, axis=1, keepdims=True)
                / len(z)
            ),
            "length of t in place of p's": lambda loss, z, t, w, g: (
                g * np.linalg.norm(z, axis=1, keepdims=True) / np.linalg.norm(t, axis=1, keepdims=True)
            ),
        },
    ),
    losses.GaussianNLL: PlantedInLoss(
        LossCase(losses.GaussianNLL(), (4, 6), "own"),
        {
            "variance fixed": lambda loss, z, t, w, g: g * (np.arange(6) < 3),
            "half of the mean's": lambda loss, z, t, w, g: g * np.where(np.arange(6) < 3, 0.5, 1),
            "slope of the softplus dropped": lambda loss, z, t, w, g: (
                g / np.where(np.arange(6) < 3, 1, logistic(z))
            ),
            "log-variance for r": lambda loss, z, t, w, g: np.hstack(
                [
                    (z[:, :3] - t) * np.exp(-z[:, 3:]) / 12,
                    (1 - (z[:, :3] - t) ** 2 * np.exp(-z[:, 3:])) / 24,
                ]
            ),
        },
    ),
}
