"""Losses from log-probabilities and log-rates."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, check_real, same_shape, total_weight
from xpnn.losses.cross_entropy import check_ids, check_rows
from xpnn.losses.regression import weighted_mean


@dataclass(frozen=True)
class NegativeLogLikelihood(Loss):
    """L = -sum_n s_n l_n[id_n] / sum_n s_n: softmax cross-entropy in two steps, for a net that gives log-probabilities.

    l: (N, C), the logarithms of probabilities. Target: class ids (N,), or one-hot or soft rows (N, C) that sum to 1.
    s: sample weights (1 if none), 0 where the id is `ignore_index`; a batch in which nothing counts has loss 0.
    Gradient: -s_n y_nk / sum s, with y the target as rows.
    """

    wants = "log-probabilities"
    kind = "classes"
    ignore_index: int | None = None

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Classes of probability 0 (-inf) do not count unless they are the target."""
        xp, y = be.xp, target
        if target.ndim != 1:
            same_shape("negative log-likelihood", prediction, target)
        else:
            y = be.one_hot(target, prediction.shape[1])
        s = xp.ones_like(y[:, 0]) if weight is None else weight
        if target.ndim == 1 and self.ignore_index is not None:
            s = be.mask(s, target != self.ignore_index)
        y = y * (s / total_weight(be, s))[:, None]
        return -xp.sum(y * be.mask(prediction, y > 0)), -y

    def mass(self, be: Backend, target: Array, weight: Array) -> Array:
        """What is ignored weighs nothing."""
        if target.ndim == 1 and self.ignore_index is not None:
            weight = be.mask(weight, target != self.ignore_index)
        return be.xp.sum(weight)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """Ids become int64, the ignored ones with them; rows are checked to be distributions."""
        if len(outputs) != 1 or outputs[0] < 2 or target.ndim not in (1, 2):
            raise ShapeError(
                f"negative log-likelihood: labels of shape {target.shape} for outputs (N, *{outputs})",
                why="wanted ids (N,) or rows (N, classes) for outputs (N, classes)",
            )
        if target.ndim == 2:
            return check_rows(target, outputs[0])
        ignored = np.zeros(target.shape, bool) if self.ignore_index is None else target == self.ignore_index
        return np.where(ignored, self.ignore_index or 0, check_ids(np.where(ignored, 0, target), outputs[0]))

    def labels(self, be: Backend, prediction: Array) -> Array:
        """The class of the largest probability."""
        return be.xp.argmax(prediction, axis=-1)

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        """e^l."""
        return be.xp.exp(prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        """Ids as they are (what is ignored is never hit); rows by their largest entry."""
        return target if target.ndim == 1 else be.xp.argmax(target, axis=1)


@dataclass(frozen=True)
class KLDivergence(Loss):
    """L = mean over rows of sum_c t_c (log t_c - l_c): how far the distribution e^l is from t. 0 log 0 is 0.

    l: log-probabilities (N, ..., C); t: the same shape, at least 0. Gradient: -t / (number of rows).
    It is PyTorch's `kl_div` with reduction "batchmean" for (N, C). Source: Kullback, Leibler (1951).
    """

    wants = "log-probabilities"

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Where t is 0 the prediction may be -inf."""
        same_shape("KL divergence", prediction, target)
        some = target > 0
        terms = target * (
            be.xp.log(be.xp.where(some, target, be.xp.ones_like(target))) - be.mask(prediction, some)
        )
        classes = target.shape[-1]
        return weighted_mean(be, classes * terms, -classes * target, weight)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, at least 0."""
        return check_least_0(target, outputs, "KL divergence", "targets are probabilities")


@dataclass(frozen=True)
class Poisson(Loss):
    """L = mean of e^z - t z: -log of the Poisson density of the count t at the rate e^z, without log t!.

    z: log-rates (N, ...); t: the same shape, at least 0. Gradient: (e^z - t) / (number of elements).
    """

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """Shapes must be equal."""
        same_shape("Poisson", prediction, target)
        rate = be.xp.exp(prediction)
        return weighted_mean(be, rate - target * prediction, rate - target, weight)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, at least 0."""
        return check_least_0(target, outputs, "Poisson", "targets are counts")

    def labels(self, be: Backend, prediction: Array) -> Array:
        """The rate e^z."""
        return be.xp.exp(prediction)


def check_least_0(target: Host, outputs: tuple[int, ...], name: str, why: str) -> Host:
    """Targets of the outputs' shape, finite, none below 0."""
    target = check_real(target, outputs, name)
    bad = np.argwhere(target < 0)
    if len(bad):
        raise DataError(f"{name}: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}", why=why)
    return target
