"""Metrics of the order in which scores put the samples, for every threshold at once.

An order needs every score: the counts are the scores themselves, as log-odds log(p / (1 - p)) in float64, and they grow
with the samples. They stay on the device until the result is asked for.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.metrics.metric import ClassMetric, Host
from xpnn.settings import one_of


@dataclass(frozen=True)
class ROCAUC(ClassMetric):
    """The area under the ROC curve: the share of pairs (positive, negative) in which the positive scores higher.

    A tie counts half. Two classes, as scores (N, 2), (N, 1) or (N,): of class 1. More: each class against the rest;
    average: "macro" (mean over the classes that occur and are not all) or None (one per class, NaN for the others).
    logits: scores are logits, else probabilities. Source: Fawcett, "An introduction to ROC analysis", 2006.
    """

    average: Annotated[str, one_of("macro")] | None = "macro"
    logits: bool = True

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """(columns + 1, N): the log-odds of each class, then the ids, -1 for those that do not count."""
        ids, odds = self.valid_ids(be, scores, ids), log_odds(be, scores, self.logits)
        return be.xp.concat([odds.T, be.xp.astype(ids, be.xp.float64)[None, :]])

    def classes(self, scores: Array) -> int:
        """One score for each sample is that of class 1 of two."""
        return 2 if scores.ndim == 1 else max(2, int(scores.shape[1]))

    def check_shapes(self, scores: Array, ids: Array) -> None:
        """Raise ShapeError unless there is one id for each sample."""
        if scores.ndim not in (1, 2) or tuple(ids.shape) != tuple(scores.shape[:1]):
            raise ShapeError(
                f"{type(self).__name__}: scores {tuple(scores.shape)} and ids {tuple(ids.shape)}",
                why="wanted one id for each sample: nothing is broadcast",
            )

    def merge(self, be: Backend, a: Array, b: Array) -> Array:
        return be.xp.concat([a, b], axis=1)

    def result(self, counts: Any) -> Any:
        counts = np.asarray(counts)
        *columns, ids = counts[:, counts[-1] >= 0]
        each = np.array(
            [self.of_class(odds, ids == (c if len(columns) > 1 else 1)) for c, odds in enumerate(columns)]
        )
        if self.average is None and len(each) > 1:
            return each
        defined = each[~np.isnan(each)]
        return float(defined.mean()) if len(defined) else float("nan")

    def of_class(self, odds: Host, positive: Host) -> float:
        """From how many negatives and positives there are of each score, lowest first. NaN where a score is."""
        if np.isnan(odds).any():
            return math.nan
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
    """(N, columns) of log(p / (1 - p)) in float64: one column for two classes.

    1 - p is the sum of the others, of which logarithms are taken before anything can be too small to be a number:
    log p_c - log sum_(k != c) p_k, with logits in the place of logarithms that differ from them by a constant.
    """
    xp = be.xp
    z = xp.astype(scores, xp.float64)
    z = z[:, None] if z.ndim == 1 else z
    if not logits:
        z = xp.where(z < 0, xp.zeros_like(z), xp.where(z > 1, xp.ones_like(z), z))  # as rounding leaves it
        z = log(be, z) - log(be, 1 - z) if z.shape[1] == 1 else log(be, z)
    if z.shape[1] == 1:
        return z
    top = xp.argmax(z, axis=1)[:, None] == be.arange(z.shape[1])[None, :]
    low = xp.full_like(z, -math.inf)
    largest, second = (xp.max(a, axis=1, keepdims=True) for a in (z, xp.where(top, low, z)))
    shift = xp.where(second > -math.inf, second, xp.zeros_like(second))
    behind = shift + log(be, xp.sum(be.mask(xp.exp(z - shift), ~top), axis=1, keepdims=True))
    e = xp.exp(xp.where(z == largest, xp.zeros_like(z), z - largest))  # inf - inf is NaN
    rest = xp.where(top, behind, largest + log(be, xp.sum(e, axis=1, keepdims=True) - e))
    odds = xp.where(z == -math.inf, z, z - rest)
    return odds[:, 1:] if z.shape[1] == 2 else odds


def log(be: Backend, p: Array) -> Array:
    """log p, -inf at 0 without a warning."""
    some = be.xp.where(p == 0, be.xp.ones_like(p), p)
    return be.xp.where(p == 0, be.xp.full_like(p, -math.inf), be.xp.log(some))
