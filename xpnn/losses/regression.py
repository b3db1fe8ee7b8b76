"""Losses of a regression."""

import math
from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, check_real, same_shape, total_weight


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """L = mean of (p - t)^2 over all elements; gradient 2 (p - t) / (number of elements)."""

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Shapes must be equal."""
        same_shape("mean squared error", prediction, target)
        error = prediction - target
        return weighted_mean(be, error * error, 2 * error, weight)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, finite."""
        return check_real(target, outputs, "mean squared error")


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """L = mean of |p - t| over all elements; gradient sign(p - t) / (number of elements), 0 where p = t."""

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Shapes must be equal."""
        same_shape("mean absolute error", prediction, target)
        error = prediction - target
        return weighted_mean(be, be.xp.abs(error), be.xp.sign(error), weight)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, finite."""
        return check_real(target, outputs, "mean absolute error")


def weighted_mean(be: Backend, losses: Array, slopes: Array, weight: Array | None) -> tuple[Array, Array]:
    """Mean over all elements, each row weighted by its share w_n / sum(w), and the gradient scaled alike."""
    rows = losses.shape[0]
    if weight is None:
        return be.xp.mean(losses), slopes / math.prod(losses.shape)
    share = weight / total_weight(be, weight) / (math.prod(losses.shape) // rows)
    share = be.xp.reshape(share, (rows, *(1 for _ in losses.shape[1:])))
    return be.xp.sum(losses * share), slopes * share
