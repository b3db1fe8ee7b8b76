"""Metrics, as pure functions of arrays that add up over batches of any size.

`metric.count(be, scores, ids) -> counts` runs on the device; `metric.merge(be, a, b)` joins those of two batches;
`metric.result(counts)` is a float, or an array for a metric per class. Scores are logits or probabilities (N, C),
ids are (N,); in a metric of real numbers both are (N, ...), predictions and targets. Counts are int64, sums float64
whatever the model's dtype is. A mean over no samples is NaN.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import DataError, ShapeError, missing
from xpnn.kernels import Array
from xpnn.settings import check_settings

Host = np.ndarray[Any, Any]
OUTSIDE = 1e-3
"""How far rounding, in half precision too, may leave a probability below 0 or above 1."""


class Metric:
    """A frozen description with `count` and `result`. abstract=True: what several metrics share."""

    abstract: ClassVar[bool] = True

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = abstract

    def __post_init__(self) -> None:
        """Raises UsageError for a setting of another type than its field's."""
        check_settings(self)

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """int64 counts, or float64 sums, of one batch."""
        raise missing(self, "count(self, be, scores, ids)", "counts")

    def merge(self, be: Backend, a: Array, b: Array) -> Array:
        """The counts of two batches together; most are sums."""
        return a + b

    def result(self, counts: Any) -> Any:
        """The value for (merged) counts on the host."""
        raise missing(self, "result(self, counts)", "a number")

    def check(self, be: Backend, scores: Array, ids: Array) -> None:
        """Raise DataError for values that `count`, which a backend may compile, cannot refuse."""

    def __call__(self, be: Backend, scores: Array, ids: Array) -> Any:
        """The value for one batch, checked."""
        with be.device_context():
            self.check(be, scores, ids)
            return self.result(be.to_numpy(self.count(be, scores, ids)))


@dataclass(frozen=True, kw_only=True)
class ClassMetric(Metric, abstract=True):
    """A metric of scores (N, C) and class ids (N,), or of a class for each position, (N, ..., C) and (N, ...).

    Each position counts as a sample does. One whose id is `ignore_index` does not count, as in the losses over classes.
    Any other id that is no class, a score that is NaN, and with logits=False one that is no probability, is a DataError
    of `check` and so of a call; `count` alone leaves such an id out.
    """

    ignore_index: int | None = None

    def classes(self, scores: Array) -> int:
        """How many classes there are."""
        return int(scores.shape[-1])

    def check_shapes(self, scores: Array, ids: Array) -> None:
        """Raise ShapeError unless there is one id for each row of scores."""
        if scores.ndim < 2 or tuple(ids.shape) != tuple(scores.shape[:-1]):
            raise ShapeError(
                f"{type(self).__name__}: scores {tuple(scores.shape)} and ids {tuple(ids.shape)}",
                why="wanted a row of scores for each id, (N, ..., C) and (N, ...): nothing is broadcast",
            )

    def valid_ids(self, be: Backend, scores: Array, ids: Array) -> Array:
        """The ids as int64, -1 for those that do not count."""
        self.check_shapes(scores, ids)
        given, ids = ids, be.xp.astype(ids, be.xp.int64)
        valid = (ids >= 0) & (ids < self.classes(scores))
        if be.xp.isdtype(given.dtype, "real floating"):
            valid = valid & (be.xp.astype(ids, given.dtype) == given)  # 1.5 is no class, though it became 1
        if self.ignore_index is not None:
            valid = valid & (ids != self.ignore_index)
        return be.xp.where(valid, ids, -be.xp.ones_like(ids))

    def rows(self, be: Backend, scores: Array, ids: Array) -> tuple[Array, Array]:
        """-> (scores (rows, C), ids (rows,) as `valid_ids` gives them): a row for each position."""
        ids = self.valid_ids(be, scores, ids)
        return be.xp.reshape(scores, (-1, scores.shape[-1])), be.xp.reshape(ids, (-1,))

    def check(self, be: Backend, scores: Array, ids: Array) -> None:
        """Name the first id that is no class, and the first row of scores with NaN."""
        given, known = be.to_numpy(ids), be.to_numpy(self.valid_ids(be, scores, ids))
        wrong = np.argwhere((known < 0) & (True if self.ignore_index is None else given != self.ignore_index))
        if len(wrong):
            bad = given[tuple(wrong[0])]
            raise DataError(
                f"{type(self).__name__}: id {where(wrong[0])} is {bad}",
                why=f"with scores of {self.classes(scores)} classes the ids are 0 to {self.classes(scores) - 1}",
                fix=f"{type(self).__name__}(ignore_index={bad}) leaves those samples out" if bad < 0 else "",
            )
        nan = be.xp.isnan(scores)
        nan = nan if nan.ndim == ids.ndim else be.xp.any(nan, axis=-1)
        bad_rows = np.argwhere(be.to_numpy(nan) & (known >= 0))
        if len(bad_rows):
            raise DataError(
                f"{type(self).__name__}: the scores of sample {where(bad_rows[0])} hold NaN",
                why="they put the classes in no order",
            )
        if not getattr(self, "logits", True):
            self.check_probabilities(be.to_numpy(scores), known)

    def check_probabilities(self, p: Host, known: Host) -> None:
        """Raise DataError for the first score that is no probability; rounding may leave it a little outside."""
        off = (p < -OUTSIDE) | (p > 1 + OUTSIDE)
        bad = np.argwhere(off & ((known if p.ndim == known.ndim else known[..., None]) >= 0))
        if len(bad):
            at = tuple(bad[0].tolist())
            raise DataError(
                f"{type(self).__name__}: score {where(bad[0])} is {p[at]}",
                why="with logits=False the scores are probabilities, from 0 to 1",
                fix=f"{type(self).__name__}() for logits",
            )


def where(index: Host) -> str:
    """An index as it is written: 3, or (3, 1)."""
    return str(tuple(index.tolist())) if len(index) > 1 else str(int(index[0]))


def mean_of(total: Any, n: Any) -> float:
    """total / n as a float; NaN where n is 0."""
    return float(total / n) if n else math.nan
