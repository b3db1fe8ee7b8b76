"""Metrics of real numbers: predictions and targets of one shape (N, ...). Sums are float64."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.metrics.metric import Metric, mean_of


@dataclass(frozen=True)
class MAE(Metric):
    """The mean of |target - prediction|."""

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        prediction, target = doubles(be, scores, ids)
        total = be.xp.sum(be.xp.abs(target - prediction))
        return be.xp.stack([total, be.scalar(math.prod(scores.shape), be.xp.float64)])

    def result(self, counts: Any) -> Any:
        return mean_of(counts[0], counts[1])


@dataclass(frozen=True)
class MSE(Metric):
    """The mean of (target - prediction)^2."""

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        prediction, target = doubles(be, scores, ids)
        total = be.xp.sum((target - prediction) * (target - prediction))
        return be.xp.stack([total, be.scalar(math.prod(scores.shape), be.xp.float64)])

    def result(self, counts: Any) -> Any:
        return mean_of(counts[0], counts[1])


@dataclass(frozen=True)
class R2(Metric):
    """1 - sum (y - prediction)^2 / sum (y - mean y)^2 for each output, and the mean over outputs.

    Batches are joined by their means and the squares about them (Chan, Golub, LeVeque, 1979): a large mean costs no
    digits. Where all targets are equal the denominator is 0, and the value 1 for perfect predictions, else 0. NaN of no
    samples, and where a number is NaN.
    """

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """(4, outputs): samples, mean of y, sum of (y - mean)^2, sum of squared errors."""
        xp = be.xp
        prediction, target = (
            xp.reshape(a, (scores.shape[0], math.prod(scores.shape[1:]))) for a in doubles(be, scores, ids)
        )
        mean, miss = xp.sum(target, axis=0) / (scores.shape[0] or 1), target - prediction
        spread = xp.sum((target - mean) * (target - mean), axis=0)
        return xp.stack([xp.sum(xp.ones_like(target), axis=0), mean, spread, xp.sum(miss * miss, axis=0)])

    def merge(self, be: Backend, a: Array, b: Array) -> Array:
        """The squares about the common mean are those about each, and n_a n_b / (n_a + n_b) (mean_a - mean_b)^2."""
        n, apart = a[0, :] + b[0, :], b[1, :] - a[1, :]
        some = be.xp.where(n > 0, n, be.xp.ones_like(n))
        mean = a[1, :] + apart * b[0, :] / some
        spread = a[2, :] + b[2, :] + apart * apart * a[0, :] * b[0, :] / some
        return be.xp.stack([n, mean, spread, a[3, :] + b[3, :]])

    def result(self, counts: Any) -> Any:
        n, mean, spread, missed = np.asarray(counts, np.float64)
        if not n.all() or not np.isfinite(spread + missed).all():
            return math.nan
        spread = np.where(spread > n * (4 * np.finfo(np.float64).eps * mean) ** 2, spread, 0.0)
        share = missed / np.where(spread > 0, spread, 1.0)
        return float(np.mean(np.where(spread > 0, 1 - share, missed == 0)))


def doubles(be: Backend, prediction: Array, target: Array) -> tuple[Array, Array]:
    """Both as float64. Raises ShapeError where their shapes differ: nothing is broadcast."""
    if tuple(prediction.shape) != tuple(target.shape):
        raise ShapeError(
            f"predictions {tuple(prediction.shape)} and targets {tuple(target.shape)} differ in shape"
        )
    return be.xp.astype(prediction, be.xp.float64), be.xp.astype(target, be.xp.float64)
