"""Connected regions of a black-and-white picture, and the rectangles around them.

Two pixels belong together where they touch, at a corner too. A row is cut into runs of pixels that are set; runs of
neighbouring rows that touch are united.

Source: A. Rosenfeld, J. L. Pfaltz, "Sequential operations in digital picture processing", Journal of the ACM 13(4),
1966; of runs instead of pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels: columns `left` to `right` - 1, rows `top` to `bottom` - 1."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    def around(self, other: "Box") -> "Box":
        """The smallest rectangle that holds both."""
        return Box(
            min(self.left, other.left), min(self.top, other.top),
            max(self.right, other.right), max(self.bottom, other.bottom),
        )  # fmt: skip

    def distance(self, other: "Box") -> int:
        """Pixels between the two, along the axis on which they are further apart; 0 where they overlap."""
        across = max(self.left, other.left) - min(self.right, other.right)
        down = max(self.top, other.top) - min(self.bottom, other.bottom)
        return max(across, down, 0)

    def cut(self, a: NDArray[Any]) -> NDArray[Any]:
        """That part of a picture (H, W, ...)."""
        return a[self.top : self.bottom, self.left : self.right]


def regions(mask: Mask) -> Labels:
    """The number of the region that each pixel of `mask` (H, W) belongs to, from 1; 0 where it is not set."""
    rows, starts, stops = _runs(mask)
    parent = list(range(len(rows)))
    begin = np.searchsorted(rows, np.arange(len(mask) + 1)).tolist()
    first, last = starts.tolist(), stops.tolist()
    for y in range(1, len(mask)):
        above, here = begin[y - 1], begin[y]
        while above < begin[y] and here < begin[y + 1]:
            if first[here] <= last[above] and first[above] <= last[here]:  # `<=`: a corner is enough
                _unite(parent, above, here)
            if last[above] < last[here]:
                above += 1
            else:
                here += 1
    roots = np.array([_root(parent, i) for i in range(len(parent))], np.int64)
    _, numbers = np.unique(roots, return_inverse=True)
    labels = np.zeros(mask.shape, np.int32)
    labels[mask] = np.repeat(numbers + 1, stops - starts)  # both are in reading order
    return labels


def boxes(labels: Labels) -> list[Box]:
    """The rectangle around each region, in order of their numbers."""
    rows, columns = np.nonzero(labels)
    found = labels[rows, columns] - 1
    count = int(labels.max(initial=0))
    low = np.full((2, count), max(labels.shape))
    high = np.zeros((2, count), np.int64)
    for i, at in enumerate((columns, rows)):
        np.minimum.at(low[i], found, at)
        np.maximum.at(high[i], found, at + 1)
    return [Box(*sides) for sides in np.concatenate([low, high]).T.tolist()]


def _runs(mask: Mask) -> tuple[NDArray[np.int64], ...]:
    """Row, first column and the column behind the last of every run, in reading order."""
    edges = np.diff(mask.astype(np.int8), axis=1, prepend=0, append=0)
    rows, starts = np.nonzero(edges == 1)
    return rows, starts, np.nonzero(edges == -1)[1]


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _unite(parent: list[int], i: int, j: int) -> None:
    i, j = _root(parent, i), _root(parent, j)
    parent[max(i, j)] = min(i, j)
