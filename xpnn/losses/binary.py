"""Binary cross-entropy from logits."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, check_real, same_shape
from xpnn.losses.regression import weighted_mean


@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """L = mean of max(z, 0) - z y + log(1 + e^-|z|), which is -y log p - (1 - y) log(1 - p) for p = sigmoid(z).

    z: logits (N, ...); y: the same shape, from 0 to 1. Gradient: (sigmoid(z) - y) / (number of elements).
    Never computed from p: at z = 100 there is no 1 - p left to take the logarithm of.
    """

    wants = "logits"
    kind = "binary"

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """softplus(z) - z y, written so that neither end overflows."""
        same_shape("binary cross-entropy", prediction, target)
        losses = be.relu(prediction) - prediction * target + be.xp.log1p(be.xp.exp(-be.xp.abs(prediction)))
        return weighted_mean(be, losses, be.sigmoid(prediction) - target, weight)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, every entry from 0 to 1."""
        target = check_real(target, outputs, "binary cross-entropy")
        bad = np.argwhere((target < 0) | (target > 1))
        if len(bad):
            raise DataError(
                f"binary cross-entropy: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}",
                why="targets are probabilities of the class 1, from 0 to 1",
                fix="for more than two classes use softmax_cross_entropy",
            )
        return target

    def labels(self, be: Backend, prediction: Array) -> Array:
        """1 where p > 1/2, that is z > 0."""
        return be.xp.astype(prediction > 0, be.xp.int64)

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        """sigmoid(z)."""
        return be.sigmoid(prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        """1 where the target is above 1/2."""
        return be.xp.astype(target > 0.5, be.xp.int64)
