"""Metrics of predicted classes."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.metrics.metric import ClassMetric, Host, mean_of
from xpnn.settings import Count, one_of


@dataclass(frozen=True)
class TopK(ClassMetric):
    """The share of samples whose class is among the k highest scores. Of equal scores the lower class comes first."""

    k: Count = 5

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """[n_correct, samples that count]. The rank, without sorting, is the number of classes not behind the true one.

        A score may be infinite. A true class whose score is NaN is behind all others.
        """
        xp, int64, (scores, ids) = be.xp, be.xp.int64, self.rows(be, scores, ids)
        classes = be.arange(scores.shape[1])[None, :]
        true = classes == ids[:, None]
        own = xp.sum(xp.where(true, scores, xp.zeros_like(scores)), axis=1)[:, None]
        behind = (scores < own) | ((scores == own) & (classes >= ids[:, None]))
        before = xp.logical_not(behind)
        n_correct = (xp.sum(xp.astype(before, int64), axis=1) < self.k) & (ids >= 0)
        return xp.stack([xp.sum(xp.astype(each, int64)) for each in (n_correct, ids >= 0)])

    def result(self, counts: Any) -> Any:
        return mean_of(counts[0], counts[1])


@dataclass(frozen=True)
class Accuracy(ClassMetric):
    """The share of samples whose class has the highest score."""

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        scores, ids = self.rows(be, scores, ids)
        n_correct = be.xp.argmax(scores, axis=1) == ids
        return be.xp.stack([be.xp.sum(be.xp.astype(each, be.xp.int64)) for each in (n_correct, ids >= 0)])

    def result(self, counts: Any) -> Any:
        return mean_of(counts[0], counts[1])


@dataclass(frozen=True)
class ConfusionMatrix(ClassMetric):
    """Entry (i, j): how many samples of class i were predicted as class j."""

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """(C, C): the product of the one-hot rows of truth and decision, in float64, which counts up to 2^53."""
        xp, (scores, ids) = be.xp, self.rows(be, scores, ids)
        classes = scores.shape[1]
        truth, decision = (
            xp.astype(be.one_hot(each, classes), xp.float64) for each in (ids, xp.argmax(scores, axis=1))
        )
        return xp.astype(truth.T @ decision, xp.int64)

    def result(self, counts: Any) -> Any:
        return np.asarray(counts)


@dataclass(frozen=True)
class Precision(ConfusionMatrix):
    """Of the samples predicted as class c, the share that is c.

    average: "macro" (mean over classes), "micro", "weighted" (by support) or None (one per class).
    0 / 0 counts as 0, as in scikit-learn with zero_division=0.
    """

    average: Annotated[str, one_of("macro", "micro", "weighted")] | None = "macro"

    def result(self, counts: Any) -> Any:
        n_correct, support, taken = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        if self.average == "micro":
            return float(self.ratio(n_correct.sum(), support.sum(), taken.sum()))
        each = self.ratio(n_correct, support, taken)
        if self.average is None:
            return each
        present = (support + taken) > 0  # scikit-learn averages over the classes that occur at all
        weights = support if self.average == "weighted" else present.astype(np.float64)
        return float((each * weights).sum() / max(weights.sum(), 1))

    def ratio(self, n_correct: Any, support: Any, taken: Any) -> Any:
        """Return n_correct / (samples predicted as the class)."""
        return _ratio(n_correct, taken)


@dataclass(frozen=True)
class Recall(Precision):
    """Of the samples of class c, the share predicted as c. `average` as in Precision."""

    def ratio(self, n_correct: Any, support: Any, taken: Any) -> Any:
        """Return n_correct / (samples of the class)."""
        return _ratio(n_correct, support)


@dataclass(frozen=True)
class F1(Precision):
    """The harmonic mean of precision and recall: 2 n_correct / (support + taken). `average` as in Precision."""

    def ratio(self, n_correct: Any, support: Any, taken: Any) -> Any:
        """Return 2 n_correct / (samples of the class + samples predicted as it)."""
        return _ratio(2 * n_correct, support + taken)


def _ratio(a: Any, b: Any) -> Host:
    return np.asarray(a / np.maximum(b, 1), dtype=np.float64)
