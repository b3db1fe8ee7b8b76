"""Losses of pairs and triples of samples."""

import numpy as np

from cases.planting import PlantedInLoss
from cases.row import LossCase
from xpnn import losses

ROWS = [
    LossCase(losses.Contrastive(3.0), (6, 3), "own"),  # a margin wider than most distances
    LossCase(losses.Contrastive(2.0), (5, 1), "own", True),  # on a line
    LossCase(losses.Contrastive(reduction="none"), (1, 2), "own"),  # a sample without a partner
    LossCase(losses.Triplet(), (6, 3), "own"),
    LossCase(losses.Triplet(5.0), (5, 1), "own", True),  # every triple active
    LossCase(losses.Triplet(reduction="none"), (7, 2), "own", True),
]


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


PLANTED = {
    losses.Contrastive: PlantedInLoss(
        LossCase(losses.Contrastive(1.8), (5, 3), "own"),
        {
            "others not pushed off": lambda loss, z, t, w, g: contrast(
                loss, z, t, lambda d: d, lambda m: 0 * m
            ),
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
    ),
    losses.Triplet: PlantedInLoss(
        LossCase(losses.Triplet(), (5, 3), "own"),
        {
            "every triple active": lambda loss, z, t, w, g: triple(loss, z, t, lambda short: True),
            "margin forgotten": lambda loss, z, t, w, g: triple(
                loss, z, t, lambda short: short > loss.margin
            ),
            "anchor fixed": lambda loss, z, t, w, g: triple(
                loss, z, t, lambda short: short > 0, anchors=False
            ),
            "positive fixed": lambda loss, z, t, w, g: triple(
                loss, z, t, lambda short: short > 0, positives=False
            ),
            "negative fixed": lambda loss, z, t, w, g: triple(
                loss, z, t, lambda short: short > 0, negatives=False
            ),
        },
    ),
}
