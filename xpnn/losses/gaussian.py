"""The likelihood of a normal distribution whose variance is predicted too."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real
from xpnn.settings import Positive


@dataclass(frozen=True)
class GaussianNLL(Loss):
    """L = mean of (log v + (t - m)^2 / v) / 2, with v = log(1 + e^r) + eps: -log of a normal density, less a constant.

    Prediction: (N, ..., 2 k): k means m, then k numbers r. Target: (N, ..., k). `predict` gives the means.
    Gradient: dm = (m - t) / v, dr = sigmoid(r) (1 - (t - m)^2 / v) / (2 v), / (number of targets).
    It is PyTorch's `gaussian_nll_loss` of m and v. Softplus makes the variance positive without overflow, and eps holds
    it off 0. Sources: Nix, Weigend, ICNN 1994; softplus and eps: Lakshminarayanan, Pritzel, Blundell, NeurIPS 2017.
    """

    eps: Positive = 1e-6

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        xp, k = be.xp, target.shape[-1]
        if tuple(prediction.shape) != (*target.shape[:-1], 2 * k):
            raise ShapeError(
                f"Gaussian NLL: prediction {tuple(prediction.shape)} for target {tuple(target.shape)}",
                why="a loss never broadcasts; each target has a mean and a variance on the last axis",
            )
        m, r = prediction[..., :k], prediction[..., k:]
        v, error = be.softplus(r) + self.eps, m - target
        share = error / v
        slopes = [share, be.sigmoid(r) * (1 - error * share) / (2 * v)]
        return (xp.log(v) + error * share) / 2, xp.concat(slopes, axis=-1), None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        if not outputs or outputs[-1] % 2:
            raise ShapeError(
                f"Gaussian NLL wants outputs (N, ..., 2 k), the network gives (N, {', '.join(map(str, outputs))})",
                why="the last axis holds k means, then as many numbers for the variances",
                fix="end the network in Dense(2 * targets)",
            )
        return check_real(target, (*outputs[:-1], outputs[-1] // 2), "Gaussian NLL")

    def labels(self, be: Backend, prediction: Array) -> Array:
        return prediction[..., : prediction.shape[-1] // 2]

    def random_target(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        return rng.standard_normal((*shape[:-1], shape[-1] // 2))
