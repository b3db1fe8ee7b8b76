"""Lines ruled across a page, taken out of its ink; what stands on them stays."""

import numpy as np

from xpnn.data.photos.components import Mask

ACROSS = 0.9
"""A row is part of a line where this share of it is ink."""
THICK = 0.02
"""A line takes at most this share of the page's height: more is a shadow or a table."""


def without_lines(mask: Mask) -> Mask:
    """The mask (H, W) without straight lines from side to side, and from top to bottom.

    Of a line what has ink above and below it stays: a stroke that crosses it.
    """
    left = _without_rows(mask)
    return left & _without_rows(mask.T).T


def _without_rows(mask: Mask) -> Mask:
    found = mask.copy()
    edges = np.diff((mask.mean(axis=1) > ACROSS).astype(np.int8), prepend=0, append=0)
    for top, bottom in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        if bottom - top > max(2, THICK * len(mask)):
            continue
        above = mask[top - 1] if top else np.zeros(mask.shape[1], bool)
        below = mask[bottom] if bottom < len(mask) else np.zeros(mask.shape[1], bool)
        found[top:bottom] &= _widened(above) & _widened(below)
    return found


def _widened(row: Mask) -> Mask:
    """One pixel to each side: a slanted stroke leaves a line beside where it came to it."""
    wide = row.copy()
    wide[1:] |= row[:-1]
    wide[:-1] |= row[1:]
    return wide
