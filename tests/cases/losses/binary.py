"""Losses of yes or no, of margins, and of distributions."""

import numpy as np

from cases.planting import PlantedInLoss, logistic
from cases.row import LossCase
from xpnn import losses

ROWS = [  # one output, and more axes; with and without weights
    LossCase(losses.BinaryCrossEntropy(), shape, "unit", weighted)
    for shape in ((4, 1), (3, 2, 5))
    for weighted in (False, True)
]
ROWS += [
    LossCase(loss, shape, target, weighted)
    for loss, target in (
        (losses.Hinge(), "signs"),
        (losses.SquaredHinge(), "signs"),
        (losses.KLDivergence(), "unit"),
    )
    for shape, weighted in (((4, 3), False), ((3, 2, 5), True))
]
ROWS += [
    LossCase(losses.KLDivergence(), (4, 3), "soft"),  # rows that sum to 1
    LossCase(losses.KLDivergence(), (4, 3), "one-hot", True),  # 0 log 0
    LossCase(losses.KLDivergence(reduction="none"), (3, 2, 5), "unit", True),
    LossCase(losses.BinaryCrossEntropy(), (2, 3, 2, 1), "unit", "positions"),  # weights of pixels
    LossCase(losses.Dice(), (3, 4, 2), "unit"),  # over a map
    LossCase(losses.Dice(0.1), (1, 2, 3, 1), "unit"),  # over an image
    LossCase(losses.Dice(reduction="none"), (4, 3, 2), "unit", True),
]


def dice(loss, z, t):
    """p, the score and its denominator."""
    p = logistic(z)
    lower = (p + t).sum(1, keepdims=True) + loss.smooth
    return p, (2 * (p * t).sum(1, keepdims=True) + loss.smooth) / lower, lower


PLANTED = {
    losses.BinaryCrossEntropy: PlantedInLoss(
        LossCase(losses.BinaryCrossEntropy(), (4, 5), "unit"),
        {
            "target dropped": lambda loss, z, t, w, g: 1 / (1 + np.exp(-z)) / z.size,
            "z for sigmoid(z)": lambda loss, z, t, w, g: (z - t) / z.size,
            "sigmoid's slope twice": lambda loss, z, t, w, g: g / (2 + np.exp(-z) + np.exp(z)),
        },
    ),
    losses.Hinge: PlantedInLoss(
        LossCase(losses.Hinge(), (4, 5), "signs"),
        {
            "margin 0": lambda loss, z, t, w, g: -t * (t * z < 0) / z.size,
            "score for target": lambda loss, z, t, w, g: -z * (t * z < 1) / z.size,
        },
    ),
    losses.SquaredHinge: PlantedInLoss(
        LossCase(losses.SquaredHinge(), (4, 5), "signs"),
        {
            "2 dropped": lambda loss, z, t, w, g: g / 2,
            "not squared": lambda loss, z, t, w, g: -t * (t * z < 1) / z.size,
        },
    ),
    losses.KLDivergence: PlantedInLoss(
        LossCase(losses.KLDivergence(), (4, 5), "unit"),
        {
            "from probabilities": lambda loss, z, t, w, g: g * np.exp(-z),
            "target for one": lambda loss, z, t, w, g: -np.ones_like(t) / len(z),
        },
    ),
    losses.Dice: PlantedInLoss(
        LossCase(losses.Dice(), (4, 3, 2), "unit"),
        {
            "denominator not differentiated": lambda loss, z, t, w, g: (
                -2 * t * logistic(z) * (1 - logistic(z)) / dice(loss, z, t)[2] / 8
            ),
            "slope of the sigmoid dropped": lambda loss, z, t, w, g: g / logistic(z) / logistic(-z),
            "smooth dropped": lambda loss, z, t, w, g: (
                g * dice(loss, z, t)[2] / (dice(loss, z, t)[2] - loss.smooth)
            ),
        },
    ),
}
