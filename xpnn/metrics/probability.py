"""Metrics of predicted probabilities. With logits=True (the default) the softmax is taken here, in float64."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.metrics.metric import ClassMetric, mean_of
from xpnn.settings import Count

TINY = 2.0**-52
"""A probability counts as at least this much, as in scikit-learn in float64."""


@dataclass(frozen=True)
class LogLoss(ClassMetric):
    """The mean of -log p[id]. Scores (..., C), ids (...)."""

    logits: bool = True

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """[sum, samples that count]."""
        xp, ids = be.xp, self.valid_ids(be, scores, ids)
        z = xp.astype(scores, xp.float64)
        z = below_largest(be, z) if self.logits else z
        hot = be.arange(z.shape[-1]) == ids[..., None]
        own = xp.sum(xp.where(hot, z, xp.zeros_like(z)), axis=-1)
        if self.logits:
            loss = xp.log(xp.sum(xp.exp(z), axis=-1)) - own
        else:
            own = xp.where(own > 1, xp.ones_like(own), own)  # as rounding leaves it
            loss = -xp.log(xp.where(own < TINY, xp.full_like(own, TINY), own))
        return xp.stack([xp.sum(be.mask(loss, ids >= 0)), xp.sum(xp.astype(ids >= 0, xp.float64))])

    def result(self, counts: Any) -> Any:
        return mean_of(counts[0], counts[1])


@dataclass(frozen=True)
class Perplexity(LogLoss):
    """e^(mean of -log p[id]): among how many equally likely classes one is as uncertain. Scores (..., C), ids (...)."""

    def result(self, counts: Any) -> Any:
        """At least 1; infinity where it would overflow, NaN of no samples."""
        mean = super().result(counts)
        return math.inf if mean >= 709 else math.exp(mean)


@dataclass(frozen=True)
class CalibrationError(ClassMetric):
    """sum over bins |hits - confidence| / N, where the confidence is the largest probability of a sample.

    Bin b of B holds the confidences in (b / B, (b + 1) / B]; a probability that rounding has put above 1, or one of 0,
    belongs to the bin next to it. NaN of no samples. Source: Guo et al., "On calibration of modern neural
    networks", ICML 2017 (the expected calibration error, ECE).
    """

    bins: Count = 15
    logits: bool = True

    def count(self, be: Backend, scores: Array, ids: Array) -> Array:
        """(3, bins): samples, hits, sum of confidences."""
        xp, (scores, ids) = be.xp, self.rows(be, scores, ids)
        p = xp.astype(scores, xp.float64)
        if self.logits:
            p = be.softmax(below_largest(be, p))
        confidence = be.mask(xp.max(p, axis=1), ids >= 0)
        hit = xp.astype(xp.argmax(scores, axis=1) == ids, xp.float64)
        first, last = be.arange(self.bins) == 0, be.arange(self.bins) == self.bins - 1
        place, bins = (
            xp.ceil(confidence * self.bins)[:, None] - 1,
            xp.astype(be.arange(self.bins), xp.float64),
        )
        inside = (place == bins) | ((place > bins) & last) | ((place < bins) & first)
        inside = xp.astype(inside & (ids >= 0)[:, None], xp.float64)
        return xp.stack([xp.sum(a[:, None] * inside, axis=0) for a in (xp.ones_like(hit), hit, confidence)])

    def result(self, counts: Any) -> Any:
        samples, hits, confidence = np.asarray(counts)
        return mean_of(np.abs(hits - confidence).sum(), samples.sum())


def below_largest(be: Backend, z: Array) -> Array:
    """z less the largest of its row: 0 there, whatever it is, as inf - inf would be NaN."""
    top = be.xp.max(z, axis=-1, keepdims=True)
    return be.xp.where(z == top, be.xp.zeros_like(z), z - top)
