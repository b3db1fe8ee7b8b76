"""Metrics of the order in which scores put the samples, for every threshold at once.

An order needs every score: the counts are the scores themselves, as log-odds log(p / (1 - p)) in float64, and they grow
with the samples. They stay on the device until the result is asked for.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.metrics.metric import Host, Metric

SMALLEST = 1e-300


@dataclass(frozen=True)
class ROCAUC(Metric):
    """The area under the ROC curve: the share of pairs (positive, negative) in which the positive scores higher.

    A tie counts half. Two classes, as scores (N, 2), (N, 1) or (N,): of class 1. More: each class against the rest;
    average: "macro" (mean over the classes that occur and are not all) or None (one per class, NaN for the others).
    logits: scores are logits, else probabilities. Source: Fawcett, "An introduction to ROC analysis", 2006.
    """

    average: str | None = "macro"
    logits: bool = True

    def __post_init__(self) -> None:
        if self.average not in ("macro", None):
            raise UsageError(f"average={self.average!r}", fix='wanted "macro" or None')

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """(columns + 1, N): the log-odds of each class, then the ids."""
        odds = log_odds(be, scores, self.logits)
        if tuple(ids.shape) != tuple(odds.shape[:1]):
            raise ShapeError(
                f"{type(self).__name__}: scores {tuple(scores.shape)} and ids {tuple(ids.shape)}",
                why="wanted one id for each sample: nothing is broadcast",
            )
        return be.xp.concat([odds.T, be.xp.astype(ids, be.xp.float64)[None, :]])

    def merge(self, be: Backend, a: Array, b: Array) -> Array:
        """Side by side."""
        return be.xp.concat([a, b], axis=1)

    def result(self, counts: Any) -> Any:
        """A float, or one per class."""
        *columns, ids = np.asarray(counts)
        each = np.array(
            [self.of_class(odds, ids == (c if len(columns) > 1 else 1)) for c, odds in enumerate(columns)]
        )
        if self.average is None and len(each) > 1:
            return each
        defined = each[~np.isnan(each)]
        return float(defined.mean()) if len(defined) else float("nan")

    def of_class(self, odds: Host, positive: Host) -> float:
        """How many negatives, and positives, there are of each score, lowest first; then the curve."""
        values, place = np.unique(odds, return_inverse=True)
        sides = (np.bincount(place, side, len(values)) for side in (~positive, positive))
        return self.curve(*sides)

    def curve(self, negative: Host, positive: Host) -> float:
        """The value from one class's two counts of each score, lowest scores first."""
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs) if pairs else float("nan")


@dataclass(frozen=True)
class AveragePrecision(ROCAUC):
    """The sum over thresholds of (recall - the recall at the next higher threshold) precision. Settings as in ROCAUC.

    Not interpolated. Source: Zhu, "Recall, precision and average precision", 2004.
    """

    def curve(self, negative: Host, positive: Host) -> float:
        """The value from one class's two counts of each score, lowest scores first."""
        total = positive.sum()
        if not total:
            return float("nan")
        hits, taken = np.cumsum(positive[::-1]), np.cumsum((positive + negative)[::-1])
        return float(positive[::-1] @ (hits / np.maximum(taken, 1)) / total)


def log_odds(be: Backend, scores: Array, logits: bool) -> Array:
    """(N, columns) of log(p / (1 - p)) in float64: one column for two classes."""
    xp = be.xp
    z = xp.astype(scores, xp.float64)
    z = z[:, None] if z.ndim == 1 else z
    classes = z.shape[1]
    if logits and classes <= 2:
        return z[:, 1:] - z[:, :1] if classes == 2 else z
    p = xp.exp(z - xp.max(z, axis=1, keepdims=True)) if logits else z
    numbers = be.arange(classes)
    others = xp.astype(numbers[:, None] != numbers[None, :], xp.float64)
    rest = p @ others if classes > 1 else 1 - p  # a sum of the others: all but one would cancel near 1
    low = xp.full_like(p, SMALLEST)
    odds = xp.log(xp.maximum(p, low)) - xp.log(xp.maximum(rest, low))
    return odds[:, 1:] if classes == 2 else odds
