"""Softmax cross-entropy from logits."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Terms
from xpnn.losses.classes import ClassLoss


@dataclass(frozen=True)
class SoftmaxCrossEntropy(ClassLoss):
    """L = sum_n s_n sum_c -k_c q_nc log softmax(z_n)_c / sum_n s_n sum_c k_c y_nc.

    z: logits (N, C). Target: class ids (N,), or one-hot or soft rows (N, C) that sum to 1; equal values and gradients
    for all three. y: the target as rows; q = (1 - smoothing) y + smoothing / C; k: class weights (1 if none); s: sample
    weights (1 if none), 0 where the id is `ignore_index`; a batch in which nothing counts has loss 0.
    Gradient: dz_nk = s_n (softmax(z_n)_k sum_c k_c q_nc - k_k q_nk) / (the same denominator).
    For ids it is PyTorch's `cross_entropy` with `weight` and `label_smoothing`; soft rows PyTorch's mean divides by N.
    Raises UsageError for weights that are negative or all 0. Label smoothing: Szegedy et al., CVPR 2016.
    """

    wants = "logits"
    label_smoothing: float = 0.0
    class_weight: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.label_smoothing <= 1:
            raise UsageError(f"label_smoothing={self.label_smoothing} is not between 0 and 1")
        if self.class_weight is not None:
            object.__setattr__(self, "class_weight", tuple(map(float, self.class_weight)))
            if not all(w >= 0 for w in self.class_weight) or sum(self.class_weight) == 0:
                raise UsageError(f"class_weight={self.class_weight}: weights are at least 0 and not all 0")

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """One loss per sample; it counts as much as its classes weigh."""
        xp, classes = be.xp, prediction.shape[1]
        y = self.rows(be, prediction, target)
        q, counts = y, xp.sum(y, axis=1)
        if self.label_smoothing:
            q = (1 - self.label_smoothing) * y + self.label_smoothing / classes
        if self.class_weight is not None:
            k = xp.stack([be.scalar(w) for w in self.class_weight])
            q, counts = q * k, xp.sum(y * k, axis=1)
        z = prediction - xp.max(prediction, axis=1, keepdims=True)
        e = xp.exp(z)
        total = xp.sum(e, axis=1, keepdims=True)
        losses = xp.sum(q * be.mask(xp.log(total) - z, q > 0), axis=1)  # 0 log 0 is 0
        return losses, e / total * xp.sum(q, axis=1, keepdims=True) - q, counts

    @property
    def even(self) -> bool:
        """Classes may differ in weight."""
        return super().even and self.class_weight is None

    def counts(self, be: Backend, target: Array, weight: Array) -> Array:
        """s_n sum_c k_c y_nc."""
        if self.class_weight is None:
            return super().counts(be, target, weight)
        k = be.xp.stack([be.scalar(w) for w in self.class_weight])
        y = be.one_hot(target, len(self.class_weight)) if target.ndim == 1 else target
        return super().counts(be, target, weight * be.xp.sum(y * k, axis=1))

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """As for every loss over classes; and one class weight for each class."""
        target = super().check(target, outputs)
        if self.class_weight is not None and len(self.class_weight) != outputs[0]:
            raise UsageError(f"class_weight has {len(self.class_weight)} entries for {outputs[0]} classes")
        return target
