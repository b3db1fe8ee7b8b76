"""Losses of one class among several."""

import numpy as np

from cases.planting import PlantedInLoss, one_hot, softmax
from cases.row import LossCase
from xpnn import losses

CLASS_WEIGHTS = (1.0, 0.25, 0.0, 2.0, 3.0)
"""One of them 0: a class that does not count."""
ROWS = [  # every setting with every form of a target
    LossCase(loss, (6, 5), target, weighted)
    for loss in (
        losses.SoftmaxCrossEntropy(),
        losses.SoftmaxCrossEntropy(0.1),
        losses.SoftmaxCrossEntropy(class_weight=CLASS_WEIGHTS),
        losses.SoftmaxCrossEntropy(0.3, CLASS_WEIGHTS),
    )
    for target in ("ids", "one-hot", "soft")
    for weighted in (False, True)
]
ROWS += [
    LossCase(loss, (6, 5), target, weighted)
    for loss in (losses.NegativeLogLikelihood(), losses.Focal(), losses.Focal(1.0))
    for target, weighted in (("ids", False), ("ids", True), ("soft", True))
]
ROWS += [
    LossCase(losses.SoftmaxCrossEntropy(), (1, 2), "ids"),  # a single sample
    LossCase(losses.SoftmaxCrossEntropy(1.0), (4, 3), "ids"),  # nothing left of the target
    LossCase(losses.SoftmaxCrossEntropy(ignore_index=-100), (7, 3), "ignored"),  # some samples ignored
    LossCase(
        losses.SoftmaxCrossEntropy(0.2, CLASS_WEIGHTS, ignore_index=-100),
        (7, 5),
        "ignored",
        True,
    ),
    LossCase(losses.SoftmaxCrossEntropy(ignore_index=1), (7, 3), "ids"),  # a class ignored
    LossCase(losses.SoftmaxCrossEntropy(reduction="sum"), (4, 3), "ids"),
    LossCase(
        losses.SoftmaxCrossEntropy(0.2, CLASS_WEIGHTS, reduction="none", ignore_index=-100),
        (7, 5),
        "ignored",
    ),
    LossCase(losses.NegativeLogLikelihood(class_weight=CLASS_WEIGHTS), (6, 5), "ids"),
    LossCase(losses.NegativeLogLikelihood(0.2, CLASS_WEIGHTS), (6, 5), "soft", True),
    LossCase(losses.NegativeLogLikelihood(ignore_index=-100), (7, 3), "ignored"),
    LossCase(losses.NegativeLogLikelihood(ignore_index=-100), (7, 3), "ignored", True),
    LossCase(losses.Focal(0.0), (4, 3), "one-hot"),  # cross-entropy by another name
    LossCase(losses.Focal(3.5), (1, 2), "ids"),  # an exponent that is no whole number
    LossCase(losses.Focal(ignore_index=-100), (7, 3), "ignored", True),
]
ROWS += [  # with positions: tokens (N, T, C) and pixels (N, H, W, C)
    LossCase(loss, shape, target, weighted)
    for loss, shape, target, weighted in (
        (losses.SoftmaxCrossEntropy(), (3, 4, 5), "ids", False),
        (losses.SoftmaxCrossEntropy(), (2, 3, 2, 4), "ids", True),
        (losses.SoftmaxCrossEntropy(0.2, CLASS_WEIGHTS), (3, 4, 5), "soft", "positions"),
        (
            losses.SoftmaxCrossEntropy(0.1, CLASS_WEIGHTS, ignore_index=-100),
            (2, 3, 2, 5),
            "ignored",
            "positions",
        ),
        (losses.SoftmaxCrossEntropy(ignore_index=-100, reduction="sum"), (3, 4, 5), "ignored", True),
        (losses.SoftmaxCrossEntropy(ignore_index=-100, reduction="none"), (3, 4, 5), "ignored", True),
        (losses.NegativeLogLikelihood(ignore_index=-100), (3, 4, 5), "ignored", True),
        (losses.Focal(ignore_index=-100), (2, 3, 2, 4), "ignored", "positions"),
        (losses.Focal(), (3, 4, 5), "one-hot", False),
    )
]
IDS = LossCase(losses.SoftmaxCrossEntropy(), (4, 5), "ids")
SMOOTH = LossCase(losses.SoftmaxCrossEntropy(0.2), (4, 5), "ids")
CLASSES = LossCase(losses.SoftmaxCrossEntropy(class_weight=CLASS_WEIGHTS), (4, 5), "ids")
IGNORED = LossCase(losses.SoftmaxCrossEntropy(ignore_index=1), (9, 3), "ids")
PLANTED = {
    losses.SoftmaxCrossEntropy: PlantedInLoss(
        IDS,
        {
            "one-hot dropped": lambda loss, z, t, w, g: softmax(z) / len(z),
            "softmax dropped": lambda loss, z, t, w, g: -one_hot(t, z.shape[1]) / len(z),
            "softmax not of this batch": lambda loss, z, t, w, g: (
                (softmax(z[::-1]) - one_hot(t, z.shape[1])) / len(z)
            ),
            "smoothing forgotten": lambda loss, z, t, w, g: (softmax(z) - one_hot(t, z.shape[1])) / len(z),
            "smoothing over the other classes": lambda loss, z, t, w, g: (
                g + (0.2 / 5 - 0.2 / 4) * (1 - one_hot(t, z.shape[1])) / len(z)
            ),
            "class weights forgotten": lambda loss, z, t, w, g: (
                (softmax(z) - one_hot(t, z.shape[1])) / len(z)
            ),
            "divided by N, not by the weights": lambda loss, z, t, w, g: (
                np.asarray(CLASS_WEIGHTS)[t][:, None] * (softmax(z) - one_hot(t, z.shape[1])) / len(z)
            ),
            "ignored samples pull too": lambda loss, z, t, w, g: (
                (softmax(z) - one_hot(t, z.shape[1])) / (t != 1).sum()
            ),
            "ignored samples in the denominator": lambda loss, z, t, w, g: g * (t != 1).mean(),
        },
        {
            "smoothing forgotten": SMOOTH,
            "smoothing over the other classes": SMOOTH,
            "class weights forgotten": CLASSES,
            "divided by N, not by the weights": CLASSES,
            "ignored samples pull too": IGNORED,
            "ignored samples in the denominator": IGNORED,
        },
    ),
    losses.NegativeLogLikelihood: PlantedInLoss(
        LossCase(losses.NegativeLogLikelihood(), (4, 5), "ids"),
        {
            "softmax added": lambda loss, z, t, w, g: g + softmax(z) / len(z),
            "every class": lambda loss, z, t, w, g: -np.ones_like(z) / len(z),
        },
    ),
    losses.Focal: PlantedInLoss(
        LossCase(losses.Focal(), (4, 5), "ids"),
        {
            "cross-entropy's": lambda loss, z, t, w, g: (softmax(z) - np.eye(5)[t]) / len(z),
            "weight not differentiated": lambda loss, z, t, w, g: (
                ((1 - softmax(z)[np.arange(len(z)), t]) ** loss.gamma)[:, None]
                * (softmax(z) - np.eye(5)[t])
                / len(z)
            ),
        },
    ),
}
