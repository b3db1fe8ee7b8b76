"""NumPy's kernels work block by block and take another way at their limits: the numbers stay the same."""

from types import SimpleNamespace

import numpy as np
import pytest
from harness import open_backend, rng_of

import xpnn
from xpnn.backends.cpu import blocks, distribution, draws, products, resample, rows, updates, windows, workers
from xpnn.backends.cpu.threads import blas_threads
from xpnn.kernels import Kernels
from xpnn.optimizers.base import Optimizer
from xpnn.window import Window, counts


def normal(*shape):
    return rng_of("blocks", shape).standard_normal(shape)


@pytest.fixture
def be():
    return open_backend("numpy", "float64")


SAMPLES, PLACES = (5, 6, 7, 2), Window((3, 2), (1, 2), ((1, 0), (0, 1)))
PER_SAMPLE = 5 * 4 * 6 * 2
"""Numbers of the column matrix of one sample."""


@pytest.mark.parametrize(
    ("size", "few"),
    [(0, 1), (PER_SAMPLE - 1, 1), (2 * PER_SAMPLE, 2), (4 * PER_SAMPLE, 4), (99 * PER_SAMPLE, 5)],
)
def test_a_convolution_takes_a_few_samples_at_a_time(monkeypatch, be, size, few):
    """As many as have that many numbers in their columns, and one at least; the rest comes last."""
    x, W, b = normal(*SAMPLES), normal(3, 2, 2, 3), normal(3)
    dy = normal(5, *counts(SAMPLES, PLACES), 3)
    assert dy.shape == (5, 5, 4, 3)
    monkeypatch.setattr(windows, "COLUMNS", size)
    wanted_sizes = [min(few, 5 - start) for start in range(0, 5, few)]
    found, taken = [], windows.copy_windows

    def noted(be, x, *rest):
        found.append(len(x))
        return taken(be, x, *rest)

    monkeypatch.setattr(windows, "copy_windows", noted)
    for name, given in {
        "conv": (x, W, b, PLACES),
        "conv_dw": (x, dy, PLACES),
    }.items():
        wanted = getattr(Kernels, name)(be, *given)
        found.clear()
        np.testing.assert_allclose(getattr(windows, name)(be, *given), wanted, rtol=1e-12)
        assert found == wanted_sizes, name
    given, parts = (dy, W, SAMPLES, PLACES), []
    wanted = Kernels.conv_dx(be, *given)

    class Noting(type(be)):
        def col2im(self, cols, *rest):
            parts.append(len(cols))
            return super().col2im(cols, *rest)

    found = windows.conv_dx_by_col2im(Noting("cpu", "float64"), *given)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert parts == wanted_sizes


@pytest.mark.parametrize(("size", "few"), [(0, 1), (2 * 5 * 6 * 3, 2), (2 * 5 * 6 * 3 - 1, 1)])
def test_a_convolution_with_its_maxima_takes_a_few_samples_at_a_time(monkeypatch, be, size, few):
    x, W, b = normal(5, 7, 8, 2), normal(3, 3, 2, 3), normal(3)
    given, found = (x, W, b, Window((3, 3)), 1, Window((2, 2), (2, 2))), []
    wanted, reference = Kernels.conv_relu_max_pool(be, *given), Kernels.conv_relu_max_pool
    monkeypatch.setattr(windows, "COLUMNS", size)
    monkeypatch.setattr(
        Kernels, "conv_relu_max_pool", lambda be, x, *rest: (found.append(len(x)), reference(be, x, *rest))[1]
    )
    for got, one in zip(windows.conv_relu_max_pool(be, *given), wanted, strict=True):
        np.testing.assert_allclose(got, one, rtol=1e-12)
    assert found == [min(few, 5 - start) for start in range(0, 5, few)]


RULES = {
    "descent": (xpnn.SGD(0.1, l1=0.01, l2=0.02, weight_decay=0.03), 1, ()),
    "momentum": (xpnn.SGD(0.1, momentum=0.9), 2, (0.9, 0.0)),
    "momentum, Nesterov": (xpnn.SGD(0.1, momentum=0.9, nesterov=True, l2=0.1), 2, (0.9, 1.0)),
    "adam": (xpnn.AdamW(0.1, weight_decay=0.2), 3, (0.9, 1 - 0.9, 0.999, 1 - 0.999, 1e-8)),
}


@pytest.mark.parametrize("size", [1, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("rule", RULES)
def test_an_update_goes_block_by_block_in_the_memory_of_one(monkeypatch, rule, size):
    """Blocks of four numbers: the last may be shorter; every number changes once."""
    optimizer, slots, numbers = RULES[rule]
    monkeypatch.setattr(updates, "BLOCK", 4)
    monkeypatch.setattr(updates, "SCRATCH", updates.Scratch())
    theta, grad, *others = (normal(4, size)[i] for i in range(4))
    vectors = [theta, *(slot * slot for slot in others[: slots - 1])]
    decay, read = np.arange(size) % 2 * 1.0, (np.asarray(3), np.asarray(0.1), np.asarray(0.5))
    wanted = [
        expected(
            rule,
            optimizer,
            *map(float, (vectors[0][i], grad[i], decay[i])),
            *(float(v[i]) for v in vectors[1:]),
        )
        for i in range(size)
    ]
    own = optimizer.l2, optimizer.l1, optimizer.weight_decay, *numbers
    updates.update(rule.partition(",")[0], tuple(vectors), (grad, decay), own, read)
    np.testing.assert_allclose(np.stack(vectors, 1), wanted, rtol=1e-12)
    assert [a.size for room in updates.SCRATCH.of(np.dtype("float64")) for a in room] == [4, 4, 4]


def expected(rule, optimizer, w, g, decay, *slots):
    """(w, slots) of one weight after step 3 at rate 0.1, its gradient clipped to half, by the formulas as published."""
    w -= 0.1 * optimizer.weight_decay * decay * w
    g = 0.5 * g + decay * (optimizer.l2 * w + optimizer.l1 * np.sign(w))
    if rule == "descent":
        return (w - 0.1 * g,)
    if rule == "adam":
        m, v = 0.9 * slots[0] + 0.1 * g, 0.999 * slots[1] + 0.001 * g * g
        return w - 0.1 * (m / (1 - 0.9**3)) / (np.sqrt(v / (1 - 0.999**3)) + 1e-8), m, v
    v = 0.9 * slots[0] + g
    return w - 0.1 * (g + 0.9 * v if optimizer.nesterov else v), v


def test_plain_descent_alone_is_left_to_blas(monkeypatch):
    """Without clipping and penalties; everything else is the rule's own."""
    seen = []
    theta, grad = np.ones(3), np.ones(3)

    def descend(w, g, lr):
        assert w is theta
        assert g is grad
        return not seen.append(lr)

    monkeypatch.setattr(updates, "descend_by_blas", descend)

    def update(name="descent", clip=1.0, penalties=(0, 0, 0), numbers=(), vectors=(theta,)):
        read = np.asarray(1), np.asarray(0.25), np.asarray(clip)
        updates.update(name, vectors, (grad, np.ones(3)), (*penalties, *numbers), read)

    update()
    assert (seen, theta.tolist()) == ([0.25], [1, 1, 1])
    for other in (
        {"clip": 0.5},
        {"penalties": (0.1, 0, 0)},
        {"penalties": (0, 0.1, 0)},
        {"penalties": (0, 0, 0.1)},
        {"name": "momentum", "numbers": (0.9, 0.0), "vectors": (theta, np.zeros(3))},
    ):
        before = theta.copy()
        update(**other)
        assert (theta < before).all()
    assert seen == [0.25]


def test_a_correction_of_moments_keeps_its_digits():
    """1 - beta^t by its first terms, where beta is next to 1; and 1 where no past counts."""
    assert updates.correction(0.0, 3) == 1
    assert updates.correction(0.5, 3) == 0.875
    small = 2.0**-40
    assert updates.correction(1 - small, 2) == pytest.approx(2 * small - small**2, rel=1e-15)


@pytest.mark.parametrize(
    ("units", "samples", "by_columns"),
    [(1024, 256, True), (1024, 257, False), (1023, 256, False), (1023, 257, False)],
)
def test_products_go_by_columns_where_rows_are_few_and_wide(units, samples, by_columns):
    """As measured on the processor that the module names."""
    assert products.multiplies_by_columns(samples, units) is by_columns


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_words_and_probabilities_of_any_size_of_block_are_the_same(monkeypatch, be, size):
    """Draws, masks and the normal distribution, three blocks and a rest at a time."""
    key, tick = (7, 2), be.scalar(5, be.xp.int64)
    wanted = [
        getattr(Kernels, name)(be, key, tick, (23,), *more, 3)
        for name, more in (("uniform", ()), ("normal", ()), ("keep_mask", (0.5,)))
    ]
    x = 3 * normal(23)
    cdf = Kernels.normal_cdf(be, x)
    monkeypatch.setattr(draws, "BLOCK", size)
    monkeypatch.setattr(distribution, "BLOCK", size)
    found = [
        getattr(be, name)(key, tick, (23,), *more, first=3)
        for name, more in (("uniform", ()), ("normal", ()), ("keep_mask", (0.5,)))
    ]
    for got, one in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got, one)
    np.testing.assert_allclose(be.normal_cdf(x), cdf, rtol=1e-14)


def test_a_mask_keeps_the_word_that_equals_its_threshold():
    """A probability of exactly u drops what is below u alone: the low bits of that word are all 0."""
    for mode in ("numpy", "fast", "strict"):
        be = open_backend(mode, "float64")
        with be.device_context():
            keep = be.to_numpy(be.keep_mask(KEY, be.scalar(TICK, be.xp.int64), (AT + 1,), RATE))
            u = be.to_numpy(be.uniform(KEY, be.scalar(TICK, be.xp.int64), (AT + 1,)))
        assert u[AT] == RATE
        np.testing.assert_array_equal(keep, u >= RATE)
        assert keep[AT]


KEY, TICK = (7, 2), 9


def exact_word():
    """(number, probability) of the first word of the stream that has eight low bits of 0."""
    found = np.empty(4000, np.uint32)
    draws.draw([KEY], np.int64(TICK), 4000, found.__setitem__)
    at = int(np.flatnonzero(found & 255 == 0)[0])
    return at, float(found[at] >> 8) * 2.0**-24


AT, RATE = exact_word()


@pytest.mark.parametrize(
    ("shape", "sizes"), [((5, 3), [3, 2]), ((5, 100), [1] * 5), ((0, 3), []), ((2, 1), [2]), ((3,), [3])]
)
def test_blocks_are_whole_rows(monkeypatch, shape, sizes):
    monkeypatch.setattr(blocks, "BLOCK", 9)
    x = np.arange(np.prod(shape)).reshape(shape)
    found = list(blocks.blocks(x))
    assert [len(part) for part in found] == sizes
    assert all(np.shares_memory(part, x) for part in found)
    assert np.array_equal(np.concatenate([x[:0], *found]), x)


def test_matrices_by_columns_are_known_by_their_layout():
    rows_, columns = np.zeros((3, 2)), np.zeros((2, 3)).T
    assert blocks.is_column_major(columns, columns)
    assert not blocks.is_column_major(columns, rows_)
    for other in (rows_, np.zeros((1, 3)).T, np.zeros(3), np.zeros((2, 3, 4)).T, columns[::2]):
        assert not blocks.is_column_major(other)
    columns.flags.writeable = False
    assert not blocks.is_column_major(columns)


def test_pictures_are_resampled_a_few_at_a_time(monkeypatch, be):
    x, v, u = normal(5, 4, 3, 2), 4 * rng_of("v").random((5, 4, 3)), 3 * rng_of("u").random((5, 4, 3))
    wanted = Kernels.bilinear(be, x, v, u)
    for points in (0, 23, 24, 48, 72, 10**6):
        monkeypatch.setattr(resample, "POINTS", points)
        np.testing.assert_allclose(be.bilinear(x, v, u), wanted, rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 9])
def test_sums_over_many_rows_are_taken_in_parts(monkeypatch, be, n):
    monkeypatch.setattr(rows, "ROWS", 4)
    x, out = normal(n, 3), np.full(3, np.nan)
    np.testing.assert_allclose(be.column_sums(x), x.sum(0), rtol=1e-12)
    np.testing.assert_allclose(be.column_sums(x, out), x.sum(0), rtol=1e-12)
    np.testing.assert_allclose(be.column_sums(normal(n, 2, 3)), normal(n, 2, 3).sum((0, 1)), rtol=1e-12)
    assert not rows.ones(3, np.dtype("float64")).flags.writeable


@pytest.mark.parametrize("mode", ["numpy", "fast"])
def test_rows_that_are_not_there_are_refused_and_others_counted_from_the_end(mode):
    be, x = open_backend(mode, "float32"), np.arange(12, dtype=np.uint8).reshape(4, 3)
    for ids in ([-1, 0], [3, -4], [0, 3], []):
        taken = be.take_rescaled(x, np.array(ids, np.int64), 0.5, 1.0)
        assert taken.dtype == np.float32
        np.testing.assert_array_equal(taken, x[np.array(ids, int)] * 0.5 + 1)
    for ids in ([4], [0, -5]):
        with pytest.raises(IndexError):
            be.take_rescaled(x, np.array(ids), 0.5, 1.0)
    np.testing.assert_array_equal(be.take_rescaled(x[:, ::2], np.array([1]), 1.0, 0.0), [[3, 5]])


def test_finiteness_is_looked_at_where_squares_overflow(be):
    huge = np.full(3, 1e200)
    with be.device_context():
        assert be.all_finite(huge, np.asarray(1.0), np.arange(3), np.zeros(0))
        for bad in (np.inf, -np.inf, np.nan):
            for found in (np.asarray(bad), np.array([[1.0, bad]]), np.array([1e200, bad])):
                assert not be.all_finite(huge, found)
                assert not be.all_finite(found, huge)
        assert be.all_finite()


def test_what_is_copied_before_an_update_are_the_vectors(be):
    tree = {"theta": np.ones(3), "t": np.asarray(4)}
    copied = be.copied(tree)
    assert copied["t"] is tree["t"]
    copied["theta"][0] = 7
    assert tree["theta"].tolist() == [1, 1, 1]


def test_nan_unless_keeps_the_dtype_and_shape():
    for dtype in ("float32", "float64"):
        be = open_backend("numpy", dtype)
        for value in (be.scalar(2.5), be.asarray([1.0, 2.0], be.dtype)):
            assert np.array_equal(be.nan_unless(np.True_, value), value)
            bad = be.nan_unless(np.False_, value)
            assert (bad.dtype, bad.shape) == (value.dtype, value.shape)
            assert np.isnan(bad).all()


def test_optimizers_with_a_loop_are_those_of_the_table():
    assert set(updates.RULES) == set(updates.LAST) == {"descent", "momentum", "adam"}
    assert issubclass(xpnn.AdamW, Optimizer)


def test_an_image_without_pads_is_not_copied(be):
    x = normal(2, 3, 4, 1)
    assert be.pad(x, ((0, 0), (0, 0))) is x
    assert be.pad(x, ((0, 1), (0, 0))).shape == (2, 4, 4, 1)


CHANNELS = {
    "depthwise": ((2, 5, 6, 2), 2, 2, True),
    "a sequence": ((2, 6, 2), 2, 2, True),
    "one channel": ((2, 5, 6, 1), 1, 1, False),
    "several channels in a group": ((2, 5, 6, 4), 2, 4, False),
    "two filters for a channel": ((2, 5, 6, 2), 2, 4, False),
    "a volume": ((2, 4, 5, 6, 2), 2, 2, False),
}


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_alone_have_loops_of_their_own(monkeypatch, be, name):
    """And the numbers of the reference, whichever way."""
    pytest.importorskip("numba")
    from xpnn.backends.cpu import numba_windows

    shape, groups, filters, by_loops = CHANNELS[name]
    fast, kernel = open_backend("fast", "float64"), (2,) * (len(shape) - 2)
    window, taken = Window(kernel), []
    x, W = normal(*shape), normal(*kernel, shape[-1] // groups, filters)
    dy = normal(shape[0], *counts(shape, window), filters)
    own = numba_windows.loops_of_channels
    noted = {
        f: lambda *args, f=f: (taken.append(f), getattr(own, f)(*args))[1]
        for f in ("forward", "by_x", "by_weights")
    }
    monkeypatch.setattr(numba_windows, "loops_of_channels", SimpleNamespace(**noted))
    for name, given in {
        "conv": (x, W, None, window, groups),
        "conv_dx": (dy, W, shape, window, groups),
        "conv_dw": (x, dy, window, groups),
    }.items():
        wanted = getattr(Kernels, name)(be, *given)
        np.testing.assert_allclose(getattr(fast, name)(*given), wanted, rtol=1e-12, atol=1e-14)
    assert taken == (["forward", "by_x", "by_weights"] if by_loops else [])


def sequence(samples, dtype, steps=4, n_in=3, units=2, gates=4):
    """(x, W, U, b) of a recurrent layer, by time."""
    sizes = (steps, samples, n_in), (n_in, gates * units), (units, gates * units), (gates * units,)
    return [normal(*size).astype(dtype) for size in sizes]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("mode", ["numpy", "fast"])
@pytest.mark.parametrize("samples", [1, 15, 16, 33])
def test_whole_sequences_by_threads_that_have_samples_of_their_own(mode, samples, threads):
    """Below sixteen the inputs' part is one product for all steps, and one thread walks them all."""
    for dtype in ("float64", "float32"):
        be, reference = open_backend(mode, dtype), open_backend("numpy", dtype)
        x, W, U, b = sequence(samples, dtype)
        a, V, c = x @ normal(3, 6).astype(dtype), normal(2, 6).astype(dtype), b[:2]
        with blas_threads(threads), be.device_context():
            for bias in (b, None):
                kept = be.lstm_pass(x, W, U, bias)
                alike(kept, Kernels.lstm_pass(reference, x, W, U, bias))
                for dy in (normal(4, samples, 2).astype(dtype), normal(samples, 2).astype(dtype)):
                    given = dy, U, *kept[1:]
                    alike([be.lstm_pass_grad(*given)], [Kernels.lstm_pass_grad(reference, *given)])
            for inner in (c, None):
                kept = be.gru_pass(a, V, inner)
                alike(kept, Kernels.gru_pass(reference, a, V, inner))
                for dy in (normal(4, samples, 2).astype(dtype), normal(samples, 2).astype(dtype)):
                    given = dy, V, *kept
                    alike(be.gru_pass_grad(*given), Kernels.gru_pass_grad(reference, *given))


def alike(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(
            a, b, rtol=1e-12 if a.dtype == np.float64 else 2e-5, atol=1e-13 if a.dtype == np.float64 else 2e-6
        )


@pytest.mark.parametrize(
    ("threads", "n", "least", "cuts"),
    [
        (1, 40, 16, [(0, 40)]),
        (2, 40, 16, [(0, 20), (20, 40)]),
        (4, 40, 16, [(0, 20), (20, 40)]),
        (4, 47, 16, [(0, 23), (23, 47)]),
        (4, 48, 16, [(0, 16), (16, 32), (32, 48)]),
        (8, 15, 16, [(0, 15)]),
        (2, 0, 16, [(0, 0)]),
        (3, 7, 1, [(0, 2), (2, 4), (4, 7)]),
    ],
)
def test_samples_for_threads(monkeypatch, threads, n, least, cuts):
    monkeypatch.setattr(workers, "setter", lambda: (lambda: threads, None))
    assert [(part.start, part.stop) for part in workers.slices(n, least)] == cuts


@pytest.mark.parametrize("mode", ["numpy", "fast"])
@pytest.mark.parametrize("size", [1, 5, 10**6])
@pytest.mark.parametrize("rate", [0.0, 0.5, 1 - 2.0**-24, 1 - 2.0**-30])
def test_dropout_in_one_go_is_that_of_its_mask(monkeypatch, mode, size, rate):
    """Alone, behind a bias and a ReLU, and back; in place where that may be, and by columns too."""
    monkeypatch.setattr(draws, "BLOCK", size)
    be, key, tick = open_backend(mode, "float64"), (7, 2), np.asarray(5)
    x, b, dy = normal(4, 3), normal(3), normal(3, 4).T
    keep, scale = Kernels.keep_mask(be, key, tick, (4, 3), rate), 1 / (1 - rate)
    np.testing.assert_allclose(be.dropout(x, key, tick, rate), np.where(keep, x * scale, 0), rtol=1e-15)
    wanted = np.where(keep, np.maximum(x + b, 0) * scale, 0)
    for y in (x.copy(), np.asfortranarray(x)):
        found = be.bias_relu_dropout(y, b, key, tick, rate)
        np.testing.assert_allclose(found, wanted, rtol=1e-15)
        assert np.shares_memory(found, y) or not y.flags.carray or not keep.any()
    for given in (dy.copy(order="C"), dy):
        for may_overwrite in (False, True):
            own = given.copy(order="K")
            back = be.relu_dropout_grad(own, wanted, rate, may_overwrite)
            np.testing.assert_allclose(back, np.where(wanted > 0, given * scale, 0), rtol=1e-15)
            assert np.array_equal(own, given) is not (may_overwrite and own.flags.carray)


def test_each_window_of_a_maximum_is_written_by_its_own_sides():
    """Of 3 x 2: the tap with number 5 is in the third row and the second column."""
    pytest.importorskip("numba")
    window, taps = Window((3, 2), (3, 2)), np.arange(6).reshape(1, 2, 3, 1)
    dy, wanted = np.arange(1.0, 7).reshape(1, 2, 3, 1), np.zeros((1, 6, 6, 1))
    for tap in range(6):
        i, j = divmod(tap, 3)
        wanted[0, 3 * i + tap // 2, 2 * j + tap % 2, 0] = tap + 1
    for mode in ("fast", "numpy"):
        kernel = open_backend(mode, "float64").max_pool_grad
        np.testing.assert_array_equal(kernel(dy, taps, wanted.shape, window), wanted)
