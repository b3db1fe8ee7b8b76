"""Metrics of the order in which scores put the samples, for every threshold at once.

The scores are counted in a fixed histogram of the log-odds log(p / (1 - p)): WIDTH wide bins from -LIMIT to LIMIT, so
that batches add up exactly and nothing is kept. What falls into one bin counts as tied. That is the only
approximation: the area is off by at most half the share of pairs (positive, negative) that share a bin.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.metrics.metric import Host, Metric

LIMIT, WIDTH = 16.0, 2.0**-8
BINS = 8192  # 2 LIMIT / WIDTH
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
        """(columns, 2, BINS + 1): how many negatives, and positives, lie up to the end of each bin."""
        xp = be.xp
        odds = log_odds(be, scores, self.logits)
        classes = odds.shape[1]
        edges = (xp.astype(be.arange(BINS + 1), xp.float64) + 0.5) * WIDTH - LIMIT
        beyond = xp.full_like(odds[:, 0], 2 * LIMIT)
        rows = []
        for c in range(classes):
            positive = ids == (c if classes > 1 else 1)
            for side in (xp.logical_not(positive), positive):
                ordered = xp.sort(xp.where(side, odds[:, c], beyond))
                rows.append(xp.astype(xp.searchsorted(ordered, edges, side="right"), xp.int64))
        return xp.reshape(xp.stack(rows), (classes, 2, BINS + 1))

    def result(self, counts: Any) -> Any:
        """A float, or one per class."""
        each = np.array([self.curve(*np.diff(column, prepend=0).astype(np.float64)) for column in counts])
        if self.average is None and len(each) > 1:
            return each
        defined = each[~np.isnan(each)]
        return float(defined.mean()) if len(defined) else float("nan")

    def curve(self, negative: Host, positive: Host) -> float:
        """The value from one class's two histograms, lowest scores first."""
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float(positive @ below / pairs) if pairs else float("nan")


@dataclass(frozen=True)
class AveragePrecision(ROCAUC):
    """The sum over thresholds of (recall - the recall at the next higher threshold) precision. Settings as in ROCAUC.

    Not interpolated. Source: Zhu, "Recall, precision and average precision", 2004.
    """

    def curve(self, negative: Host, positive: Host) -> float:
        """The value from one class's two histograms, lowest scores first."""
        total = positive.sum()
        if not total:
            return float("nan")
        hits, taken = np.cumsum(positive[::-1]), np.cumsum((positive + negative)[::-1])
        return float(positive[::-1] @ (hits / np.maximum(taken, 1)) / total)


def log_odds(be: Backend, scores: Array, logits: bool) -> Array:
    """(N, columns) of log(p / (1 - p)) in float64, held within the histogram: one column for two classes."""
    xp = be.xp
    z = xp.astype(scores, xp.float64)
    z = z[:, None] if z.ndim == 1 else z
    if logits and z.shape[1] <= 2:
        odds = z[:, -1:] - z[:, :1] if z.shape[1] == 2 else z
    else:
        p = xp.exp(z - xp.max(z, axis=1, keepdims=True)) if logits else z
        rest = xp.sum(p, axis=1, keepdims=True) - p if p.shape[1] > 1 else 1 - p
        low = xp.full_like(p, SMALLEST)
        odds = (xp.log(xp.maximum(p, low)) - xp.log(xp.maximum(rest, low)))[:, 1 if p.shape[1] == 2 else 0 :]
    limit = xp.full_like(odds, LIMIT)
    return xp.minimum(xp.maximum(odds, -limit), limit)
