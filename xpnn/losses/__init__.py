"""The losses, by class and by name."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.losses.base import Loss
from xpnn.losses.binary import BinaryCrossEntropy, Dice
from xpnn.losses.cosine import CosineEmbedding
from xpnn.losses.cross_entropy import SoftmaxCrossEntropy
from xpnn.losses.ctc import CTC
from xpnn.losses.focal import Focal
from xpnn.losses.gaussian import GaussianNLL
from xpnn.losses.likelihood import KLDivergence, NegativeLogLikelihood, Poisson
from xpnn.losses.margin import Hinge, SquaredHinge
from xpnn.losses.multi_output import MultiOutputLoss
from xpnn.losses.pairs import Contrastive, Triplet
from xpnn.losses.regression import MeanAbsoluteError, MeanSquaredError
from xpnn.losses.robust import Huber, LogCosh, SmoothL1

__all__ = [
    "CTC",
    "LOSSES",
    "BinaryCrossEntropy",
    "Contrastive",
    "CosineEmbedding",
    "Dice",
    "Focal",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "MultiOutputLoss",
    "NegativeLogLikelihood",
    "Poisson",
    "SmoothL1",
    "SoftmaxCrossEntropy",
    "SquaredHinge",
    "Triplet",
    "get_loss",
]

LOSSES: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
    "mean_absolute_error": MeanAbsoluteError,
    "huber": Huber,
    "smooth_l1": SmoothL1,
    "log_cosh": LogCosh,
    "hinge": Hinge,
    "squared_hinge": SquaredHinge,
    "kl_divergence": KLDivergence,
    "negative_log_likelihood": NegativeLogLikelihood,
    "poisson": Poisson,
    "cosine_embedding": CosineEmbedding,
    "focal": Focal,
    "dice": Dice,
    "gaussian_nll": GaussianNLL,
    "contrastive": Contrastive,
    "triplet": Triplet,
    "ctc": CTC,
}


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
