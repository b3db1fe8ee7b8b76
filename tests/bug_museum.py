"""The bug museum: mistakes of hand-written networks, each as a layer or a loss that makes it.

Some were found in the code behind one of the write-ups, the others are everybody's. All are written anew from the
description of the mistake: each differs from xpnn's own layer, its twin, in the one line that is wrong.
"""

from dataclasses import dataclass
from typing import Any

import xpnn
from xpnn.layers import Layer
from xpnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy


class BiasMean(xpnn.Dense):
    """The bias gradient is the mean over the batch, while the weights' is the sum."""

    def backward(self, cx, p, cache, dy):
        dx, grads = super().backward(cx, p, cache, dy)
        return dx, grads | {"b": cx.be.xp.mean(dy, axis=0)}


class BiasRow(xpnn.Dense):
    """The bias gradient is a row (1, n), which broadcasts against b without a word."""

    def backward(self, cx, p, cache, dy):
        dx, grads = super().backward(cx, p, cache, dy)
        return dx, grads | {"b": cx.be.xp.sum(dy, axis=0, keepdims=True)}


class Untransposed(xpnn.Dense):
    """dx = dy W: for a square W nothing complains."""

    def backward(self, cx, p, cache, dy):
        _, grads = super().backward(cx, p, cache, dy)
        return dy @ p["W"], grads


class MeanTwice(xpnn.Dense):
    """Divides dW and db by the batch once more, after the loss has taken the mean."""

    def backward(self, cx, p, cache, dy):
        dx, grads = super().backward(cx, p, cache, dy)
        return dx, {key: grad / dy.shape[0] for key, grad in grads.items()}


class UpdatesFirst(xpnn.Dense):
    """Steps W downhill inside backward, then sends dy back through the new W."""

    def backward(self, cx, p, cache, dy):
        _, grads = super().backward(cx, p, cache, dy)
        return dy @ (p["W"] - 0.01 * grads["W"]).T, grads


class CutsWhereDyIsNegative(xpnn.ReLU):
    """Masks by the sign of dy instead of the sign of x."""

    def backward(self, cx, p, cache, dy):
        return cx.be.relu(dy), {}


class SlopeAtOutput(xpnn.Sigmoid):
    """s'(x) = s(x) (1 - s(x)), evaluated at y = s(x): the sigmoid is taken twice."""

    def backward(self, cx, p, cache, dy):
        (y,) = cache
        again = cx.be.sigmoid(y)
        return dy * again * (1 - again), {}


class DiagonalOnly(xpnn.Softmax):
    """The diagonal p (1 - p) for the whole Jacobian diag(p) - p p^T."""

    def backward(self, cx, p, cache, dy):
        (y,) = cache
        return dy * y * (1 - y), {}


class UnscaledBackward(xpnn.Dropout):
    """The mask comes back, its scale 1 / (1 - rate) does not."""

    def backward(self, cx, p, cache, dy):
        (keep,) = cache
        return cx.be.xp.where(keep, dy, cx.be.xp.zeros_like(dy)), {}


class SoftmaxCountedTwice(SoftmaxCrossEntropy):
    """(p - y) / m is the gradient at the logits already; here it meets p (1 - p) and another 1 / m."""

    def __call__(self, be, prediction, target, weight=None):
        value, gradient = super().__call__(be, prediction, target, weight)
        p = be.softmax(prediction)
        return value, gradient * p * (1 - p) / prediction.shape[0]


class ForgotTheMean(SoftmaxCrossEntropy):
    """The value is a mean over the batch, the gradient that of the sum."""

    def __call__(self, be, prediction, target, weight=None):
        value, gradient = super().__call__(be, prediction, target, weight)
        return value, gradient * prediction.shape[0]


class HalfTheColumns(MeanSquaredError):  # noqa: N818 - no exception, whatever its base is called
    """The gradient (p - t) / N of a value that is a mean over N C elements: C / 2 times too long."""

    def __call__(self, be, prediction, target, weight=None):
        value, _ = super().__call__(be, prediction, target, weight)
        return value, (prediction - target) / prediction.shape[0]


class BothSides(SoftmaxCrossEntropy):
    """Adds the binary -(1 - y) log(1 - p) to every class. The gradient fits the value, so only the value is wrong."""

    def __call__(self, be, prediction, target, weight=None):
        xp, y, p = be.xp, be.one_hot(target, prediction.shape[1]), be.softmax(prediction)
        n = prediction.shape[0]
        value = -xp.sum(y * xp.log(p) + (1 - y) * xp.log(1 - p)) / n
        dp = ((1 - y) / (1 - p) - y / p) / n
        return value, p * (dp - xp.sum(dp * p, axis=1, keepdims=True))


class BothSidesHalfDone(BothSides):
    """The same value, with the gradient (p - y) / N of the loss it was meant to be."""

    def __call__(self, be, prediction, target, weight=None):
        value, _ = super().__call__(be, prediction, target, weight)
        return value, SoftmaxCrossEntropy.__call__(self, be, prediction, target, weight)[1]


class Overflows(xpnn.Sigmoid):
    """1 / (1 + e^-x) as it stands in the book: e^-x is infinite for x below -709 (below -88 in float32)."""

    def forward(self, cx, p, x):
        y = 1 / (1 + cx.be.xp.exp(-x))
        return y, (y,)


class OverflowsUpwards(xpnn.Sigmoid):
    """e^x / (1 + e^x), the same function: infinity over infinity for large x."""

    def forward(self, cx, p, x):
        e = cx.be.xp.exp(x)
        y = e / (1 + e)
        return y, (y,)


class LogOfTheSigmoid(BinaryCrossEntropy):
    """-y log p - (1 - y) log(1 - p) from p: at a logit of 40 there is no 1 - p left in float64."""

    def __call__(self, be, prediction, target, weight=None):
        xp, p = be.xp, be.sigmoid(prediction)
        value = xp.mean(-target * xp.log(p) - (1 - target) * xp.log(1 - p))
        return value, super().__call__(be, prediction, target, weight)[1]


@dataclass(frozen=True)
class Exhibit:
    """A wrong layer or loss, its right twin, and the arrays whose gradient it gets wrong."""

    wrong: Any
    right: Any
    arrays: tuple[str, ...]

    @property
    def name(self) -> str:
        return type(self.wrong).__name__


LAYERS = (
    Exhibit(BiasMean(3), xpnn.Dense(3), ("b",)),
    Exhibit(BiasRow(3), xpnn.Dense(3), ("b",)),
    Exhibit(Untransposed(3), xpnn.Dense(3), ("x",)),
    Exhibit(MeanTwice(3), xpnn.Dense(3), ("W", "b")),
    Exhibit(UpdatesFirst(3), xpnn.Dense(3), ("x",)),
    Exhibit(CutsWhereDyIsNegative(), xpnn.ReLU(), ("x",)),
    Exhibit(SlopeAtOutput(), xpnn.Sigmoid(), ("x",)),
    Exhibit(DiagonalOnly(), xpnn.Softmax(), ("x",)),
    Exhibit(UnscaledBackward(0.5), xpnn.Dropout(0.5), ("x",)),
)
LOSSES = (
    Exhibit(SoftmaxCountedTwice(), SoftmaxCrossEntropy(), ("prediction",)),
    Exhibit(ForgotTheMean(), SoftmaxCrossEntropy(), ("prediction",)),
    Exhibit(HalfTheColumns(), MeanSquaredError(), ("prediction",)),
    Exhibit(BothSidesHalfDone(), SoftmaxCrossEntropy(), ("prediction",)),
)
assert all(isinstance(e.wrong, Layer) for e in LAYERS)
assert all(isinstance(e.wrong, Loss) for e in LOSSES)
