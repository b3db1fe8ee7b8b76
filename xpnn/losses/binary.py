"""Binary losses, from logits."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape
from xpnn.settings import Positive


@dataclass(frozen=True, kw_only=True)
class BinaryLoss(Loss, abstract=True):
    """A loss of logits (N, ...) and targets of the same shape, from 0 to 1."""

    wants = "logits"
    kind = "binary"

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, every entry from 0 to 1."""
        name = type(self).__name__
        target = check_real(target, outputs, name)
        bad = np.argwhere((target < 0) | (target > 1))
        if len(bad):
            raise DataError(
                f"{name}: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}",
                why="targets are probabilities of the class 1, from 0 to 1",
                fix="for more than two classes use softmax_cross_entropy",
            )
        return target

    def labels(self, be: Backend, prediction: Array) -> Array:
        return be.xp.astype(prediction > 0, be.xp.int64)

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        return be.sigmoid(prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        return be.xp.astype(target > 0.5, be.xp.int64)


@dataclass(frozen=True)
class BinaryCrossEntropy(BinaryLoss):
    """L = mean of w |z| + log(1 + e^-|z|), with w = 1 - y where z > 0, else y.

    That is -y log p - (1 - y) log(1 - p) for p = sigmoid(z). At z = inf and -inf it is 0 where y agrees, else infinite.

    z: logits (N, ...); y: the same shape, from 0 to 1. Gradient: (sigmoid(z) - y) / (number of elements).
    Never computed from p: at z = 100, 1 - p rounds to 0 and has no logarithm.
    """

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """As in the class's formula: neither end overflows."""
        same_shape("binary cross-entropy", prediction, target)
        size = be.xp.abs(prediction)
        wrong = be.xp.where(prediction > 0, 1 - target, target)
        losses = be.mask(size, wrong > 0) * wrong + be.xp.log1p(be.xp.exp(-size))
        return losses, be.sigmoid(prediction) - target, None


@dataclass(frozen=True)
class Dice(BinaryLoss):
    """L = mean over samples and channels of 1 - (2 I + smooth) / (U + smooth), with p = sigmoid(z): soft Dice.

    I = sum p y, U = sum p + sum y, both over the positions of one sample's channel. z: logits (N, positions ...,
    channels); y: masks of the same shape, from 0 to 1; classes that exclude each other are one-hot on the last axis.
    Gradient: p (1 - p) ((2 I + smooth) / (U + smooth) - 2 y) / (U + smooth) / (samples * channels).
    Source: Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, with sums in place of sums of squares below.
    """

    smooth: Positive = 1.0

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """One loss per sample and channel."""
        xp, positions = be.xp, tuple(range(1, prediction.ndim - 1))
        same_shape("Dice", prediction, target)
        check_positions(tuple(prediction.shape[1:]))
        p = be.sigmoid(prediction)
        upper = 2 * xp.sum(p * target, axis=positions, keepdims=True) + self.smooth
        lower = xp.sum(p + target, axis=positions, keepdims=True) + self.smooth
        score = upper / lower
        losses = 1 - xp.sum(score, axis=positions)
        return losses, p * be.sigmoid(-prediction) * (score - 2 * target) / lower, None

    def positions(self, outputs: tuple[int, ...]) -> tuple[int, ...]:
        """Return (): a mask is compared as a whole."""
        return ()

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The outputs' shape, with at least one axis of positions; every entry from 0 to 1."""
        check_positions(outputs)
        return super().check(target, outputs)


def check_positions(outputs: tuple[int, ...]) -> None:
    """Without positions, every element would be a mask of its own."""
    if len(outputs) < 2:
        raise ShapeError(
            f"Dice wants outputs (N, positions ..., channels), the network gives (N, {', '.join(map(str, outputs))})",
            fix="end the network in Reshape((height, width, 1))",
        )
