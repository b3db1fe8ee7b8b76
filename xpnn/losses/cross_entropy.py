"""Softmax cross-entropy from logits."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, same_shape, total_weight


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """L = sum_n s_n sum_c -k_c q_nc log softmax(z_n)_c / sum_n s_n sum_c k_c y_nc.

    z: logits (N, C). Target: class ids (N,), or one-hot or soft rows (N, C) that sum to 1; equal values and gradients
    for all three. y: the target as rows; q = (1 - smoothing) y + smoothing / C; k: class weights (1 if none); s: sample
    weights (1 if none). Gradient: dz_nk = s_n (softmax(z_n)_k sum_c k_c q_nc - k_k q_nk) / (the same denominator).
    For ids it is PyTorch's `cross_entropy` with `weight` and `label_smoothing`. Raises UsageError for weights that
    are negative or all 0. Label smoothing: Szegedy et al., CVPR 2016.
    """

    wants = "logits"
    kind = "classes"
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

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """The plain case is one kernel; the others spell the formula out."""
        if target.ndim == 1 and weight is None and self.class_weight is None and self.label_smoothing == 0:
            return be.softmax_cross_entropy(prediction, target)
        xp, classes = be.xp, prediction.shape[1]
        if target.ndim != 1:
            same_shape("softmax cross-entropy", prediction, target)
        y = be.one_hot(target, classes) if target.ndim == 1 else target
        q = (1 - self.label_smoothing) * y + self.label_smoothing / classes
        rows = xp.sum(y, axis=1)
        if self.class_weight is not None:
            k = xp.stack([be.scalar(w) for w in self.class_weight])
            q, rows = q * k, xp.sum(y * k, axis=1)
        z = prediction - xp.max(prediction, axis=1, keepdims=True)
        e = xp.exp(z)
        total = xp.sum(e, axis=1, keepdims=True)
        weight = xp.ones_like(rows) if weight is None else weight
        s = weight / total_weight(be, rows * weight)
        value = xp.sum(s * xp.sum(q * (xp.log(total) - z), axis=1))
        return value, s[:, None] * (e / total * xp.sum(q, axis=1, keepdims=True) - q)

    def mass(self, be: Backend, target: Array, weight: Array) -> Array:
        """sum_n s_n sum_c k_c y_nc."""
        if self.class_weight is None:
            return super().mass(be, target, weight)
        k = be.xp.stack([be.scalar(w) for w in self.class_weight])
        y = be.one_hot(target, len(self.class_weight)) if target.ndim == 1 else target
        return be.xp.sum(weight * (y @ k))

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """Ids become int64; rows are checked to be distributions. The error names the first bad index and value."""
        if len(outputs) != 1 or outputs[0] < 2:
            raise ShapeError(
                f"softmax cross-entropy wants outputs (N, classes), the network gives (N, *{outputs})",
                fix="end the network in Dense(classes), or use binary_cross_entropy for one output",
            )
        (classes,) = outputs
        if self.class_weight is not None and len(self.class_weight) != classes:
            raise UsageError(f"class_weight has {len(self.class_weight)} entries for {classes} classes")
        if target.ndim == 2:
            return check_rows(target, classes)
        if target.ndim != 1:
            raise ShapeError(f"labels of shape {target.shape}", why=f"wanted ids (N,) or rows (N, {classes})")
        return check_ids(target, classes)

    def labels(self, be: Backend, prediction: Array) -> Array:
        """The class of the largest logit."""
        return be.xp.argmax(prediction, axis=-1)

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        """softmax(z)."""
        return be.softmax(prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        """Ids as they are; rows by their largest entry."""
        return target if target.ndim == 1 else be.xp.argmax(target, axis=1)


def check_ids(ids: Host, classes: int) -> Host:
    """Class ids as int64.

    Whole numbers held as floats are fine; fractions, NaN, negatives and ids >= classes are not.
    """
    with np.errstate(invalid="ignore"):
        bad = (ids != np.floor(ids)) if ids.dtype.kind == "f" else np.zeros(ids.shape, bool)
        bad = bad | ~((ids >= 0) & (ids < classes))
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            f"label {i} is {ids[i]}",
            why=f"with {classes} outputs the labels are 0 to {classes - 1}; "
            f"{int(bad.sum())} of {len(ids)} are not",
            fix="renumber the classes from 0, or widen the last layer",
        )
    return ids.astype(np.int64)


def check_rows(rows: Host, classes: int) -> Host:
    """One-hot or soft labels: (N, classes), no entry below 0, each row sums to 1."""
    if rows.shape[1] != classes:
        raise ShapeError(
            f"labels of width {rows.shape[1]} for {classes} outputs", fix="one column for each output"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        bad = ~((rows >= 0).all(axis=1) & (np.abs(rows.sum(axis=1, dtype=np.float64) - 1) < 1e-3))
    if bad.any():
        i = int(np.argmax(bad))
        raise DataError(
            f"label row {i} is no distribution: {np.array2string(rows[i], threshold=20)}",
            why="entries are at least 0 and sum to 1",
            fix="divide each row by its sum, or give class ids",
        )
    return rows
