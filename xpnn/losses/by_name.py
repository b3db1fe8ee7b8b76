"""The losses that a user picks by name: `loss="huber"`."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.losses.base import Loss
from xpnn.names import usable_by_name

__all__ = ["LOSSES", "get_loss"]

LOSSES: dict[str, type[Loss]] = usable_by_name("losses", Loss)
"""{the class's name in snake case: the class}."""
SHORT = {
    "cross_entropy": "softmax_cross_entropy",
    "bce": "binary_cross_entropy",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "nll": "negative_log_likelihood",
}
"""What these losses are called elsewhere."""


def get_loss(loss: str | Loss) -> Loss:
    """A loss by name, or the loss itself."""
    if isinstance(loss, Loss):
        return loss
    known = LOSSES | {name: LOSSES[full] for name, full in SHORT.items()}
    if not isinstance(loss, str) or loss not in known:
        raise UsageError(f"unknown loss {loss!r}", fix=did_you_mean(loss, known))
    return known[loss]()
