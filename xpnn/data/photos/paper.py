"""Ink over paper: what a page would be without ink, and how much less of the light comes back from it.

    even      one level for the whole page
    uneven    a quadratic surface through the page where it bears no ink, then a closing (dilation, then erosion) by
              a square wider than any stroke; both at 96 pixels, blurred
    strength  1 - grey / paper for dark ink, the share of the light that it swallows; grey - paper for light ink

Source: J. Serra, "Image analysis and mathematical morphology", 1982, for the closing.
"""

import numpy as np

from xpnn.data.photos.threshold import SMALL, Grey

FLAT = 16
"""A range of grey levels up to this is paper and noise, not ink."""
COARSE, STROKE, BLUR = 96, 0.33, 1.5
"""Longer side of the page where the paper is estimated; the square's width, a share of its shorter side; in pixels."""


def is_dark(page: Grey, border: Grey, level: float) -> bool:
    """Whether the ink is darker than its paper, which is what the border shows; in a shadow, what is all around."""
    from PIL import Image, ImageFilter

    low, high = np.percentile(page, (0.1, 99.9))
    if high - low <= FLAT:  # so little ink that the percentiles miss it
        low, high = page.min(), page.max()
    if min(page.shape) < SMALL or np.percentile(np.abs(border - level), 80) < 0.1 * (high - low):
        return bool(level > (low + high) / 2)
    size = tuple(max(1, round(n * COARSE / 2 / max(page.shape))) for n in page.shape[::-1])
    small = Image.fromarray(page.astype(np.uint8)).resize(size, Image.Resampling.BOX)
    around = small.filter(ImageFilter.MedianFilter(max(3, min(size) // 2 | 1)))
    off = np.asarray(small, dtype=np.float32) - np.asarray(around, dtype=np.float32)
    below, above = np.percentile(off, (1, 99))
    return bool(-below > above)


def even_paper(page: Grey, level: float, dark: bool) -> Grey:
    """Ink over paper of one level."""
    strength: Grey = np.maximum(level - page if dark else page - level, 0) / 255
    return strength


def uneven_paper(page: Grey, dark: bool, bent: bool) -> Grey:
    """Ink over paper whose level differs from place to place. bent: after a fitted quadratic surface."""
    from PIL import Image, ImageFilter

    height, width = page.shape
    inverted = page if dark else 255 - page
    scale = min(1.0, COARSE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    coarse = np.asarray(Image.fromarray(inverted).resize(size, Image.Resampling.BOX), dtype=np.float32)
    surface = fitted_surface(coarse) if bent else np.full_like(coarse, 128)
    level = Image.fromarray(np.minimum(128 * coarse / surface, 255).astype(np.uint8))
    square = max(3, round(STROKE * min(size)) | 1)
    closed = level.filter(ImageFilter.MaxFilter(square)).filter(ImageFilter.MinFilter(square))
    closed = closed.filter(ImageFilter.GaussianBlur(BLUR))
    estimate = Image.fromarray(np.asarray(closed, dtype=np.float32) / 128 * surface)
    paper = np.asarray(estimate.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    lost = np.maximum(paper - inverted, 0)
    strength: Grey = lost / np.maximum(paper, 0.2 * paper.max()) if dark else lost / 255
    return strength


def fitted_surface(page: Grey) -> Grey:
    """The quadratic in x and y that fits the page where it is paper: what lies well below it is left out, six times.

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
    surface: Grey = np.maximum(fitted, 0.1 * values.max()).reshape(page.shape).astype(np.float32)
    return surface
