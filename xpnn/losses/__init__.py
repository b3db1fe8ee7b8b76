"""The losses, by class and by name."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.losses.base import Loss
from xpnn.losses.binary import BinaryCrossEntropy
from xpnn.losses.cross_entropy import SoftmaxCrossEntropy
from xpnn.losses.regression import MeanAbsoluteError, MeanSquaredError

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SoftmaxCrossEntropy",
    "get_loss",
]

LOSSES: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
}


def get_loss(loss: str | Loss) -> Loss:
    """A loss by name, or the loss itself."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise UsageError(f"unknown loss {loss!r}", fix=did_you_mean(loss, LOSSES))
    return LOSSES[loss]()
