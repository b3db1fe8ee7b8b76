"""Losses of the angle between prediction and target."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.kernels.length import scaled
from xpnn.losses.base import Host, Loss, Terms, check_real, same_shape

TINY = 1e-12
"""Added to squared lengths, as PyTorch does: a row of zeros has cosine 0."""


@dataclass(frozen=True)
class CosineEmbedding(Loss):
    """L = mean over rows of 1 - cos, with cos = p t / (|p| |t|) on the last axis: PyTorch's, for matching pairs.

    p, t: (N, ..., features). Gradient: (cos p / |p|^2 - t / (|p| |t|)) / (number of rows). Rows whose squares overflow
    are scaled first.
    """

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        same_shape("cosine embedding", prediction, target)
        xp = be.xp
        (p, a), (t, b) = scaled(be, prediction, -1, up=False), scaled(be, target, -1, up=False)
        square = xp.sum(p * p, axis=-1, keepdims=True) + TINY / a / a
        lengths = xp.sqrt(square * (xp.sum(t * t, axis=-1, keepdims=True) + TINY / b / b))
        cosine = xp.sum(p * t, axis=-1, keepdims=True) / lengths
        return 1 - cosine[..., 0], (cosine * p / square - t / lengths) / a, None

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        return check_real(target, outputs, "cosine embedding")
