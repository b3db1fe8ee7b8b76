"""The geometry of windows, and the order of samples that a file keeps in chunks, against counting one by one."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from xpnn.chunk_order import ChunkOrder
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.random import host_rng
from xpnn.stored_array import BLOCK, FEWEST, WINDOW, StoredArray, stored
from xpnn.window import (
    Window,
    at_least,
    check_no_window_is_padding,
    check_padding,
    check_positions,
    counts,
    interior,
    longest_cell,
    padded_shape,
    pads_of,
    per_axis,
    place,
    rounded_up,
    span,
    taps,
)

GRID = list(itertools.product((5, 6, 7), (1, 2, 3), (1, 2, 3, 4), ((0, 0), (1, 0), (0, 2), (2, 3)), (1, 2)))
"""Positions, taps, stride, pads and dilation of one axis."""


def begins(n, k, s, pad, d):
    """Where the windows on the padded positions begin, counted one by one."""
    return list(range(0, n + sum(pad) - (k - 1) * d, s))


def axis(n, k, s, pad, d):
    return (1, n, 2), Window((k,), (s,), (pad,), (d,))


def test_windows_are_counted():
    for one in GRID:
        assert counts(*axis(*one)) == (len(begins(*one)),), one
    two = Window((2, 3), (1, 2), ((1, 0), (0, 3)), (2, 1))
    assert counts((9, 5, 6, 4), two) == (len(begins(5, 2, 1, (1, 0), 2)), len(begins(6, 3, 2, (0, 3), 1)))


def test_what_each_tap_meets():
    for one in GRID:
        shape, window = axis(*one)
        n, k, _, pad, d = one
        padded = np.arange(n + sum(pad))
        met = [padded[cut].tolist() for (cut,) in taps(shape, window)]
        assert met == [[begin + a * d for begin in begins(*one)] for a in range(k)], one
    two = list(taps((1, 3, 4, 1), Window((2, 2))))
    assert two == [(slice(a, a + 2, 1), slice(b, b + 3, 1)) for a in range(2) for b in range(2)]


def test_a_last_window_that_ends_outside():
    """PyTorch's ceil_mode: it must begin on the samples, or in the pads before them."""
    for n, k, s, (before, after), d in GRID:
        if n + before + after < span(k, d):
            continue
        window = Window((k,), (s,), ((before, after),), (d,))
        wanted, room = len(begins(n, k, s, (before, after), d)), n + before + after - span(k, d)
        if room % s and wanted * s < before + n:
            wanted += 1
        found = rounded_up((n, 2), window)
        assert counts((1, n, 2), found) == (wanted,), (n, k, s, before, after, d)
        assert found.pads[0][0] == before
        assert found.pads[0][1] - after == max((wanted - 1) * s - room, 0)


def test_windows_of_padding_alone_are_refused():
    refused = 0
    for one in GRID:
        shape, window = axis(*one)
        n, k, _, (before, _), d = one
        empty = any(not any(before <= i + a * d < before + n for a in range(k)) for i in begins(*one))
        refused += empty
        if empty:
            with pytest.raises(ShapeError, match="windows of nothing but padding"):
                check_no_window_is_padding(shape[1:], window)
        else:
            check_no_window_is_padding(shape[1:], window)
    assert 20 < refused < len(GRID) - 20


@pytest.mark.parametrize("padding", ["valid", "same", "same_lower"])
def test_padding_by_its_name(padding):
    for n, k, s, _, d in GRID:
        if padding == "valid" and span(k, d) > n:
            continue
        found = place((n, 3), (k,), (s,), padding, (d,))
        ((before, after),) = found.pads
        assert counts((1, n, 3), found) == (
            len(begins(n, k, s, (0, 0), d)) if padding == "valid" else -(-n // s),
        )
        need = 0 if padding == "valid" else max((-(-n // s) - 1) * s + span(k, d) - n, 0)
        assert before + after == need
        assert after - before == {"same": need % 2, "same_lower": -(need % 2), "valid": 0}[padding]


def test_settings_of_a_window():
    plain = Window((2, 3))
    assert (plain.stride, plain.pads, plain.dilation) == ((1, 1), ((0, 0), (0, 0)), (1, 1))
    part = Window((2,), (2,), (), (3,))
    assert (part.stride, part.pads, part.dilation) == ((2,), ((0, 0),), (3,))
    assert not plain.is_padded
    assert Window((2,), pads=((0, 1),)).is_padded
    tiles = {
        Window((2, 2), (2, 2)): True, Window((2, 2), (2, 1)): False, Window((2,), (2,), ((1, 0),)): False,
        Window((2,), (2,), (), (2,)): False, Window((2, 2), (2, 2), (), (1, 2)): False,
    }  # fmt: skip
    assert {window: window.is_tiling for window in tiles} == tiles
    assert (span(3), span(3, 2), span(1, 5)) == (3, 5, 1)
    assert (per_axis(2, 3), per_axis((1, 2), 2)) == ((2, 2, 2), (1, 2))
    assert (pads_of(2, 2), pads_of((1, 2), 1), pads_of(((1, 2), (3, 4)), 2)) == (
        ((2, 2), (2, 2)), ((1, 2),), ((1, 2), (3, 4)),
    )  # fmt: skip
    padded = Window((2, 2), pads=((1, 2), (0, 3)))
    assert interior((9, 5, 6, 4), padded) == (slice(1, 6), slice(0, 6))
    assert padded_shape((9, 5, 6, 4), padded) == (9, 8, 9, 4)
    assert place((5, 6, 3), (2, 2), (1, 1), 1).pads == ((1, 1), (1, 1))
    assert place((5, 3), (2,), (1,), (2, 0)).dilation == (1,)


@pytest.mark.parametrize(("shape", "kernel", "padding", "dilation", "words"), [
    ((5, 3), (6,), "valid", (1,), r"windows that span 6 values\n  why: the padded length is 5"),
    ((5, 3), (4,), 1, (3,), r"windows that span 10 values\n  why: the padded length is 7"),
    ((5, 4, 3), (2, 5), "valid", (), r"windows that span 5 values\n  why: the padded width is 4"),
    ((5,), (2,), "valid", (), r"wants sequences \(length, channels\)\n  why: got \(5,\)"),
    ((5, 0), (2,), "valid", (), "wants sequences"), ((5, 4), (2, 2), "valid", (), "wants images"),
    ((5, 4, 3), (2, 2, 2), "valid", (), "wants volumes"),
])  # fmt: skip
def test_windows_that_do_not_fit(shape, kernel, padding, dilation, words):
    with pytest.raises(ShapeError, match=words):
        place(shape, kernel, (1,) * len(kernel), padding, dilation)


def test_a_window_that_just_fits():
    assert counts((1, 5, 3), place((5, 3), (5,), (1,), "valid")) == (1,)
    assert counts((1, 5, 3), place((5, 3), (3,), (1,), 1, (3,))) == (1,)
    check_positions((5, 3), 1)


class Conv:
    """A layer of the user's own with the settings of a window."""


@pytest.mark.parametrize(("padding", "axes", "words"), [
    ("full", 1, r"Conv\(padding='full'\): unknown padding\n  fix: .* or \(before, after\)$"),
    ("full", 2, r"or \(\(top, bottom\), \(left, right\)\)$"), ("full", 3, r"or \(before, after\) of each axis$"),
    (-1, 1, r"Conv\(padding=-1\): wanted whole numbers of at least 0"), ((0, -1), 1, r"Conv\(padding=\(0, -1\)\)"),
    (((0, 0), (-1, 0)), 2, "at least 0"), (0, 1, None), ((0, 0), 1, None), ("same_lower", 2, None),
])  # fmt: skip
def test_padding_that_cannot_be(padding, axes, words):
    if words is None:
        check_padding(Conv(), padding, axes)
        return
    with pytest.raises(UsageError, match=words):
        check_padding(Conv(), padding, axes)


def test_least_numbers():
    at_least(1, Conv(), stride=1, kernel=(1, 2))
    with pytest.raises(UsageError, match=r"Conv\(kernel=\(1, 0\)\): wanted whole numbers of at least 1"):
        at_least(1, Conv(), stride=1, kernel=(1, 0))


def test_the_longest_cell():
    for n, m in itertools.product(range(1, 12), repeat=2):
        cells = [-(-(i + 1) * n // m) - i * n // m for i in range(m)]
        assert longest_cell(n, m) == max(cells)
    assert [longest_cell(10, 3), longest_cell(7, 7), longest_cell(3, 5)] == [4, 1, 2]


# Chunks


BOUNDS = np.array([0, 3, 3, 7, 12, 14, 20])
"""Six chunks of 3, 0, 4, 5, 2 and 6 samples."""


@pytest.mark.parametrize("window", [1, 2, 4, 6, 9])
def test_the_order_of_an_epoch(window):
    rows = np.arange(100, 120)
    order = ChunkOrder(7, 3, rows, BOUNDS, window)
    chunks = host_rng(7, "shuffle", 3).permutation(6)
    wanted = []
    for i in range(0, 6, window):
        some = np.concatenate([rows[BOUNDS[c] : BOUNDS[c + 1]] for c in chunks[i : i + window]])
        wanted += host_rng(7, "shuffle", 3, i // window).permutation(some).tolist()
    assert np.asarray(order).tolist() == wanted
    assert np.asarray(order, np.float32).dtype == np.float32
    assert len(order) == 20
    for start, stop in [(0, 4), (4, 8), (8, 20), (0, 20), (19, 20), (5, 5), (18, 99), (0, 0)]:
        assert order[start:stop].tolist() == sorted(wanted[start:stop]), (start, stop)
    assert np.asarray(ChunkOrder(7, 4, rows, BOUNDS, window)).tolist() != wanted


class Kept:
    """A dataset that counts what is read from it."""

    def __init__(self, rows, chunk=4, shape=(2,), dtype=np.float32, shards=None):
        self.a = np.arange(rows * int(np.prod(shape))).reshape(rows, *shape).astype(dtype)
        self.shape, self.dtype, self.chunks, self.shards = (
            self.a.shape,
            self.a.dtype,
            chunk and (chunk, 1),
            shards,
        )
        self.read, self.oindex = [], self

    def __getitem__(self, which):
        self.read.append((which.start, which.stop) if isinstance(which, slice) else which.tolist())
        return self.a[which]


def test_what_is_known_of_a_stored_array():
    found = StoredArray(Kept(20))
    assert (found.shape, found.ndim, found.nbytes, len(found), found.chunk) == ((20, 2), 2, 160, 20, 4)
    assert repr(found) == "<float32 of shape (20, 2), in chunks of 4 samples>"
    assert found.window == WINDOW // 32
    assert StoredArray(Kept(2, chunk=1 << 23)).window == FEWEST == 8
    assert StoredArray(Kept(2, chunk=1 << 19)).window == 16
    assert StoredArray(Kept(2, chunk=None)).chunk == BLOCK == 256
    assert StoredArray(Kept(2, shards=(5, 1))).chunk == 5
    part = StoredArray(Kept(20), np.array([1, 5, 9]))
    assert (part.shape, part.nbytes) == ((3, 2), 24)
    assert part.subset(np.array([0, 2])).rows.tolist() == [1, 9]
    empty = Kept(2)
    empty.shape = ()
    with pytest.raises(DataError, match="a dataset of a single number"):
        StoredArray(empty)
    for kind in ("U3", "c8"):
        with pytest.raises(DataError):
            StoredArray(Kept(2, dtype=kind))
    assert stored(3) == 3


@pytest.mark.parametrize(
    ("nbytes", "step"), [(0, 1), (WINDOW, 1), (WINDOW + 1, 2), (2 * WINDOW, 2), (2 * WINDOW + 1, 3)]
)
def test_the_step_between_inspected_samples_by_size(nbytes, step):
    assert StoredArray.some(SimpleNamespace(nbytes=nbytes)) == step


@pytest.mark.parametrize(("which", "read"), [
    (slice(3, 9), [(3, 9)]), (slice(9, 3), [(9, 9)]), (slice(0, 8, 2), [(0, 4), (4, 8)]),
    ([5, 4, 5], [(4, 8)]), ([1, 17], [(0, 4), (16, 20)]), ([33], [(32, 36)]), ([], []),
])  # fmt: skip
def test_samples_are_read_in_whole_chunks(which, read):
    data = Kept(40)
    rows = which if isinstance(which, slice) else np.array(which, int)
    np.testing.assert_array_equal(StoredArray(data)[rows], data.a[rows])
    assert data.read == read


def test_few_samples_of_large_chunks_are_read_alone():
    """Up to 8 samples of a chunk for each that is wanted, chunks are read whole."""
    for chunk, read in ((8, [(0, 8), (16, 24)]), (9, [[1, 20]])):
        data = Kept(40, chunk=chunk)
        np.testing.assert_array_equal(StoredArray(data)[np.array([20, 1])], data.a[[20, 1]])
        assert data.read == read
    data = Kept(40, chunk=40)
    many = np.array([[20, 1], [1, 20]])
    np.testing.assert_array_equal(StoredArray(data)[many], data.a[many])
    with pytest.raises(DataError, match="indexed by samples alone"):
        StoredArray(data)[0:3, 1]
    assert StoredArray(data)[0:3, ...].shape == (3, 2)


def test_chunks_are_kept_for_the_next_batches():
    data = Kept(40)
    found = StoredArray(data)
    found.window = 2
    for batch in ([0, 5], [1, 6], [8, 12], [16, 0], [4], [0]):
        np.testing.assert_array_equal(found.by_chunks(np.array(batch)), data.a[batch])
    assert data.read == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 20), (4, 8)]  # of five the oldest goes
    part = StoredArray(data, np.array([3, 7, 30]))
    np.testing.assert_array_equal(part.by_chunks(np.array([2, 0])), data.a[[30, 3]])


def test_batches_are_read_in_advance():
    found = StoredArray(Kept(40))
    batches = [np.array([i, i + 1]) for i in range(0, 40, 2)]
    np.testing.assert_array_equal(np.concatenate(list(found.read(batches))), found.dataset.a)
    assert list(found.read([])) == []


def test_the_order_of_a_stored_array():
    found = StoredArray(Kept(10))
    whole = found.order(1, 2, range(10))
    assert (whole.bounds.tolist(), whole.rows, whole.window) == ([0, 4, 8, 10], range(10), found.window)
    part = found.order(1, 2, np.array([9, 0, 5]))
    assert (part.bounds.tolist(), part.rows.tolist()) == ([0, 1, 2, 3], [0, 5, 9])
    assert sorted(np.asarray(part)) == [0, 5, 9]
    chosen = StoredArray(Kept(10), np.array([1, 4, 5, 9]))
    for train, bounds in ((range(4), [0, 1, 3, 4]), (np.array([3, 1]), [0, 0, 1, 2])):
        order = chosen.order(1, 2, train)
        assert order.bounds.tolist() == bounds
        assert sorted(np.asarray(order)) == sorted(train)
