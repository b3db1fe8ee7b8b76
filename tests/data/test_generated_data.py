"""Generated data, computed once more in plain loops from the formulas and the same draws."""

import itertools
import math
import sys

import numpy as np
import pytest

from xpnn.data import blobs, k_folds, moons, rings, spiral, stratified_split, strokes
from xpnn.random import host_rng

LINES = """
0 -1  -.5 -.6  -.55 .5  0 1  .5 .6  .55 -.5  0 -1
-.3 -.6  .1 -1  .1 1
-.5 -.6  0 -1  .5 -.6  .3 0  -.55 1  .6 1
-.5 -.8  .1 -1  .45 -.5  0 -.05  .55 .5  .1 1  -.5 .8
.3 1  .3 -1  -.6 .35  .6 .35
.5 -1  -.4 -1  -.45 -.1  .2 -.2  .5 .4  .1 1  -.5 .8
.4 -1  -.3 -.4  -.5 .5  0 1  .5 .5  .1 0  -.45 .3
-.55 -1  .55 -1  -.1 1
0 0  -.45 -.5  0 -1  .45 -.5  0 0  -.5 .5  0 1  .5 .5  0 0
.45 -.4  0 0  -.45 -.5  0 -1  .45 -.4  .3 1
"""
"""The ten digits as the pen goes: columns and rows from -1 to 1."""


def from_segment(x, y, ax, ay, bx, by):
    """The distance of a point from a straight stroke."""
    ux, uy = bx - ax, by - ay
    part = ((x - ax) * ux + (y - ay) * uy) / max(ux * ux + uy * uy, 1e-12)
    part = min(max(part, 0), 1)
    return math.hypot(x - ax - part * ux, y - ay - part * uy)


def image_of(points, pen):
    """Pixels 0 to 255 of a line through points, in pixels from the middle of 28 x 28."""
    pixels = []
    for row in range(28):
        for column in range(28):
            at = column - 13.5, row - 13.5
            near = min(from_segment(*at, *a, *b) for a, b in itertools.pairwise(points))
            pixels.append(255 * min(max(0.5 + pen - near, 0), 1))
    return np.reshape(pixels, (28, 28))


def test_every_stroke_is_where_the_formula_has_it(monkeypatch):
    """Both images of each digit, also where they are drawn one at a time."""
    found, labels = strokes(2, seed=5)
    assert labels.tolist() == [k for k in range(10) for _ in range(2)]
    rng = host_rng(5, "strokes")
    for k, line in enumerate(LINES.strip().splitlines()):
        chain = np.array(line.split(), float).reshape(-1, 2)
        turn, slant = rng.normal(0, 0.12, 2), rng.normal(0, 0.2, 2)
        size, shift = rng.uniform(0.8, 1.1, (2, 2)), rng.uniform(-2, 2, (2, 1, 2))
        pen, off = rng.uniform(0.8, 1.6, 2), rng.normal(0, 0.06, (2, len(chain), 2))
        for i in (0, 1):
            c, s = math.cos(turn[i]), math.sin(turn[i])
            points = []
            for q in chain + off[i]:
                x, y = q * size[i] * 8.5
                points.append((c * x + (slant[i] - s) * y + shift[i, 0, 0], s * x + c * y + shift[i, 0, 1]))
            off_by = np.abs(found[2 * k + i, ..., 0] - image_of(points, pen[i]))
            assert off_by.max() < 0.51, (k, i)
    monkeypatch.setattr(sys.modules["xpnn.data.strokes"], "BLOCK", 1)  # the function has the module's name
    assert np.array_equal(strokes(2, seed=5)[0], found)
    assert np.array_equal(strokes(2)[0], strokes(2, seed=0)[0])


@pytest.mark.parametrize(("make", "settings"), [(moons, ()), (rings, (2,)), (blobs, (4,))])
def test_noise_is_added_as_it_is_drawn(make, settings):
    clean, _ = make(7, *settings, noise=0.0)
    z = host_rng(3, make.__name__).standard_normal(clean.shape)
    np.testing.assert_allclose(make(7, *settings, noise=0.5, seed=3)[0], clean + 0.5 * z, rtol=0, atol=1e-12)


def test_moons_by_the_formula():
    x, _ = moons(3, noise=0.0)
    wanted = [[1, 0], [0, 1], [-1, 0], [0, 0.5], [1, -0.5], [2, 0.5]]
    np.testing.assert_allclose(x, wanted, rtol=0, atol=1e-15)


def test_rings_by_the_formula():
    x, y = rings(4, 2, noise=0.0)
    wanted = [[0.5, 0], [0, 0.5], [-0.5, 0], [0, -0.5], [1, 0], [0, 1], [-1, 0], [0, -1]]
    np.testing.assert_allclose(x, wanted, rtol=0, atol=1e-15)
    assert y.tolist() == [0] * 4 + [1] * 4


@pytest.mark.parametrize("make", [moons, rings, blobs, spiral])
def test_two_samples_are_enough_and_no_noise_may_be(make):
    assert len(make(2, noise=0.0)[0]) == 2 * len(set(make(2)[1]))
    assert np.array_equal(make(9)[0], make(9, seed=0)[0])


@pytest.mark.parametrize("make", [rings, blobs, spiral])
def test_one_class_is_enough(make):
    assert make(3, 1)[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("sizes", "held", "wanted"), [
    ([6, 3, 1], 5, [3, 2, 0]),  # quotas 3, 1.5 and 0.5: the first of equal remainders is rounded up
    ([5, 5], 4, [2, 2]), ([5, 5], 5, [3, 2]), ([7, 2, 1], 3, [2, 1, 0]), ([8, 1, 1], 7, [7, 0, 0]),
    ([4, 4, 1], 6, [3, 3, 0]), ([5, 4, 1], 7, [4, 3, 0]), ([3, 3, 3], 6, [2, 2, 2]), ([2, 2], 2, [1, 1]),
    ([10], 9, [9]), ([1, 9], 8, [0, 8]),
])  # fmt: skip
def test_each_class_gives_its_share_to_a_stratified_split(sizes, held, wanted):
    y = np.repeat(np.arange(len(sizes)), sizes)
    train, chosen = stratified_split(y, held, np.random.default_rng(0))
    assert [int((y[chosen] == c).sum()) for c in range(len(sizes))] == wanted
    assert sorted([*train, *chosen]) == list(range(sum(sizes)))


def test_samples_are_dealt_out_to_folds_class_by_class():
    """Sizes within one, of the classes and of the folds, going on where the last class ended."""
    y = np.array([0, 1, 0, 2, 0, 1, 0, 2, 1, 0, 1])
    rng = np.random.default_rng(4)
    dealt = np.concatenate([rng.permutation(np.flatnonzero(y == c)) for c in range(3)])
    wanted = [sorted(dealt[i::3].tolist()) for i in range(3)]
    found = list(k_folds(y, 3, np.random.default_rng(4)))
    assert [held.tolist() for _, held in found] == wanted
    assert [train.tolist() for train, _ in found] == [sorted(set(range(11)) - set(held)) for held in wanted]
    assert len(list(k_folds(y, 11, rng))) == 11
    assert len(list(k_folds(y, 2, rng))) == 2
