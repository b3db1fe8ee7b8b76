"""What the losses over classes share: targets as ids or rows, ignored ids, correct predictions."""

from dataclasses import dataclass

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, is_ids, same_shape, same_sizes, spread
from xpnn.settings import Share


@dataclass(frozen=True, kw_only=True)
class ClassLoss(Loss, abstract=True):
    """A loss of outputs (N, C) against class ids (N,), or against one-hot or soft rows (N, C) that sum to 1.

    Outputs may have positions: (N, T, C) of tokens with ids (N, T) or rows (N, T, C), (N, H, W, C) of pixels with ids
    (N, H, W) or rows (N, H, W, C). Each position counts as a sample does: the mean is over all positions of all
    samples. One whose id is `ignore_index` has weight 0: its loss and gradient are 0, the mean does not divide by it,
    and it is neither hit nor miss. It may be a class or no id at all, such as -100; rows are never ignored.
    """

    ignore_index: int | None = None

    kind = "classes"

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """-> (the reduced loss, its gradient), ignored samples and positions with weight 0."""
        valid_mask = self.valid_mask(be, target) if target.ndim < prediction.ndim else None
        if valid_mask is not None:
            own = be.xp.ones_like(prediction[..., 0]) if weight is None else weight
            weight = be.mask(spread(be, own, valid_mask.shape), valid_mask)
        return super().__call__(be, prediction, target, weight)

    def rows(self, be: Backend, prediction: Array, target: Array) -> Array:
        """The target as rows, shaped like the prediction."""
        if target.ndim < prediction.ndim:
            return one_hot(be, self.check_ids(be, prediction, target), prediction.shape[-1])
        same_shape(type(self).__name__, prediction, target)
        return target if target.dtype == prediction.dtype else be.xp.astype(target, prediction.dtype)

    def check_ids(self, be: Backend, prediction: Array, target: Array) -> Array:
        """The ids as int64. Raises ShapeError or DataError unless they are a whole number for each row."""
        if prediction.ndim < 2 or tuple(target.shape) != tuple(prediction.shape[:-1]):
            raise ShapeError(
                f"{type(self).__name__}: ids {tuple(target.shape)} for a prediction {tuple(prediction.shape)}",
                why="wanted (N,) and (N, C), or (N, ...) and (N, ..., C)",
            )
        if target.dtype != be.xp.int64 and not be.xp.isdtype(target.dtype, "integral"):
            raise DataError(
                f"{type(self).__name__}: ids are {target.dtype}",
                why="a class id is a whole number",
                fix="int64 ids",
            )
        return whole(be, target)

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """Ids become int64, the ignored ones with them; rows are checked to be distributions, and become floats.

        The error names the first bad index and value.
        """
        name = type(self).__name__
        if not outputs or outputs[-1] is None or outputs[-1] < 2:
            raise ShapeError(
                f"{name} wants outputs (N, classes), the network gives (N, {', '.join(map(str, outputs))})",
                fix="end the network in Dense(classes), or use binary_cross_entropy for one output",
            )
        *positions, classes = outputs
        if same_sizes(
            target.shape[1:], (*positions, 1)
        ):  # a column, as tables have it, or a mask of one channel
            target = target[..., 0]
        if target.ndim == len(outputs) + 1 and same_sizes(target.shape[1:-1], positions):
            return check_rows(target, classes)
        if target.ndim == 0 or not same_sizes(target.shape[1:], positions):
            ids = ", ".join(map(str, ("N", *positions)))
            raise ShapeError(
                f"labels of shape {target.shape} for outputs ({ids}, {classes})",
                why=f"wanted ids ({ids}{'' if positions else ','}) or rows ({ids}, {classes})",
                fix="one label a sample: end the network in Flatten() and Dense(classes)"
                if positions
                else "",
            )
        return check_ids(target, classes, self.ignore_index)

    @property
    def even(self) -> bool:
        """Samples count differently, since ignored ones do not count."""
        return self.ignore_index is None

    def labels(self, be: Backend, prediction: Array) -> Array:
        return be.xp.argmax(prediction, axis=-1)

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        return be.softmax(prediction)

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        return whole(be, target) if is_ids(be, target) else be.xp.argmax(target, axis=-1)

    def valid_mask(self, be: Backend, target: Array) -> Array | None:
        """Return False for ignored ids, else True."""
        if self.ignore_index is None or not is_ids(be, target):
            return None
        return whole(be, target) != self.ignore_index

    def random_target(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """The most likely class of each sample, or position, as ids."""
        return rng.integers(0, shape[-1], shape[:-1])


@dataclass(frozen=True)
class WeightedClassLoss(ClassLoss, abstract=True):
    """A loss over classes with smoothed labels, and a weight of its own for each class.

    label_smoothing: from 0 to 1. class_weight: one number for each class, at least 0 and not all 0; the mean divides
    by the sum of the weights.
    """

    label_smoothing: Share = 0.0
    class_weight: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weight is not None:
            object.__setattr__(self, "class_weight", tuple(map(float, self.class_weight)))
            if not all(w >= 0 for w in self.class_weight) or sum(self.class_weight) == 0:
                raise UsageError(f"class_weight={self.class_weight}: weights are at least 0 and not all 0")

    def weighted_rows(self, be: Backend, prediction: Array, target: Array) -> tuple[Array, Array]:
        """-> (k_c q_nc (N, ..., C), sum_c k_c y_nc (N, ...)).

        y: the target as rows; q = (1 - smoothing) y + smoothing / C.
        """
        q = y = self.rows(be, prediction, target)
        if self.label_smoothing:
            q = (1 - self.label_smoothing) * y + self.label_smoothing / prediction.shape[-1]
        if self.class_weight is not None:
            k = be.xp.stack([be.scalar(w) for w in self.class_weight])
            q, y = q * k, y * k
        return q, be.xp.sum(y, axis=-1)

    @property
    def even(self) -> bool:
        """Classes may differ in weight."""
        return super().even and self.class_weight is None

    def counts(self, be: Backend, target: Array, weight: Array) -> Array:
        """s_n sum_c k_c y_nc, the positions of a sample together."""
        if self.class_weight is None:
            return super().counts(be, target, weight)
        k = be.xp.stack([be.scalar(w) for w in self.class_weight])
        y = one_hot(be, target, len(self.class_weight)) if is_ids(be, target) else target
        each = be.xp.sum(y * k, axis=-1)
        return super().counts(be, target, each * spread(be, weight, each.shape))

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """As for every loss over classes; and one class weight for each class."""
        target = super().check(target, outputs)
        if self.class_weight is not None and len(self.class_weight) != outputs[-1]:
            raise UsageError(f"class_weight has {len(self.class_weight)} entries for {outputs[-1]} classes")
        return target


def one_hot(be: Backend, ids: Array, classes: int) -> Array:
    """Ids (N, ...) to rows (N, ..., classes)."""
    if ids.ndim == 1:
        return be.one_hot(ids, classes)
    return be.xp.reshape(be.one_hot(be.xp.reshape(ids, (-1,)), classes), (*ids.shape, classes))


def whole(be: Backend, ids: Array) -> Array:
    """Ids as int64: some libraries would take -100 for 156 beside bytes."""
    return ids if ids.dtype == be.xp.int64 else be.xp.astype(ids, be.xp.int64)


def check_ids(ids: Host, classes: int, ignore: int | None = None) -> Host:
    """Class ids as int64.

    Whole numbers held as floats are fine; fractions, NaN, negatives and ids >= classes are not, but for `ignore`.
    """
    with np.errstate(invalid="ignore"):
        bad = (ids != np.floor(ids)) if ids.dtype.kind == "f" else np.zeros(ids.shape, bool)
        bad = bad | ~((ids >= 0) & (ids < classes))
        bad = bad if ignore is None else bad & (ids != ignore)
    if bad.any():
        at = tuple(np.argwhere(bad)[0].tolist())
        if np.isnan(ids[at]):
            fix = "leave out the samples without a label"
        elif ids[at] != np.floor(ids[at]):
            fix = 'classes are whole numbers; for real ones: a last layer of one output, and loss="mse"'
        else:
            fix = "renumber the classes from 0, or widen the last layer"
        raise DataError(
            f"label {at[0] if len(at) == 1 else at} is {ids[at]}",
            why=f"with {classes} outputs the labels are 0 to {classes - 1}; "
            f"{int(bad.sum())} of {ids.size} are not",
            fix=fix,
        )
    return ids.astype(np.int64, copy=False)


def check_rows(rows: Host, classes: int) -> Host:
    """One-hot or soft labels as floats: (N, ..., classes), no entry below 0, each row sums to 1."""
    if rows.shape[-1] != classes:
        raise ShapeError(
            f"labels of width {rows.shape[-1]} for {classes} outputs", fix="one column for each output"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        bad = ~((rows >= 0).all(axis=-1) & (np.abs(rows.sum(axis=-1, dtype=np.float64) - 1) < 1e-3))
    if bad.any():
        at = tuple(np.argwhere(bad)[0].tolist())
        raise DataError(
            f"label row {at[0] if len(at) == 1 else at} is no distribution: "
            f"{np.array2string(rows[at], threshold=20)}",
            why="entries are at least 0 and sum to 1",
            fix="divide each row by its sum, or give class ids",
        )
    return rows if rows.dtype.kind == "f" else rows.astype(np.float32)
