"""Metrics of agreement beyond chance, from the confusion matrix: s samples, c hits, t_k of class k, p_k taken as k."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.metrics.decisions import ConfusionMatrix


@dataclass(frozen=True)
class CohenKappa(ConfusionMatrix):
    """(c / s - e) / (1 - e) with e = sum t_k p_k / s^2, the agreement of two who decide by chance.

    NaN where e = 1: all are of one class and taken for it. Source: Cohen, 1960.
    """

    def result(self, counts: Any) -> Any:
        s, c, t, p = _sums(counts)
        chance = float(t @ p)
        return (s * c - chance) / (s * s - chance) if s * s > chance else math.nan


@dataclass(frozen=True)
class MatthewsCorrelation(ConfusionMatrix):
    """(c s - sum t_k p_k) / sqrt((s^2 - sum p_k^2) (s^2 - sum t_k^2)).

    0 / 0 counts as 0. Sources: Matthews 1975; Gorodkin 2004 for more than two classes.
    """

    def result(self, counts: Any) -> Any:
        s, c, t, p = _sums(counts)
        spread = math.sqrt((s * s - float(p @ p)) * (s * s - float(t @ t)))
        return (s * c - float(t @ p)) / spread if spread > 0 else 0.0


def _sums(counts: Any) -> tuple[float, float, Any, Any]:
    """s, c, t and p. As float64: products of counts are exact up to 2^53."""
    matrix = np.asarray(counts, np.float64)
    return float(matrix.sum()), float(np.trace(matrix)), matrix.sum(axis=1), matrix.sum(axis=0)
