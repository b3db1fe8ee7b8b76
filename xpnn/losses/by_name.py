"""The losses that a user picks by name: `loss="huber"`."""

from collections.abc import Callable
from typing import Any

from xpnn.errors import UsageError, did_you_mean
from xpnn.losses.base import Loss
from xpnn.losses.function import FunctionLoss
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
"""Short names."""
ELSEWHERE = {
    "categorical_crossentropy": "softmax_cross_entropy",
    "sparse_categorical_crossentropy": "softmax_cross_entropy",
    "categorical_cross_entropy": "softmax_cross_entropy",
    "sparse_categorical_cross_entropy": "softmax_cross_entropy",
    "crossentropy": "softmax_cross_entropy",
    "crossentropyloss": "softmax_cross_entropy",
    "log_loss": "softmax_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy",
    "bceloss": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy",
    "binary_cross_entropy_with_logits": "binary_cross_entropy",
    "l2": "mean_squared_error",
    "mseloss": "mean_squared_error",
    "squared_error": "mean_squared_error",
    "l1": "mean_absolute_error",
    "l1loss": "mean_absolute_error",
    "nllloss": "negative_log_likelihood",
    "nll_loss": "negative_log_likelihood",
    "huberloss": "huber",
    "smoothl1loss": "smooth_l1",
    "kld": "kl_divergence",
    "kldivloss": "kl_divergence",
    "kullback_leibler_divergence": "kl_divergence",
    "categorical_focal_crossentropy": "focal",
    "ctcloss": "ctc",
    "ctc_loss": "ctc",
    "dice_loss": "dice",
    "logcosh": "log_cosh",
    "cosine_similarity": "cosine_embedding",
}
"""What other libraries call them: refused by these names, for some of theirs want probabilities, not logits."""


def get_loss(loss: "str | Loss | Callable[..., Any]") -> Loss:
    """A loss by name, the loss itself, or a function as one. Raises UsageError for anything else."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, type):
        missing = f"it derives from no Loss: class {loss.__name__}(Loss), with methods terms and check"
        fix = f"{loss.__name__}(), an object" if issubclass(loss, Loss) else missing
        raise UsageError(f"loss={loss.__name__} is a class", fix=fix)
    if callable(loss):
        return FunctionLoss(loss)
    known = LOSSES | {name: LOSSES[full] for name, full in SHORT.items()}
    if not isinstance(loss, str) or loss not in known:
        raise UsageError(f"unknown loss {loss!r}", fix=_from_elsewhere(loss) or did_you_mean(loss, known))
    return known[loss]()


def _from_elsewhere(loss: object) -> str:
    """`fix` text for a name of another library's."""
    name = ELSEWHERE.get(loss.lower()) if isinstance(loss, str) else None
    if name is None:
        return ""
    wants = LOSSES[name].wants
    more = ", which takes class ids or one-hot rows" if name == "softmax_cross_entropy" else ""
    more += f"; it wants {wants}: end the network without Softmax or Sigmoid" if wants else ""
    return f"here it is {name!r}{more}"
