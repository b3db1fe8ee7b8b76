"""The grey level that divides a picture into two classes, and other facts of grey levels.

Source: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man and
Cybernetics 9(1), 1979.
"""

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

SMALL = 64
"""A picture with a shorter side than this is a digit and nothing else: no frame, and paper of one grey."""


def otsu(values: Grey, bins: int = 128) -> float:
    """The threshold t that makes n0 n1 (mean1 - mean0)^2 largest, n the counts below and above t."""
    counts, edges = np.histogram(values, bins)
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    total, whole = counts.sum(), (counts * middles).sum()
    between = (whole * below / total - mass) ** 2 / np.maximum(below * (total - below), 1)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))  # a gap between the classes: its middle
    return float(edges[1:-1][best].mean())


def border(page: Grey) -> Grey:
    """The pixels along the four edges."""
    return np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])
