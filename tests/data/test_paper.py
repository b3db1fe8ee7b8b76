"""Paper and ink apart: whole maps of small pages, and each bound of what decides between the two from both sides."""

import numpy as np
import pytest

from xpnn.data.photos.components import Box, boxes, regions
from xpnn.data.photos.frame import without_frame
from xpnn.data.photos.ink import find_ink
from xpnn.data.photos.paper import even_paper, fitted_surface, is_dark, uneven_paper
from xpnn.data.photos.threshold import otsu

EDGE = np.repeat(np.float32([100, 200]), 50)
"""A border of paper and shadow, half each."""


@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_is_the_one_of_all_that_divides_best(seed):
    """Of 128 bins, in exact counts; where several divide equally well, their middle."""
    rng = np.random.default_rng(seed)
    values = rng.choice(129, 60, p=rng.dirichlet(np.full(129, 0.05))).astype(np.float32)
    values[:2] = 0, 128  # a bin is a level
    level = np.minimum(values, 127) + 0.5
    found = {}
    for t in range(1, 128):
        low, high = level[level < t], level[level > t]
        gap = high.mean() - low.mean() if len(low) and len(high) else 0
        found[t] = len(low) * len(high) * gap**2
    best = [t for t, one in found.items() if one >= max(found.values()) * (1 - 1e-6)]
    assert otsu(values) == pytest.approx(np.mean(best), abs=1e-3)


def spots(**levels):
    """100 x 100 of the grey that `rest` says; of other greys as many pixels as said, g15=150 for 15 of 150."""
    grey = np.full(10_000, levels.pop("rest"), np.float32)
    start = 0
    for count, level in levels.items():
        grey[start : start + int(count[1:])] = level
        start += int(count[1:])
    return grey.reshape(100, 100)


@pytest.mark.parametrize(("page", "level", "dark"), [
    (spots(rest=200, g500=0), 101, True), (spots(rest=200, g500=0), 100, False), (spots(rest=200, g500=0), 99, False),
    (spots(rest=40, g500=100), 71, True), (spots(rest=40, g500=100), 69, False),
    (spots(rest=200, g1=0), 200, True),  # one pixel of ink: the percentiles miss it
    (spots(rest=200, g1=0, g500=184), 190, True), (spots(rest=200, g1=0, g500=183), 190, False),
    (spots(rest=200, g15=0, g600=150), 160, True),  # the darkest thousandth counts
    (spots(rest=150, g15=255, g600=200), 160, False), (spots(rest=150, g5=255, g600=200), 176, True),
])  # fmt: skip
def test_paper_is_on_the_side_of_its_border(page, level, dark):
    assert is_dark(page, np.full(100, level, np.float32), level) is dark


def coarse(*bars, paper=60.0, double=True):
    """48 x 48 of paper with bars (left, top, width, height, level), each pixel doubled."""
    grey = np.full((48, 48), paper, np.float32)
    for left, top, width, height, level in bars:
        grey[top : top + height, left : left + width] = level
    return np.kron(grey, np.ones((2, 2), np.float32)) if double else grey


THIN = coarse((10, 10, 4, 8, 120))
THIN[20:40:2, 60:76] = 0  # lines of one pixel


@pytest.mark.parametrize(("page", "dark"), [
    (coarse((10, 10, 4, 8, 0), (30, 10, 4, 8, 119)), True), (coarse((10, 10, 4, 8, 0), (30, 10, 4, 8, 120)), False),
    (coarse((10, 10, 4, 8, 0), (30, 10, 4, 8, 121)), False), (coarse((10, 10, 4, 8, 120)), False),
    (coarse((10, 10, 12, 38, 0), (30, 10, 4, 8, 90)), True),  # narrower than half of the window, 25
    (coarse((10, 0, 12, 48, 0), (40, 10, 4, 8, 90)), True), (coarse((10, 0, 13, 48, 0), (40, 10, 4, 8, 90)), False),
    (coarse((10, 10, 5, 7, 0), (30, 10, 10, 10, 100)), True),  # 1.5 % of the page is ink
    (coarse((10, 10, 5, 4, 0), (30, 10, 10, 10, 100)), False),  # 0.9 %
    (coarse((10, 10, 10, 10, 20), (30, 10, 5, 4, 255)), True),
    (coarse((10, 10, 10, 10, 20), (30, 10, 5, 7, 255)), False),
    (THIN, False),  # in half the size they are half as dark
])  # fmt: skip
def test_in_a_shadow_ink_is_what_differs_more_from_all_around(page, dark):
    assert is_dark(page, EDGE, 150.0) is dark
    tall = np.kron(page, np.ones((3, 3), np.float32))
    assert is_dark(tall, EDGE, 150.0) is (dark and page is not THIN)


@pytest.mark.parametrize(("off", "dark"), [(19, True), (21, False)])
def test_a_border_is_even_where_four_fifths_of_it_are_a_tenth_of_the_range_away(off, dark):
    """Its level is above the middle, and bright spots are what differs from all around."""
    page = coarse((10, 10, 8, 8, 160))
    edge = np.full(100, 150, np.float32)
    edge[:off] -= 10  # a tenth of 60 to 160
    assert is_dark(page, edge, 150.0) is dark
    edge[:off] = 140.1
    assert is_dark(page, edge, 150.0)
    small = page[:63, :80]
    assert is_dark(small, EDGE, 150.0)
    assert not is_dark(page[:64, :80], EDGE, 150.0)


def test_a_long_page_has_a_line_of_pixels_at_least():
    page = np.full((64, 7000), 200, np.float32)
    page[20:40, 3000:3300] = 10
    assert is_dark(page, EDGE, 150.0)
    found = uneven_paper(page, dark=True, bent=False)
    assert found.shape == page.shape


def test_ink_over_even_paper():
    page = np.float32([[250, 200, 100], [255, 0, 199]])
    assert np.array_equal(even_paper(page, 200, True), np.float32([[0, 0, 100], [0, 200, 1]]) / 255)
    assert np.array_equal(even_paper(page, 200, False), np.float32([[50, 0, 0], [55, 0, 0]]) / 255)


Y, X = np.meshgrid(np.linspace(-1, 1, 60), np.linspace(-1, 1, 80), indexing="ij")
TERMS = [X**i * Y**j for i in range(3) for j in range(3 - i)]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_surface_is_fitted_to_what_is_paper(seed):
    """Left out is what lies below by more than twice the spread, 1.5 medians and one level; six times."""
    rng = np.random.default_rng(seed)
    light = sum(a * term for a, term in zip([150, 30, -12, 25, 9, -20], TERMS, strict=True))
    page = (
        light
        + rng.normal(0, 3, light.shape)
        - rng.exponential(12, light.shape) * (rng.random(light.shape) < 0.45)
    )
    design, kept = np.reshape(TERMS, (6, -1)), np.ones(page.size, bool)
    for _ in range(6):
        some = design[:, kept]
        weights = np.linalg.solve(some @ some.T, some @ page.reshape(-1)[kept])
        off = page.reshape(-1) - weights @ design
        kept = off > -2 * (1.5 * np.median(abs(off[kept])) + 1)
    assert 0.6 < kept.mean() < 0.95
    found = fitted_surface(page.astype(np.float32))
    np.testing.assert_allclose(found.reshape(-1), weights @ design, rtol=0, atol=2e-3)


def test_a_surface_is_at_least_a_tenth_of_the_lightest():
    page = np.maximum(200 * X, 0).astype(np.float32)
    found = fitted_surface(page)
    assert found.min() == pytest.approx(20, abs=1e-4)
    assert found.max() > 150


def light(side=192):
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return 150 + 40 * x - 25 * y + 20 * x * y - 15 * y * y


@pytest.mark.parametrize("side", [96, 192])
@pytest.mark.parametrize("dark", [True, False])
def test_ink_in_uneven_light(side, dark):
    """Dark ink swallows a share of the light, light ink adds to it; paper is 0."""
    page, ink = light(side), np.zeros((side, side), bool)
    for at in (0.15, 0.45, 0.8):
        start = round(at * side)
        ink[start : start + side // 24, side // 8 : -side // 8] = True
    page = np.where(ink, page * 0.3 if dark else page + 51, page).astype(np.float32)
    found = uneven_paper(page, dark, True)
    wanted = np.where(ink, 0.7 if dark else 0.2, 0.0)
    assert np.abs(found - wanted).max() < 0.03


@pytest.mark.parametrize(("width", "ink"), [(30, True), (40, False)])
@pytest.mark.parametrize("side", [96, 192])
def test_what_is_wider_than_a_third_of_the_page_is_paper(width, ink, side):
    """The closing's square is 33 of 96 pixels; a page of other size is brought to that one."""
    page = np.full((side, side), 200, np.float32)
    left, right = (side // 96 * (48 + off) for off in (-width // 2, width // 2))
    page[:, left:right] = 100
    found = uneven_paper(page, True, False)
    middle = found[:, side // 2 - side // 16 : side // 2 + side // 16]
    assert np.abs(middle - (0.5 if ink else 0)).max() < 0.03
    assert np.abs(found[:, : side // 8]).max() < 0.001


@pytest.mark.parametrize(("width", "ink"), [(28, True), (44, False)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_third_of_the_shorter_side_counts(width, ink, turned):
    """A page of 96 x 192 is brought to 48 x 96, where the square is 17 wide."""
    page = np.full((96, 192), 200, np.float32)
    page[:, 96 - width // 2 : 96 + width // 2] = 100
    found = uneven_paper(page.T if turned else page, True, False)
    found = found.T if turned else found
    assert np.abs(found[:, 92:100] - (0.5 if ink else 0)).max() < 0.03
    assert np.abs(found[:, :24]).max() < 0.001


def test_paper_is_blurred_and_not_below_a_fifth_of_the_lightest():
    """Beside a wide shadow it fades within a few pixels, by a normal curve of deviation 1.5."""
    page = np.full((96, 96), 200, np.float32)
    page[:, 40:] = 20
    page[:, 70:74] = 0
    found = uneven_paper(page, True, False)
    paper = 20 + 180 * np.array([0.3694, 0.1587, 0.0478])  # the normal curve's tail at 1/3, 1 and 5/3
    np.testing.assert_allclose(found[48, 40:43], (paper - 20) / np.maximum(paper, 40), atol=0.02)
    np.testing.assert_allclose(found[:, 72], 0.5, atol=0.02)


def page_of(*strokes, side=100, level=255):
    grey = np.full((side, side), level, np.float32)
    for rows, columns, ink in strokes:
        grey[rows, columns] = ink
    return grey


def test_the_whole_ink_of_an_even_page():
    """Full ink is the 75th percentile of what is ink, noise the 84th of what is paper, as a share of it."""
    page = page_of((slice(20, 40), slice(20, 70), 55), (slice(50, 60), slice(20, 70), 5))
    page[70:90, 10:90] = 250  # 1,600 of 8,500 pixels of paper: a fifth is darker
    found = find_ink(page)
    assert found.strength.dtype == np.float32
    ink = np.sort((255 - page)[page < 100])
    full = np.percentile(ink, 75) / 255
    np.testing.assert_allclose(found.strength, (255 - page) / 255 / full, rtol=1e-5)
    assert found.noise == pytest.approx(5 / 255 / full, rel=1e-5)
    assert (found.dark, found.page, found.even) == (True, Box(0, 0, 100, 100), True)
    assert found.threshold * full == pytest.approx(otsu((255 - page) / 255), rel=1e-4)


@pytest.mark.parametrize("dark", [True, False])
def test_a_border_nearer_to_its_ink_than_to_a_single_pixel(dark):
    """The level of the paper is then the 98th percentile of the page, or the second where ink is light."""
    page = page_of(side=40, level=155)
    page[10:30, 15:20] = 75
    page[5, 5], page[3, 8:31], page[35, 8:24] = 255, 175, 165  # 1 pixel, 23 and 16 of 1,600
    found = find_ink(page if dark else 255 - page)
    assert (found.dark, found.even) == (dark, True)
    assert found.noise == pytest.approx(10 / 90, rel=1e-5)
    np.testing.assert_allclose(found.strength, np.maximum(165 - page, 0) / 90, rtol=0, atol=1e-6)


def test_a_frame_needs_a_page():
    """Scattered light pixels are none, whichever side they are looked at from."""
    grey = np.full((100, 100), 20, np.float32)
    grey[::5, ::3] = 220
    assert without_frame(grey) == without_frame(255 - grey) == Box(0, 0, 100, 100)


@pytest.mark.parametrize(
    ("level", "rows", "framed"), [(50, 30, True), (51, 30, False), (187.5, 30, True), (187, 30, False)]
)
def test_what_lies_between_frame_and_page(level, rows, framed):
    """A fifth of the way from the one to the other is still frame, three quarters are page."""
    grey = page_of((slice(0, 100), slice(0, 10), 0), (slice(0, rows), slice(0, 10), level), level=250)
    assert (without_frame(grey) != Box(0, 0, 100, 100)) is framed


@pytest.mark.parametrize(("level", "framed"), [(74, True), (75, True), (76, False)])
@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_a_shadow_at_any_side_is_no_frame(level, framed, turned):
    grey = np.rot90(page_of((slice(0, 100), slice(0, 10), level), level=250), turned)
    wanted = [Box(12, 0, 100, 100), Box(0, 0, 100, 88), Box(0, 0, 88, 100), Box(0, 12, 100, 100)][turned]
    assert without_frame(grey) == (wanted if framed else Box(0, 0, 100, 100))


def test_an_empty_mask_has_no_regions():
    labels = regions(np.zeros((4, 5), bool))
    assert labels.shape == (4, 5)
    assert labels.dtype == np.int32
    assert not labels.any()
    assert boxes(labels) == []
    assert boxes(regions(np.ones((3, 7), bool))) == [Box(0, 0, 7, 3)]


@pytest.mark.parametrize(("level", "seen"), [(184.03, False), (183.9, True)])
def test_ink_of_16_grey_levels_is_none_whatever_a_single_pixel_is(level, seen):
    page = page_of((slice(30, 60), slice(30, 60), level), level=200)
    page[80, 80] = 180
    assert (find_ink(page) is not None) is seen


@pytest.mark.parametrize(("side", "even"), [(63, True), (64, False)])
def test_a_small_picture_has_paper_of_one_grey(side, even):
    """Three tenths of its border are ink."""
    columns = slice(12, 50)
    page = page_of((slice(0, 20), columns, 0), (slice(side - 20, side), columns, 0), side=side)
    assert find_ink(page).even is even
