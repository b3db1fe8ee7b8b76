"""Losses of a regression."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """L = mean of (p - t)^2 over all elements; gradient 2 (p - t) / (number of elements)."""

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("mean squared error", prediction, target)
        error = prediction - target
        return error * error, 2 * error, None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_real(target, outputs, "mean squared error")


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """L = mean of |p - t| over all elements; gradient sign(p - t) / (number of elements), 0 where p = t."""

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("mean absolute error", prediction, target)
        error = prediction - target
        return be.xp.abs(error), be.xp.sign(error), None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_real(target, outputs, "mean absolute error")
