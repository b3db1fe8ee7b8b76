"""A page inside the frame that a scanner's lid or a table leaves around it."""

import numpy as np
from numpy.typing import NDArray

from xpnn.data.photos.components import Box
from xpnn.data.photos.threshold import SMALL, Grey, otsu

MARGIN = 2
"""Pixels of the page that go with the frame: its edge is not sharp."""
LEAST = 0.3
"""Share of the picture that a page takes, or it is none."""


def without_frame(grey: Grey) -> Box:
    """The page inside a frame of the opposite brightness, such as a scanner's lid leaves; else the whole picture."""
    whole = Box(0, 0, grey.shape[1], grey.shape[0])
    if min(grey.shape) < SMALL:  # a picture of a digit alone
        return whole
    threshold = otsu(grey)
    for light in (True, False):
        paper = grey > threshold if light else grey < threshold
        box = _trimmed(paper)
        if box != whole and box.width * box.height > LEAST * grey.size and _sharp(grey, box, threshold):
            return box
    return whole


def _trimmed(paper: NDArray[np.bool_]) -> Box:
    """Edges cut off, always the line with the least paper, until each line at an edge is nearly all paper.

    It begins only at a line that is mostly no paper: ink that reaches the edge of a page is no frame.
    """
    height, width = paper.shape
    left, top, right, bottom = 0, 0, width, height
    begun = set[str]()
    while right > left + 1 and bottom > top + 1:
        shares = {
            "left": paper[top:bottom, left].mean(), "top": paper[top, left:right].mean(),
            "right": paper[top:bottom, right - 1].mean(), "bottom": paper[bottom - 1, left:right].mean(),
        }  # fmt: skip
        open_sides = {s: share for s, share in shares.items() if share < (0.98 if s in begun else 0.4)}
        if not open_sides:
            break
        side = min(open_sides, key=lambda s: open_sides[s])
        begun.add(side)
        left, top = left + (side == "left"), top + (side == "top")
        right, bottom = right - (side == "right"), bottom - (side == "bottom")
    inset = {side: MARGIN if side in begun else 0 for side in ("left", "top", "right", "bottom")}
    return Box(left + inset["left"], top + inset["top"], right - inset["right"], bottom - inset["bottom"])


def _sharp(grey: Grey, box: Box, threshold: float) -> bool:
    """Whether what was cut off is a frame with an edge, and not light that falls off."""
    outside = np.ones(grey.shape, bool)
    outside[box.top : box.bottom, box.left : box.right] = False
    inner = float(np.median(box.cut(grey)))
    levels = grey[outside]
    frame = levels[(levels < threshold) == (inner > threshold)]
    other = float(np.median(frame)) if len(frame) else inner
    if min(inner, other) > 0.3 * max(inner, other):  # a shadow
        return False
    part = (levels - other) / (inner - other)
    return bool(((part > 0.2) & (part < 0.75)).mean() < 0.2)
