"""The digits on a page: pieces of ink grouped into figures, line by line, left to right.

piece     a connected region of ink above a low threshold that reaches a high one somewhere
speck     a piece much smaller than the largest and not near one: dirt, left out
figure    pieces that overlap across the line, and fragments beside them: the bar of a 5, a broken 4
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.photos.components import Box, Mask, boxes, regions
from xpnn.data.photos.ink import Ink, find_ink
from xpnn.data.photos.lines import without_lines
from xpnn.data.photos.threshold import SMALL, Grey

FAINT = 0.1
"""Ink weaker than this share of full ink is dropped: paper is never quite even."""
NOISE = 4.0
"""Or weaker than so many standard deviations of the paper."""
SPECK, FRAGMENT = 0.04, 0.45
"""A piece of less ink than this share of the largest is a speck; one lower than this share of the tallest is a part."""
NEAR = 0.25
"""Pieces belong together up to this distance, as a share of the tallest one's height."""
REACH = 0.015
"""Faint ink is ink up to this share of the page from full ink: beyond it is the edge of a shadow."""
HALO = 0.2
"""Rows and columns at the edge of a figure whose ink is fainter than this share of full ink are blur, not stroke."""
SIDES = (400, 1600)
"""Longer side of the page on which digits are looked for; the finer one where they are small."""
WIDE = 1.25
"""Of MNIST's digits 2 in 100 are wider than this share of their height; of two that touch most are."""
LOW = 32
"""Pixels in height, below which a finer page is worth a look."""


@dataclass(frozen=True, eq=False)
class Figure:
    """One digit: its ink (h, w), 0 to 1, and where it is, in pixels of the page that it was found on.

    doubt: why it may be no single digit; "" where nothing speaks against it.
    """

    ink: Grey
    box: Box
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class Page:
    """What was found on a page: the figures in reading order, and how much was left out."""

    figures: tuple[Figure, ...]
    dark: bool
    framed: bool
    specks: int


def read_page(grey: Grey) -> Page | None:
    """The figures on a page of grey levels (H, W), 0 to 255; None without ink. Boxes are in its pixels."""
    found = None
    for side in SIDES:
        scale = max(1.0, max(grey.shape) / side)
        page = _search(_smooth(_scaled(grey, scale)))
        if page is not None:
            found = replace(page, figures=tuple(_grown(figure, scale, grey.shape) for figure in page.figures))
            if min(figure.ink.shape[0] for figure in page.figures) >= LOW:
                break
        if scale == 1:
            break
    return found


def _scaled(grey: Grey, scale: float) -> Grey:
    from PIL import Image

    if scale == 1:
        return grey
    size = max(1, round(grey.shape[1] / scale)), max(1, round(grey.shape[0] / scale))
    return np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX), dtype=np.float32)


def _smooth(grey: Grey) -> Grey:
    """The median of 3 x 3 pixels, where strokes are wide enough to bear it."""
    from PIL import Image, ImageFilter

    if max(grey.shape) < 100:
        return grey
    page = Image.fromarray(np.rint(grey).astype(np.uint8))
    return np.asarray(page.filter(ImageFilter.MedianFilter(3)), dtype=np.float32)


def _search(grey: Grey) -> Page | None:
    ink = find_ink(grey)
    if ink is None:
        return None
    low = min(max(FAINT, NOISE * ink.noise), ink.threshold)
    mask: Mask = ink.strength > low
    alone = min(grey.shape) < SMALL  # a clean picture of one digit: its faintest pixels belong to the digit
    if not alone:
        mask = without_lines(mask)
        mask &= _near(ink.strength > ink.threshold, REACH * max(grey.shape))
    labels = regions(mask)
    around = boxes(labels)
    mass = np.bincount(labels[mask], ink.strength[mask].astype(np.float64))[1:]
    strongest = np.zeros(len(around))
    np.maximum.at(strongest, labels[mask] - 1, ink.strength[mask])
    pieces = [i for i in range(len(around)) if alone or strongest[i] > ink.threshold]
    found = len(pieces)
    pieces = _without_edges(pieces, around, ink)
    groups, specks = _grouped(pieces, around, mass, 0 if alone else 0.1 * SPECK)
    halo = 0 if alone else HALO
    figures = [_figure(ink.strength, labels, group, around, halo) for group in groups]
    if not alone:
        figures = [replace(figure, doubt=_doubt(figure.box, ink.page)) for figure in figures]
    whole = ink.page == Box(0, 0, grey.shape[1], grey.shape[0])
    return (
        Page(tuple(_in_order(figures)), ink.dark, not whole, specks + found - len(pieces))
        if figures
        else None
    )


def _doubt(box: Box, page: Box) -> str:
    """Why a figure may be no single digit."""
    across = box.left <= page.left + 1 and box.right >= page.right - 1
    down = box.top <= page.top + 1 and box.bottom >= page.bottom - 1
    if across or down:
        return "it reaches from edge to edge, as a shadow or a line does"
    return "it is wide, as several digits that touch are" if box.width > WIDE * box.height else ""


def _near(mask: Mask, reach: float) -> Mask:
    """The pixels up to so far from one that is set, across and down."""
    from PIL import Image, ImageFilter

    wide = Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * round(reach) + 1))
    return np.asarray(wide) > 0


def _without_edges(pieces: list[int], around: list[Box], ink: Ink) -> list[int]:
    """All but those that lie along a whole edge of the page, such as the rest of a frame.

    In uneven light also all but those that touch an edge: where a shadow ends there, the paper is not known well.
    Where nothing would be left, all stay.
    """
    page = ink.page

    def keep(box: Box) -> bool:
        beside = box.left <= page.left or box.right >= page.right
        above = box.top <= page.top or box.bottom >= page.bottom
        if not ink.even:
            return not beside and not above
        return not (beside and box.height >= 0.9 * page.height) and not (
            above and box.width >= 0.9 * page.width
        )

    return [i for i in pieces if keep(around[i])] or pieces


def _grouped(
    pieces: list[int], around: list[Box], mass: NDArray[Any], least: float
) -> tuple[list[list[int]], int]:
    """Pieces that make a figure together, and how many specks there are besides.

    least: the ink of a fragment beside a figure, as a share of the largest piece's.
    """
    if not pieces:
        return [], 0
    largest = max(mass[i] for i in pieces)
    tallest = max(around[i].height for i in pieces if mass[i] >= SPECK * largest)
    whole = [i for i in pieces if around[i].height >= FRAGMENT * tallest and mass[i] >= SPECK * largest]
    groups: list[list[int]] = []
    for i in sorted(whole, key=lambda i: -mass[i]):
        nearest = next((group for group in groups if _together(around[i], group, around, tallest)), None)
        groups.append([i]) if nearest is None else nearest.append(i)
    specks = 0
    for i in pieces:
        if i in whole:
            continue
        near = min(groups, key=lambda group: min(around[i].distance(around[j]) for j in group))
        distance = min(around[i].distance(around[j]) for j in near)
        if distance <= NEAR * tallest and mass[i] >= least * largest:
            near.append(i)
        elif mass[i] >= SPECK * largest:
            groups.append([i])
        else:
            specks += 1
    return groups, specks


def _together(box: Box, group: list[int], around: list[Box], tallest: int) -> bool:
    """Whether a piece stands above, below or inside one of the group."""
    for other in (around[j] for j in group):
        shared = min(box.right, other.right) - max(box.left, other.left)
        if shared >= 0.5 * min(box.width, other.width) and box.distance(other) <= NEAR * tallest:
            return True
    return False


def _figure(
    strength: Grey, labels: NDArray[np.int32], group: list[int], around: list[Box], halo: float
) -> Figure:
    box = around[group[0]]
    for i in group[1:]:
        box = box.around(around[i])
    own = np.isin(box.cut(labels), [i + 1 for i in group])
    ink = np.where(own, box.cut(strength), 0)
    ink = np.minimum(ink / np.percentile(ink[own], 99), 1).astype(np.float32)
    rows, columns = (np.flatnonzero((ink > halo).any(axis=axis)) for axis in (1, 0))
    inner = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    place = Box(box.left + inner.left, box.top + inner.top, box.left + inner.right, box.top + inner.bottom)
    return Figure(inner.cut(ink), place)


def joined(figures: tuple[Figure, ...]) -> Figure:
    """All the figures as one."""
    if len(figures) == 1:
        return figures[0]
    box = figures[0].box
    for figure in figures[1:]:
        box = box.around(figure.box)
    scale = figures[0].ink.shape[0] / figures[0].box.height
    ink = np.zeros((round(box.height * scale) + 1, round(box.width * scale) + 1), np.float32)
    for figure in figures:
        top, left = round((figure.box.top - box.top) * scale), round((figure.box.left - box.left) * scale)
        part = ink[top : top + figure.ink.shape[0], left : left + figure.ink.shape[1]]
        np.maximum(part, figure.ink[: part.shape[0], : part.shape[1]], out=part)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    return Figure(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], box)


def _in_order(figures: list[Figure]) -> list[Figure]:
    """Line by line from the top, each from left to right. A line: what overlaps its first figure by half a height."""
    left, ordered = sorted(figures, key=lambda figure: figure.box.top), []
    while left:
        first = left[0].box
        line = [
            f for f in left
            if min(f.box.bottom, first.bottom) - max(f.box.top, first.top)
            >= 0.5 * min(f.box.height, first.height)
        ]  # fmt: skip
        ordered += sorted(line, key=lambda figure: figure.box.left)
        left = [figure for figure in left if all(figure is not other for other in line)]
    return ordered


def _grown(figure: Figure, scale: float, shape: tuple[int, ...]) -> Figure:
    """The box in pixels of the page before it was made smaller."""
    box = figure.box
    sides = [round(n * scale) for n in (box.left, box.top, box.right, box.bottom)]
    return replace(figure, box=Box(sides[0], sides[1], min(sides[2], shape[1]), min(sides[3], shape[0])))
