"""Losses of sequences of labels."""

import numpy as np

from cases.planting import PlantedInLoss, softmax
from cases.row import LossCase
from xpnn import losses

ROWS = [
    LossCase(losses.CTC(), (3, 5, 4), "own"),
    LossCase(losses.CTC(2, True), (4, 5, 3), "own", True),  # another blank; impossible labels count as 0
    LossCase(losses.CTC(1, reduction="sum"), (1, 1, 2), "own"),  # one frame
    LossCase(losses.CTC(reduction="none"), (2, 2, 3), "own", True),
]
PLANTED = {
    losses.CTC: PlantedInLoss(
        LossCase(losses.CTC(1), (4, 5, 4), "own"),
        {
            "labels forgotten": lambda loss, z, t, w, g: softmax(z) / 4,
            "blank like any class": lambda loss, z, t, w, g: np.where(
                np.arange(4) == loss.blank, softmax(z) / 4, g
            ),
            "not divided by the labels": lambda loss, z, t, w, g: g * (t >= 0).sum(1)[:, None, None],
            "last frame dropped": lambda loss, z, t, w, g: g * (np.arange(5) < 4)[None, :, None],
        },
    ),
}
