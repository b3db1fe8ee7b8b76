"""Softmax cross-entropy against class ids that all count equally: loss, gradient and hits at once."""

from typing import Any

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.losses import MultiOutputLoss, SoftmaxCrossEntropy


def matches(loss: Any, prediction: Array, target: Array) -> bool:
    """Whether the kernels compute this loss against these targets, which are ids then."""
    return is_plain(loss) and target.ndim == prediction.ndim - 1


def is_plain(loss: Any) -> bool:
    """Whether of ids the kernels compute this loss: the mean, without smoothing, weights, or ids to ignore."""
    return (
        type(loss) is SoftmaxCrossEntropy
        and loss.reduction == "mean"
        and loss.label_smoothing == 0
        and loss.class_weight is None
        and loss.ignore_index is None
    )


def loss_and_gradient(
    loss: Any, be: Backend, prediction: Any, target: Any, weight: Array | None = None
) -> Any:
    """What loss(be, prediction, target, weight) gives: the reduced loss, and its gradient by the prediction."""
    if type(loss) is MultiOutputLoss:
        each = zip(loss.losses, prediction, target, strict=True)
        return loss.joined([loss_and_gradient(one, be, p, t, weight) for one, p, t in each])
    if weight is None and matches(loss, prediction, target):
        value, gradient = be.softmax_cross_entropy(*rows(loss, be, prediction, target))
        return value, gradient if target.ndim == 1 else be.xp.reshape(gradient, prediction.shape)
    return loss(be, prediction, target, weight)


def loss_and_correct(loss: Any, be: Backend, prediction: Any, target: Any) -> Any:
    """The reduced loss without its gradient, and how many labels are right (0-d int64; None for a regression)."""
    if matches(loss, prediction, target):
        return be.softmax_cross_entropy_and_correct(*rows(loss, be, prediction, target))
    return loss(be, prediction, target)[0], loss.n_correct(be, prediction, target)


def loss_gradient_and_correct(
    loss: Any, be: Backend, prediction: Any, target: Any, weight: Array | None = None
) -> Any:
    """What `loss_and_gradient` gives, and how many labels are right: 0-d int64; None for a regression.

    Of several outputs a tuple with the number for each.
    """
    if type(loss) is MultiOutputLoss:
        given = zip(loss.losses, prediction, target, strict=True)
        each = [loss_gradient_and_correct(one, be, p, t, weight) for one, p, t in given]
        value, gradients = loss.joined([(value, gradient) for value, gradient, _ in each])
        return value, gradients, tuple(correct for _, _, correct in each)
    if weight is None and matches(loss, prediction, target):
        value, gradient, correct = be.softmax_cross_entropy_gradient_and_correct(
            *rows(loss, be, prediction, target)
        )
        return value, gradient if target.ndim == 1 else be.xp.reshape(gradient, prediction.shape), correct
    correct = loss.n_correct(be, prediction, target)
    return *loss(be, prediction, target, weight), correct


def rows(loss: Any, be: Backend, prediction: Array, target: Array) -> tuple[Array, Array]:
    """Logits (N, C) and ids (N,), where there are positions one of each for every position."""
    ids = loss.check_ids(be, prediction, target)
    if target.ndim == 1:
        return prediction, ids
    return be.xp.reshape(prediction, (-1, prediction.shape[-1])), be.xp.reshape(ids, (-1,))
