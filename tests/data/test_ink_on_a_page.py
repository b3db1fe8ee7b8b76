"""Where ink begins and ends on a page: each bound from both sides, on pages of painted rectangles."""

import numpy as np
import pytest

from xpnn.data.photos.components import Box, boxes, regions
from xpnn.data.photos.frame import without_frame
from xpnn.data.photos.ink import find_ink
from xpnn.data.photos.lines import without_lines
from xpnn.data.photos.segmentation import Figure, joined, read_page
from xpnn.data.photos.threshold import border, otsu


def page(*strokes, side=200, level=255):
    """Paper of one level; strokes: (left, top, right, bottom) in black, or with a grey level as the fifth."""
    grey = np.full((side, side), level, np.float32)
    for left, top, right, bottom, *ink in strokes:
        grey[top:bottom, left:right] = ink[0] if ink else 0
    return grey


def at(left, top, width, height):
    return left, top, left + width, top + height


def found(*strokes, **settings):
    """(left, top, right, bottom) of each figure in reading order."""
    seen = read_page(page(*strokes, **settings))
    return [(f.box.left, f.box.top, f.box.right, f.box.bottom) for f in seen.figures]


TALL = at(30, 80, 24, 40)
LARGE = at(30, 80, 24, 46)  # 1,100 pixels: the filter takes one at each corner


@pytest.mark.parametrize(
    ("strokes", "count", "specks"),
    [
        ((LARGE, at(120, 80, 6, 8)), 2, 0),  # 44 pixels, 4 % of the largest
        ((LARGE, at(120, 80, 5, 9)), 1, 1),  # 41
        ((TALL, at(58, 80, 20, 18)), 2, 0),  # 45 % as tall: a figure by itself
        ((TALL, at(58, 80, 20, 17)), 1, 0),
        ((TALL, at(64, 80, 20, 16)), 1, 0),  # a fragment, a quarter of the height away
        ((TALL, at(65, 80, 20, 16)), 2, 0),
        ((TALL, at(34, 130, 20, 20)), 1, 0),  # below it
        ((TALL, at(34, 131, 20, 20)), 2, 0),
        ((TALL, at(44, 125, 20, 20)), 1, 0),  # half of the narrower one is below it
        ((TALL, at(45, 125, 20, 20)), 2, 0),
        ((TALL, at(34, 50, 20, 20)), 1, 0),  # above it
        ((TALL, at(34, 49, 20, 20)), 2, 0),
        ((LARGE, at(57, 100, 3, 3)), 1, 0),  # 5 pixels beside it: part of the figure
        ((LARGE, at(57, 100, 2, 4)), 1, 1),  # 4: less than 4 per mille
    ],
)
def test_what_is_a_figure_and_what_is_a_part(strokes, count, specks):
    seen = read_page(page(*strokes))
    assert (len(seen.figures), seen.specks) == (count, specks)


def test_a_box_is_where_the_ink_is():
    assert found(TALL, at(58, 80, 20, 17)) == [(30, 80, 78, 120)]
    assert found(TALL, at(120, 60, 30, 50)) == [(30, 80, 54, 120), (120, 60, 150, 110)]


def test_a_line_of_figures_overlaps_by_half_a_height():
    first, second = at(20, 70, 24, 40), at(90, 50, 24, 40)
    assert [box[0] for box in found(first, second)] == [20, 90]
    assert [box[0] for box in found(at(20, 71, 24, 40), second)] == [90, 20]
    assert [box[0] for box in found(second, at(20, 62, 24, 16), at(150, 50, 24, 40))] == [20, 90, 150]


@pytest.mark.parametrize(
    ("stroke", "word"),
    [
        (at(40, 60, 50, 40), ""),
        (at(40, 60, 51, 40), "wide"),
        (at(1, 60, 198, 50), "edge to edge"),
        (at(2, 60, 197, 50), "wide"),
        (at(1, 60, 197, 50), "wide"),
        (at(60, 1, 50, 198), "edge to edge"),
        (at(60, 2, 50, 197), ""),
        (at(60, 1, 50, 197), ""),
    ],
)
def test_the_doubt_about_a_figure(stroke, word):
    (figure,) = read_page(page(stroke)).figures
    assert word in figure.doubt
    assert bool(word) == bool(figure.doubt)


@pytest.mark.parametrize(("height", "rows"), [(80, 40), (64, 32), (62, 62)])
def test_small_figures_are_looked_at_on_a_finer_page(height, rows):
    """A page of 800 pixels is read at 400; of less than 32 rows there it is read again."""
    (figure,) = read_page(page(at(200, 100, 50, height), side=800)).figures
    assert figure.ink.shape[0] == rows
    assert (figure.box.left, figure.box.top, figure.box.right, figure.box.bottom) == (
        200,
        100,
        250,
        100 + height,
    )


@pytest.mark.parametrize(("level", "width"), [(202, 26), (206, 20)])
def test_the_edge_of_a_stroke_is_part_of_it_from_a_fifth_of_full_ink(level, width):
    ((left, _, right, _),) = found((*at(57, 60, 26, 60), level), at(60, 60, 20, 60))
    assert right - left == width


@pytest.mark.parametrize(
    ("level", "distance", "kept"), [(200, 3, True), (200, 4, False), (226, 3, True), (232, 3, False)]
)
def test_faint_ink_is_ink_near_full_ink(level, distance, kept):
    """Up to 1.5 % of the page away, and from a tenth of full ink."""
    walls = at(60, 60, 10, 60), at(90, 60, 10, 60), at(60, 60, 40, 10), at(60, 110, 40, 10)
    (figure,) = read_page(page((*at(70, 70, 20, 40), level), *walls)).figures
    assert bool(figure.ink[30, 9 + distance] > 0) is kept


def test_one_dark_pixel_makes_no_other_ink_fainter():
    """Full ink is that of the 99th percentile."""
    (figure,) = read_page(page((*at(15, 10, 10, 20), 105), at(18, 15, 1, 1), side=40)).figures
    assert figure.ink[10, 8] == 1


BAND = [
    (at(0, 0, 10, 61), Box(12, 0, 100, 100)),  # mostly no paper
    (at(0, 0, 10, 60), Box(0, 0, 100, 100)),
    (at(90, 0, 10, 100), Box(0, 0, 88, 100)),
    (at(0, 0, 100, 10), Box(0, 12, 100, 100)),
    (at(0, 90, 100, 10), Box(0, 0, 100, 88)),
    (at(0, 0, 67, 100), Box(69, 0, 100, 100)),  # 31 % of the picture is a page
    (at(0, 0, 68, 100), Box(0, 0, 66, 100)),  # 30 % is none: the page is the dark part
    ((*at(0, 0, 10, 100), 74), Box(12, 0, 100, 100)),
    ((*at(0, 0, 10, 100), 78), Box(0, 0, 100, 100)),  # 31 % as bright as the page: a shadow
]


@pytest.mark.parametrize(("band", "box"), BAND)
def test_a_frame_is_cut_off(band, box):
    assert without_frame(page(band, side=100, level=250)) == box


def test_a_frame_ends_where_its_lines_are_paper():
    """98 of 100 pixels; one line more for three of ink. A small picture has no frame."""
    band = at(0, 0, 10, 100)
    assert without_frame(page(band, at(10, 50, 1, 2), side=100)) == Box(12, 0, 100, 100)
    assert without_frame(page(band, at(10, 50, 1, 3), side=100)) == Box(13, 0, 100, 100)
    assert without_frame(page(at(0, 0, 10, 64), side=64)) == Box(12, 0, 64, 64)
    assert without_frame(page(at(0, 0, 10, 63), side=63)) == Box(0, 0, 63, 63)


@pytest.mark.parametrize(
    ("rows", "level", "framed"), [(23, 100, True), (24, 100, False), (30, 48, True), (30, 190, True)]
)
def test_the_edge_of_a_frame_is_sharp(rows, level, framed):
    """Less than a fifth of what is cut off lies between: from 0.2 to 0.75 of the way from frame to page."""
    box = without_frame(page(at(0, 0, 10, 100), (*at(0, 0, 10, rows), level), side=100, level=250))
    assert (box != Box(0, 0, 100, 100)) is framed


@pytest.mark.parametrize(
    ("strokes", "level", "ink"),
    [
        ((*at(40, 40, 8, 30), 184), 200, None),  # 16 grey levels are noise
        ((*at(40, 40, 8, 30), 183), 200, True),
        ((*at(40, 40, 8, 30), 66), 50, None),
        ((*at(40, 40, 8, 30), 67), 50, False),
    ],
)
def test_ink_stands_out_from_its_paper(strokes, level, ink):
    seen = find_ink(page(strokes, side=100, level=level))
    assert (seen and seen.dark) is ink


@pytest.mark.parametrize(
    ("strokes", "even"),
    [
        (
            [(*at(0, 0, 12, 1), 240), (*at(0, 20, 1, 60), 240), at(40, 40, 20, 20)],
            True,
        ),  # 5.9 % of the ink's strength
        ([(*at(0, 0, 12, 1), 238), (*at(0, 20, 1, 60), 238), at(40, 40, 20, 20)], False),  # 6.7 %
        (
            [(*at(0, 0, 12, 1), 248), (*at(0, 20, 1, 60), 248), (*at(40, 40, 20, 20), 127)],
            True,
        ),  # pencil: 5.5 %
        ([(*at(0, 0, 12, 1), 246), (*at(0, 20, 1, 60), 246), (*at(40, 40, 20, 20), 127)], False),  # 7 %
        ([at(20, 0, 60, 30), at(20, 80, 40, 20)], True),  # a quarter of the border is ink
        ([at(20, 0, 60, 30), at(20, 80, 41, 20)], False),
    ],
)
def test_paper_of_one_grey_is_seen_at_the_border(strokes, even):
    assert find_ink(page(*strokes, side=100)).even is even


@pytest.mark.parametrize(
    ("level", "side", "seen"), [(194, 100, True), (189, 100, False), (189, 64, False), (189, 63, True)]
)
def test_ink_is_four_deviations_of_its_paper_away(level, side, seen):
    """A fifth of the page is a darker grey; in a small picture it may be the edges of strokes."""
    part = side // 5
    grey = page(
        (*at(part, part, 3 * part, side // 3), level),
        at(part, 60 * side // 100, part, 25 * side // 100),
        side=side,
    )
    assert (find_ink(grey) is not None) is seen


@pytest.mark.parametrize(("rows", "thick", "ink", "left"), [
    (100, 1, 91, False), (100, 1, 90, True), (100, 2, 100, False), (100, 3, 100, True), (200, 4, 100, False),
    (200, 5, 100, True), (50, 2, 100, False),
])  # fmt: skip
def test_a_ruled_line(rows, thick, ink, left):
    mask = np.zeros((rows, 100), bool)
    mask[20 : 20 + thick, :ink] = True
    for one in (mask, mask.T):
        assert without_lines(one).any() == left


def test_a_stroke_stays_where_it_crosses_a_line():
    """With one pixel to each side where a stroke is above and below; at the edges of a page nothing is beyond."""
    mask = np.zeros((100, 100), bool)
    mask[50:52] = mask[40:50, 30] = mask[52:60, 31] = mask[0] = mask[1:9, 80] = mask[99] = mask[90:99, 70] = (
        True
    )
    wanted = mask.copy()
    wanted[[0, 99]] = False
    wanted[50:52] = False
    wanted[50:52, 30:32] = True
    assert np.array_equal(without_lines(mask), wanted)


def test_regions_touch_at_corners():
    """Against a search from pixel to pixel."""
    rng = np.random.default_rng(0)
    for share in (0.2, 0.4, 0.6):
        mask = rng.random((12, 17)) < share
        labels, left, number = regions(mask), set(zip(*np.nonzero(mask), strict=True)), 0
        assert np.array_equal(labels > 0, mask)
        around = boxes(labels)
        while left:
            number += 1
            start = min(left)
            ends, whole = [start], set()
            while ends:
                y, x = ends.pop()
                if (y, x) in left:
                    left.remove((y, x))
                    whole.add((y, x))
                    ends += [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            (own,) = {int(labels[place]) for place in whole}
            ys, xs = zip(*whole, strict=True)
            assert around[own - 1] == Box(min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        assert labels.max() == number == len(around)


def test_a_box():
    box = Box(2, 3, 7, 5)
    assert (box.width, box.height) == (5, 2)
    assert box.around(Box(0, 4, 3, 9)) == Box(0, 3, 7, 9)
    assert box.around(Box(3, 1, 9, 4)) == Box(2, 1, 9, 5)
    others = [(Box(10, 3, 12, 5), 3), (Box(0, 0, 1, 1), 2), (Box(3, 9, 4, 10), 4), (Box(6, 4, 9, 9), 0)]
    assert [box.distance(other) for other, _ in others] == [far for _, far in others]
    assert [other.distance(box) for other, _ in others] == [far for _, far in others]
    a = np.arange(80).reshape(8, 10)
    assert box.cut(a).tolist() == [[32, 33, 34, 35, 36], [42, 43, 44, 45, 46]]


def test_the_threshold_between_two_levels_is_their_middle():
    for low, high, share in [(0, 10, 0.5), (0, 10, 0.05), (40, 240, 0.9)]:
        values = np.where(np.arange(100) < 100 * share, low, high).astype(np.float32)
        assert otsu(values) == pytest.approx((low + high) / 2, abs=(high - low) / 128)
    three = np.repeat(np.array([0, 40, 100], np.float32), [75, 20, 5])
    between = {t: n * (100 - n) * (three[:n].mean() - three[n:].mean()) ** 2 for t, n in ((20, 75), (70, 95))}
    assert otsu(three) == pytest.approx(max(between, key=between.get), abs=1)


def test_the_border_is_the_four_edges():
    assert border(np.arange(12.0).reshape(3, 4)).tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 0, 4, 8, 3, 7, 11]


def test_a_page_is_read_at_400_pixels_and_then_at_1600():
    """A figure of 50 rows has 10 on the first and 40 on the second; boxes are in the page's own pixels."""
    grey = np.full((2000, 320), 255, np.float32)
    grey[800:850, 200:240] = 0
    (figure,) = read_page(grey).figures
    assert figure.ink.shape == (40, 32)
    assert figure.box == Box(200, 800, 240, 850)


def test_a_page_of_one_line_of_pixels():
    grey = np.full((1, 1000), 255, np.float32)
    grey[:, 400:600] = 0
    (figure,) = read_page(grey).figures
    assert (figure.box, figure.doubt) == (Box(400, 0, 600, 1), "")


@pytest.mark.parametrize(("side", "specks"), [(99, 1), (100, 0)])
def test_single_pixels_are_smoothed_away_on_pages_of_100(side, specks):
    seen = read_page(page(at(20, 30, 24, 40), at(80, 80, 1, 1), side=side))
    assert (len(seen.figures), seen.specks) == (1, specks)


@pytest.mark.parametrize(("side", "width"), [(63, 12), (64, 10)])
def test_in_a_picture_of_one_digit_the_faintest_pixels_belong_to_it(side, width):
    """15 % of full ink on both sides of a stroke; on a page that is blur."""
    seen = read_page(page((*at(19, 10, 12, 40), 217), at(20, 10, 10, 40), side=side))
    assert [figure.ink.shape for figure in seen.figures] == [(40, width)]
    assert (seen.dark, seen.framed, seen.specks) == (True, False, 0)


@pytest.mark.parametrize(("level", "kept"), [(207, False), (199, True)])
def test_ink_is_four_deviations_of_the_paper_stronger_than_it(level, kept):
    """A fifth of the paper is 5.1 % darker than the rest: ink is what is darker than 20.4 %."""
    walls = at(60, 60, 10, 60), at(90, 60, 10, 60), at(60, 60, 40, 10), at(60, 110, 40, 10)
    rough = (*at(5, 140, 190, 50), 242)
    (figure,) = read_page(page(rough, (*at(70, 70, 20, 40), level), *walls)).figures
    assert bool(figure.ink[30, 12] > 0) is kept


def test_faint_ink_beside_full_ink_is_no_speck():
    """It is near enough to be ink, and belongs to no piece that is dark anywhere."""
    seen = read_page(page(TALL, (*at(56, 90, 2, 10), 200)))
    assert [figure.box for figure in seen.figures] == [Box(30, 80, 54, 120)]
    assert seen.specks == 0


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
@pytest.mark.parametrize(("band", "figures", "specks"), [
    (at(0, 5, 4, 90), 1, 1), (at(0, 5, 4, 89), 2, 0), (at(1, 5, 4, 90), 2, 0),
])  # fmt: skip
def test_what_lies_along_an_edge_is_the_rest_of_a_frame(band, figures, specks, turned):
    """From nine tenths of the edge on; it is too light to be a frame itself."""
    grey = page((*band, 78), at(40, 30, 20, 30), side=100, level=250)
    seen = read_page(np.rot90(grey, turned).copy())
    assert (len(seen.figures), seen.specks, seen.framed) == (figures, specks, False)


def test_where_a_shadow_ends_at_an_edge_only_what_is_inside_is_read():
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    light = 170 + 45 * x - 20 * y
    strokes = [
        at(80, 70, 20, 50),
        at(0, 30, 12, 40),
        at(188, 130, 12, 40),
        at(130, 0, 30, 12),
        at(30, 188, 30, 12),
    ]
    for left, top, right, bottom in strokes:
        light[top:bottom, left:right] *= 0.25
    seen = read_page(light.astype(np.float32))
    assert [figure.box for figure in seen.figures] == [Box(80, 70, 100, 120)]
    assert seen.specks == 4


def test_a_fragment_belongs_to_the_nearest_figure():
    left, right = at(20, 60, 24, 60), at(80, 60, 24, 60)
    for dot, box in ((at(70, 80, 6, 6), (70, 60, 104, 120)), (at(48, 80, 6, 6), (20, 60, 54, 120))):
        assert box in found(left, right, dot)
        assert len(found(left, right, dot)) == 2


def test_a_page_in_a_frame():
    """Light ink on dark paper, and what a frame leaves of the edges is counted from the page."""
    seen = read_page(page(at(0, 0, 10, 200), at(60, 60, 20, 40)))
    assert (seen.dark, seen.framed, seen.specks) == (True, True, 0)
    assert [figure.box for figure in seen.figures] == [Box(60, 60, 80, 100)]
    (figure,) = read_page(page(at(0, 0, 10, 200), at(13, 60, 186, 40))).figures
    assert "edge to edge" in figure.doubt
    (figure,) = read_page(255 - page(at(60, 60, 20, 40))).figures
    assert figure.box == Box(60, 60, 80, 100)
    assert not read_page(255 - page(at(60, 60, 20, 40))).dark


def test_figures_joined_keep_their_places():
    """Ink of half the page's size; where two meet the stronger one is seen."""
    one = Figure(np.full((10, 4), 0.5, np.float32), Box(10, 20, 18, 40))
    two = Figure(np.full((5, 6), 0.75, np.float32), Box(16, 30, 28, 40), "it is wide")
    assert joined((one,)) is one
    both = joined((one, two))
    wanted = np.zeros((10, 9), np.float32)
    wanted[:, :4] = 0.5
    wanted[5:, 3:9] = 0.75
    assert both.box == Box(10, 20, 28, 40)
    assert both.doubt == ""
    np.testing.assert_array_equal(both.ink, wanted)


def test_a_box_of_a_smaller_page_ends_with_its_own():
    """401 pixels are read at 400; a figure at the far edge reaches to the last one."""
    grey = np.full((401, 401), 255, np.float32)
    grey[300:401, 330:401] = 0
    (figure,) = read_page(grey).figures
    assert figure.box == Box(330, 300, 401, 401)


@pytest.mark.oracle
@pytest.mark.parametrize("share", [0.02, 0.2, 0.35, 0.5, 0.8])
def test_regions_are_numbered_as_scipy_numbers_them(share):
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(7).random((40, 57)) < share
    wanted, count = ndimage.label(mask, np.ones((3, 3)))
    labels = regions(mask)
    assert np.array_equal(labels, wanted)
    places = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(wanted)]
    assert boxes(labels) == [Box(*place) for place in places]
    assert len(places) == count


def test_a_long_scratch_is_not_the_tallest_figure():
    """It has less ink than 4 % of the largest, so a figure of half the largest one's height stays one by itself."""
    seen = read_page(page(at(10, 20, 40, 60), at(60, 30, 20, 30), at(97, 5, 1, 85), side=99))
    assert [figure.box for figure in seen.figures] == [Box(10, 20, 50, 80), Box(60, 30, 80, 60)]
    assert seen.specks == 1


def test_pieces_join_the_largest_of_them():
    """Two stand above a third, and not above each other."""
    assert found(at(20, 80, 60, 40), at(20, 50, 20, 25), at(60, 50, 20, 25)) == [(20, 50, 80, 120)]


@pytest.mark.parametrize("uneven", [False, True])
def test_what_lies_at_an_edge_stays_where_there_is_nothing_else(uneven):
    y, x = np.mgrid[-1:1:200j, -1:1:200j]
    light = 170 + 45 * x - 20 * y if uneven else np.full((200, 200), 200.0)
    light[10:190, :4] *= 0.4
    seen = read_page(light.astype(np.float32))
    assert len(seen.figures) == 1
    assert seen.figures[0].box.left == 0
    assert seen.specks == 0
