"""Losses of the margin t z, for targets -1 and 1."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape


@dataclass(frozen=True)
class MarginLoss(Loss, abstract=True):
    """A loss of scores z (N, ...) and targets t of the same shape, -1 or 1."""

    wants = "logits"
    kind = "binary"

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        name = type(self).__name__
        target = check_real(target, outputs, name)
        bad = np.argwhere((target != 1) & (target != -1))
        if len(bad):
            raise DataError(
                f"{name}: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}",
                why="targets are -1 or 1",
                fix="2 * y - 1, if the classes are 0 and 1",
            )
        return target

    def labels(self, be: Backend, prediction: Array) -> Array:
        return 2 * be.xp.astype(prediction > 0, be.xp.int64) - 1

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        return self.labels(be, target)


@dataclass(frozen=True)
class Hinge(MarginLoss):
    """L = mean of max(0, 1 - t z). z: scores (N, ...); t: the same shape, -1 or 1.

    Gradient: -t / (number of elements) where t z < 1, else 0.
    Source: Cortes, Vapnik, "Support-vector networks", Machine Learning 20 (1995).
    """

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("hinge", prediction, target)
        short = 1 - target * prediction
        return be.relu(short), be.relu_grad(-target, short), None


@dataclass(frozen=True)
class SquaredHinge(MarginLoss):
    """L = mean of max(0, 1 - t z)^2; gradient -2 t max(0, 1 - t z) / (number of elements)."""

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("squared hinge", prediction, target)
        short = be.relu(1 - target * prediction)
        return short * short, -2 * target * short, None
