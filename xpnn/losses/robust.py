"""Robust losses of a regression: large errors weigh less than their squares."""

import math
from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape
from xpnn.settings import Positive


@dataclass(frozen=True)
class Huber(Loss):
    """L = mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2), for e = p - t.

    Gradient: e, held between -delta and delta, / (number of elements).
    Source: Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).
    """

    delta: Positive = 1.0

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("Huber", prediction, target)
        return *huber(be, prediction - target, self.delta), None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_real(target, outputs, "Huber")


@dataclass(frozen=True)
class SmoothL1(Loss):
    """L = mean of e^2 / (2 beta) where |e| <= beta, else |e| - beta / 2, for e = p - t: Huber / beta.

    Gradient: e / beta, held between -1 and 1, / (number of elements).
    Source: Girshick, "Fast R-CNN", ICCV 2015.
    """

    beta: Positive = 1.0

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("smooth L1", prediction, target)
        losses, slopes = huber(be, prediction - target, self.beta)
        return losses / self.beta, slopes / self.beta, None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_real(target, outputs, "smooth L1")


@dataclass(frozen=True)
class LogCosh(Loss):
    """L = mean of log cosh e, for e = p - t: e^2 / 2 near 0, |e| - log 2 far from it.

    Gradient: tanh(e) / (number of elements).
    """

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """Near 0 from cosh a - 1 = s^2 / 2 (1 + s), s = e^-a - 1, whose digits all count; else without overflow."""
        same_shape("log-cosh", prediction, target)
        xp, error = be.xp, prediction - target
        a = xp.abs(error)
        near = a < 1
        s = xp.expm1(-xp.where(near, a, xp.ones_like(a)))
        far = a + xp.log1p(xp.exp(-2 * a)) - math.log(2)
        losses = xp.where(near, xp.log1p(s * s / (2 * (1 + s))), far)
        return losses, xp.tanh(error), None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_real(target, outputs, "log-cosh")


def huber(be: Backend, error: Array, delta: float) -> tuple[Array, Array]:
    """(losses, slopes): with c the error held between -delta and delta, c (e - c / 2) and c."""
    limit = be.xp.full_like(error, delta)
    held = be.xp.where(error > limit, limit, be.xp.where(error < -limit, -limit, error))
    return held * (error - held / 2), held
