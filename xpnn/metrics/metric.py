"""Metrics, as pure functions of arrays that add up over batches of any size.

`metric.count(be, scores, ids) -> counts` runs on the device; `metric.merge(be, a, b)` joins those of two batches;
`metric.result(counts)` is a float, or an array for a metric per class. Scores are logits or probabilities (N, C),
ids are (N,); in a metric of real numbers both are (N, ...), predictions and targets. Counts are int64, sums float64
whatever the model's dtype is.
"""

from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError
from xpnn.kernels import Array

Host = np.ndarray[Any, Any]


class Metric:
    """A frozen description with `count` and `result`."""

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """int64 counts, or float64 sums, of one batch."""
        raise NotImplementedError

    def merge(self, be: Backend, a: Array, b: Array) -> Array:
        """The counts of two batches together; most are sums."""
        return a + b

    def result(self, counts: Any) -> Any:
        """The value for (merged) counts on the host."""
        raise NotImplementedError

    def __call__(self, be: Backend, scores: Array, ids: Array) -> Any:
        """The value for one batch."""
        with be.device_context():
            return self.result(be.to_numpy(self.count(be, scores, ids)))


def check_ids(metric: Metric, scores: Array, ids: Array, most: int | None = None) -> None:
    """Raise ShapeError unless there is one id for each row of scores (..., C), of at most `most` axes."""
    axes = scores.ndim if most is None else most
    if scores.ndim < 2 or scores.ndim > axes or tuple(ids.shape) != tuple(scores.shape[:-1]):
        raise ShapeError(
            f"{type(metric).__name__}: scores {tuple(scores.shape)} and ids {tuple(ids.shape)}",
            why="wanted a row of scores for each id, (N, C) and (N,): nothing is broadcast",
        )
