"""Softmax cross-entropy from logits."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.losses.base import Terms
from xpnn.losses.classes import WeightedClassLoss


@dataclass(frozen=True)
class SoftmaxCrossEntropy(WeightedClassLoss):
    """L = sum_n s_n sum_c -k_c q_nc log softmax(z_n)_c / sum_n s_n sum_c k_c y_nc.

    z: logits (N, C), or (N, ..., C) with positions: n runs over all positions of all samples. Target: class ids
    (N, ...), or one-hot or soft rows (N, ..., C) that sum to 1; equal values and gradients for all three. y: as rows;
    q = (1 - smoothing) y + smoothing / C; k: class weights (1 if none); s: weights of samples or positions (1 if none),
    0 where the id is `ignore_index`; a batch in which nothing counts has loss 0.
    Gradient: dz_nk = s_n (softmax(z_n)_k sum_c k_c q_nc - k_k q_nk) / (the same denominator).
    For ids it is PyTorch's `cross_entropy` with `weight` and `label_smoothing`; soft rows PyTorch's mean divides by N.
    Raises UsageError for weights that are negative or all 0. Label smoothing: Szegedy et al., CVPR 2016.
    """

    wants = "logits"

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """One loss per sample or position; it counts as much as its classes weigh."""
        xp = be.xp
        q, counts = self.weighted_rows(be, prediction, target)
        z = prediction - xp.max(prediction, axis=-1, keepdims=True)
        e = xp.exp(z)
        total = xp.sum(e, axis=-1, keepdims=True)
        losses = xp.sum(q * be.mask(xp.log(total) - z, q > 0), axis=-1)  # 0 log 0 is 0
        return losses, e / total * xp.sum(q, axis=-1, keepdims=True) - q, counts
