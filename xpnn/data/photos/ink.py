"""The ink on a page: how strong it is at each pixel, and from where on it is ink."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from xpnn.data.photos.components import Box
from xpnn.data.photos.frame import without_frame
from xpnn.data.photos.paper import FLAT, even_paper, is_dark, uneven_paper
from xpnn.data.photos.threshold import SMALL, Grey, border, otsu

CLEAR = 4.0
"""Ink is so many standard deviations of the paper away from it, or it is noise."""
EVEN = 0.06
"""Paper that strays from its level by up to this share of the ink's strength is taken to be of one grey."""


@dataclass(frozen=True, eq=False)
class Ink:
    """strength (H, W): 0 on paper, about 1 in full ink; `threshold` between the two; `noise`, the paper's deviation."""

    strength: Grey
    threshold: float
    noise: float
    dark: bool  # on light paper
    page: Box  # without its frame
    even: bool  # its paper is of one grey


def find_ink(grey: Grey) -> Ink | None:
    """The ink on a page of grey levels 0 to 255; None where nothing stands out from the paper."""
    box = without_frame(grey)
    page = box.cut(grey)
    if page.max() - page.min() <= FLAT:
        return None
    edge = border(page)
    level = float(np.median(edge))
    dark = is_dark(page, edge, level)
    if dark != (level > (page.min() + page.max()) / 2):  # ink along the border
        level = float(np.percentile(page, 98 if dark else 2))
    seen = [_measured(even_paper(page, level, dark))]
    if not _is_even(seen[0]):
        seen = [_measured(uneven_paper(page, dark, bent)) for bent in (True, False)]
    found = min(seen, key=lambda one: one.noise)
    noisy = (
        CLEAR * found.noise > 1 and min(page.shape) >= SMALL
    )  # in a small picture the edges of strokes are much
    if noisy or min(one.full for one in seen) * 255 <= FLAT:  # ink stands out from any paper
        return None
    whole = np.zeros_like(grey)
    whole[box.top : box.bottom, box.left : box.right] = found.strength / found.full
    return Ink(whole, found.threshold / found.full, found.noise, dark, box, len(seen) == 1)


class _Measured(NamedTuple):
    """An ink map, the threshold in it, full ink, and the paper's deviation as a share of that."""

    strength: Grey
    threshold: float
    full: float
    noise: float


def _measured(strength: Grey) -> _Measured:
    threshold = otsu(strength)
    ink, paper = strength[strength > threshold], strength[strength <= threshold]
    full = float(np.percentile(ink, 75)) if len(ink) else 0.0
    noise = float(
        np.percentile(paper, 84)
    )  # one deviation: what lies on the other side of the paper's level is 0
    return _Measured(strength, threshold, full, noise / max(full, 1e-6))


def _is_even(found: _Measured) -> bool:
    """Whether the border shows paper of one grey, but for ink that reaches it."""
    if min(found.strength.shape) < SMALL:
        return True
    edge = border(found.strength)
    paper = edge[edge <= found.threshold]
    if len(paper) < 0.75 * len(edge):  # half of the page in a shadow
        return False
    return not len(paper) or bool(np.percentile(paper, 90) <= EVEN * found.full)
