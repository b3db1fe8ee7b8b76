"""Losses of the margin t z, for targets -1 and 1."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape


@dataclass(frozen=True)
class Hinge(Loss):
    """L = mean of max(0, 1 - t z). z: scores (N, ...); t: the same shape, -1 or 1.

    Gradient: -t / (number of elements) where t z < 1, else 0.
    Source: Cortes, Vapnik, "Support-vector networks", Machine Learning 20 (1995).
    """

    wants = "logits"
    kind = "binary"

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("hinge", prediction, target)
        short = 1 - target * prediction
        return be.relu(short), be.relu_grad(-target, short), None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_signs(target, outputs, "hinge")

    def labels(self, be: Backend, prediction: Array) -> Array:
        return signs(be, prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        return signs(be, target)


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """L = mean of max(0, 1 - t z)^2; gradient -2 t max(0, 1 - t z) / (number of elements)."""

    wants = "logits"
    kind = "binary"

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("squared hinge", prediction, target)
        short = be.relu(1 - target * prediction)
        return short * short, -2 * target * short, None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_signs(target, outputs, "squared hinge")

    def labels(self, be: Backend, prediction: Array) -> Array:
        return signs(be, prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        return signs(be, target)


def signs(be: Backend, a: Array) -> Array:
    """1 where a > 0, else -1, as int64."""
    return 2 * be.xp.astype(a > 0, be.xp.int64) - 1


def check_signs(target: Host, outputs: tuple[int, ...], name: str) -> Host:
    """Targets of the outputs' shape, each -1 or 1."""
    target = check_real(target, outputs, name)
    bad = np.argwhere((target != 1) & (target != -1))
    if len(bad):
        raise DataError(
            f"{name}: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}",
            why="targets are -1 or 1",
            fix="2 * y - 1, if the classes are 0 and 1",
        )
    return target
