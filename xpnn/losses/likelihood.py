"""Losses from log-probabilities and log-rates."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape
from xpnn.losses.classes import WeightedClassLoss


@dataclass(frozen=True)
class NegativeLogLikelihood(WeightedClassLoss):
    """L = -sum_n s_n sum_c k_c q_nc l_nc / sum_n s_n sum_c k_c y_nc: softmax cross-entropy in two steps, for a net that
    gives log-probabilities.

    l: the logarithms of probabilities, (N, C), or (N, ..., C) with positions: n runs over all positions of all samples.
    Target: class ids (N, ...), or one-hot or soft rows (N, ..., C) that sum to 1; y: the target as rows;
    q = (1 - smoothing) y + smoothing / C; k: class weights (1 if none); s: weights of samples or positions (1 if none),
    0 where the id is `ignore_index`; a batch in which nothing counts has loss 0.
    Gradient: -s_n k_k q_nk / (the same denominator). For ids it is PyTorch's `nll_loss` with `weight`.
    """

    wants = "log-probabilities"

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """Classes of probability 0 (-inf) do not count unless they are the target."""
        q, counts = self.weighted_rows(be, prediction, target)
        return -be.xp.sum(q * be.mask(prediction, q > 0), axis=-1), -q, counts

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        return be.xp.exp(prediction)


@dataclass(frozen=True)
class KLDivergence(Loss):
    """L = mean over rows of sum_c t_c (log t_c - l_c): how far the distribution e^l is from t. 0 log 0 is 0.

    l: log-probabilities (N, ..., C); t: the same shape, at least 0. Gradient: -t / (number of rows).
    "mean" is PyTorch's "batchmean" for (N, C); "none" has a value per element, as there.
    Source: Kullback, Leibler (1951).
    """

    wants = "log-probabilities"

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """Where t is 0 the prediction may be -inf."""
        same_shape("KL divergence", prediction, target)
        some = target > 0
        terms = target * (
            be.xp.log(be.xp.where(some, target, be.xp.ones_like(target))) - be.mask(prediction, some)
        )
        return terms, -target, be.xp.ones_like(target[..., 0])

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_least_0(target, outputs, "KL divergence", "targets are probabilities")


@dataclass(frozen=True)
class Poisson(Loss):
    """L = mean of e^z - t z: -log of the Poisson density of the count t at the rate e^z, without log t!.

    z: log-rates (N, ...); t: the same shape, at least 0. Gradient: (e^z - t) / (number of elements).
    """

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("Poisson", prediction, target)
        rate = be.xp.exp(prediction)  # 0 at -inf, where nothing is expected, and 0 counts are no surprise
        return rate - target * be.mask(prediction, target > 0), rate - target, None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_least_0(target, outputs, "Poisson", "targets are counts")

    def labels(self, be: Backend, prediction: Array) -> Array:
        return be.xp.exp(prediction)


def check_least_0(target: Host, outputs: tuple[int, ...], name: str, why: str) -> Host:
    """Targets of the outputs' shape, finite, none below 0."""
    target = check_real(target, outputs, name)
    bad = np.argwhere(target < 0)
    if len(bad):
        raise DataError(f"{name}: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}", why=why)
    return target
