"""Ink told from the paper it is on, in uneven light, beside a scanner's black frame, through noise.

    frame     lines at the edges that are all of the other brightness than the paper are cut off
    paper     the grey that the page would have without ink: one level where it is even, else a closing
              (dilation, then erosion) by a square wider than any stroke, of the page at 96 pixels, blurred
    ink       1 - grey / paper for dark ink: the share of the light that it swallows; grey - paper for light ink
    threshold by Otsu: the one that divides the ink map into the two classes furthest apart

Sources: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Transactions on Systems, Man and
Cybernetics 9(1), 1979; J. Serra, "Image analysis and mathematical morphology", 1982, for the closing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xpnn.data.components import Box

Grey = NDArray[np.float32]

SMALL = 64
"""A picture with a shorter side than this is a digit and nothing else: no frame, and paper of one grey."""
FLAT = 16
"""A range of grey levels up to this is paper and noise, not ink."""
CLEAR = 4.0
"""Ink is so many standard deviations of the paper away from it, or it is noise."""
EVEN = 0.06
"""Paper that strays from its level by up to this share of the ink's strength is taken to be of one grey."""
COARSE, STROKE, BLUR = 96, 0.33, 1.5
"""Longer side of the page on which the paper is estimated, the square's width as a share of its shorter side, pixels."""


@dataclass(frozen=True, eq=False)
class Ink:
    """strength (H, W): 0 on paper, about 1 in full ink; `threshold` between the two; `noise`, the paper's deviation."""

    strength: Grey
    threshold: float
    noise: float
    dark: bool  # on light paper
    frame: Box  # what was left of the page without its frame


def find_ink(grey: Grey) -> Ink | None:
    """The ink on a page of grey levels 0 to 255; None where nothing stands out from the paper."""
    box = without_frame(grey)
    page = box.cut(grey)
    if page.max() - page.min() <= FLAT:
        return None
    border = _border(page)
    level = float(np.median(border))
    dark = _is_dark(page, border, level)
    if dark != (level > (page.min() + page.max()) / 2):  # ink along the border
        level = float(np.percentile(page, 98 if dark else 2))
    found = _measured(_even(page, level, dark))
    if not _is_even(found):
        found = min(
            (_measured(_uneven(page, dark, bent)) for bent in (True, False)), key=lambda one: one.noise
        )
    if CLEAR * found.noise > 1 or found.full * 255 <= FLAT:
        return None
    whole = np.zeros_like(grey)
    whole[box.top : box.bottom, box.left : box.right] = found.strength / found.full
    return Ink(whole, found.threshold / found.full, found.noise, dark, box)


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
    scale = max(full - float(paper.mean()), 1e-6)
    return _Measured(strength, threshold, full, float(paper.std()) / scale)


def _is_even(found: _Measured) -> bool:
    """Whether the border shows paper of one grey, but for ink that reaches it."""
    if min(found.strength.shape) < SMALL:
        return True
    border = _border(found.strength)
    paper = border[border <= found.threshold]
    if len(paper) < 0.75 * len(border):  # half of the page in a shadow
        return False
    return not len(paper) or bool(np.percentile(paper, 90) <= EVEN * found.full)


def _border(page: Grey) -> Grey:
    return np.concatenate([page[0], page[-1], page[:, 0], page[:, -1]])


def otsu(values: Grey, bins: int = 128) -> float:
    """The threshold t that makes n0 n1 (mean1 - mean0)^2 largest, n the counts below and above t."""
    counts, edges = np.histogram(values, bins)
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts)[:-1], np.cumsum(counts * middles)[:-1]
    total, whole = counts.sum(), (counts * middles).sum()
    between = (whole * below / total - mass) ** 2 / np.maximum(below * (total - below), 1)
    best = np.flatnonzero(between >= between.max() * (1 - 1e-9))  # a gap between the classes: its middle
    return float(edges[1:-1][best].mean())


def without_frame(grey: Grey) -> Box:
    """The page inside a frame of the opposite brightness, such as a scanner's lid leaves; else all of it."""
    whole = Box(0, 0, grey.shape[1], grey.shape[0])
    if min(grey.shape) < SMALL:  # a picture of a digit alone
        return whole
    threshold = otsu(grey)
    for light in (True, False):
        paper = grey > threshold if light else grey < threshold
        box = _trimmed(paper)
        if box != whole and box.width * box.height > 0.3 * grey.size and _sharp(grey, box, threshold):
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
    return Box(left, top, right, bottom)


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


def _is_dark(page: Grey, border: Grey, level: float) -> bool:
    """Whether the ink is darker than its paper, which is what the border shows; in a shadow, what is all around."""
    from PIL import Image, ImageFilter

    low, high = np.percentile(page, (0.1, 99.9))
    if high - low <= FLAT:  # so little ink that the percentiles miss it
        low, high = page.min(), page.max()
    if min(page.shape) < SMALL or np.percentile(np.abs(border - level), 80) < 0.1 * (high - low):
        return bool(level > (low + high) / 2)
    size = tuple(max(1, round(n * min(1, COARSE / 2 / max(page.shape)))) for n in page.shape[::-1])
    small = Image.fromarray(page.clip(0, 255).astype(np.uint8)).resize(size, Image.Resampling.BOX)
    around = small.filter(ImageFilter.MedianFilter(max(3, min(size) // 2 | 1)))
    off = np.asarray(small, dtype=np.float32) - np.asarray(around, dtype=np.float32)
    below, above = np.percentile(off, (1, 99))
    return bool(-below > above)


def _even(page: Grey, level: float, dark: bool) -> Grey:
    """Ink over paper of one level."""
    return np.maximum(level - page if dark else page - level, 0) / 255


def _uneven(page: Grey, dark: bool, bent: bool) -> Grey:
    """Ink over paper whose level differs from place to place. bent: after what a quadratic surface says of it."""
    from PIL import Image, ImageFilter

    height, width = page.shape
    turned = page if dark else 255 - page
    scale = min(1.0, COARSE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    coarse = np.asarray(Image.fromarray(turned).resize(size, Image.Resampling.BOX), dtype=np.float32)
    surface = _surface(coarse) if bent else np.full_like(coarse, 128)
    level = Image.fromarray((128 * coarse / surface).clip(0, 255).astype(np.uint8))
    square = max(3, round(STROKE * min(size)) | 1)
    closed = level.filter(ImageFilter.MaxFilter(square)).filter(ImageFilter.MinFilter(square))
    closed = closed.filter(ImageFilter.GaussianBlur(BLUR))
    estimate = Image.fromarray(np.asarray(closed, dtype=np.float32) / 128 * surface)
    paper = np.asarray(estimate.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    lost = np.maximum(paper - turned, 0)
    return lost / np.maximum(paper, 0.2 * paper.max()) if dark else lost / 255


def _surface(page: Grey) -> Grey:
    """The quadratic in x and y that fits the page where it is paper: what lies well below it is left out, three times.

    A closing alone takes the darkest corner of a page for ink: there is nothing lighter beyond it.
    """
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in page.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    values, kept = page.ravel(), np.ones(page.size, bool)
    fitted = values
    for _ in range(6):
        fitted = terms @ np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0]
        off = values - fitted
        spread = 1.5 * np.median(np.abs(off[kept])) + 1
        kept = off > -2 * spread
    return np.maximum(fitted, 0.1 * values.max()).reshape(page.shape).astype(np.float32)
