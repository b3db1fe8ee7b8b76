"""The CUDA kernels against the reference, emulated on the CPU: their own text, but no GPU. See `emulated_cuda.py`."""

import numpy as np
import pytest
from emulated_cuda import emulated, needs_compiler
from test_kernels import ROWS, RULES, agree, floats, given_bias, normal, normalized, rng_of, ruled

from xpnn.backends.cuda.fused import FusedKernels
from xpnn.backends.cuda.fused.source import KERNELS
from xpnn.kernels import Kernels
from xpnn.window import Window, counts

pytestmark = needs_compiler
DTYPES = ["float32", "float64"]
NAN, INF = float("nan"), float("inf")
SIZES = [1, 2, 3, 4, 5, 7, 8, 31, 33, 2049, 5000]
"""Elements: less than a pack, whole packs and a rest, more than the grid has threads."""


def moved(*shape):
    """An array that begins one element after an address where a pack may lie."""
    return lambda be: be.xp.reshape(be.asarray(normal(1 + int(np.prod(shape))), be.dtype)[1:], shape)


def each(*rows):
    """A row of several drawn arrays, each alone."""
    return lambda be: tuple(row(be) for row in rows)


def pictures(window, shape, filters):
    """(x, W, b, dy) of a convolution, drawn small."""
    out = (shape[0], *counts(shape, window), filters)

    def arguments(be):
        shapes = shape, (*window.kernel, shape[3], filters), (filters,), out
        return [be.asarray(normal(*s) / 8, be.dtype) for s in shapes]

    return arguments


CONVOLUTIONS = [  # one channel: strips of 8 windows with a rest, over 32 filters, padding, too high a filter
    (Window((5, 5)), (3, 12, 21, 1), 40),
    (Window((3, 3), pads=((1, 1), (1, 1))), (2, 9, 16, 1), 3),
    (Window((2, 3), pads=((0, 2), (1, 0))), (5, 3, 4, 1), 33),
    (Window((7, 7)), (1, 8, 30, 1), 2),
    (Window((1, 1)), (9, 2, 1, 1), 1),
    (Window((8, 7)), (2, 9, 9, 1), 2),
    (Window((3, 3), (2, 1)), (2, 7, 7, 1), 5),
    (Window((3, 3), (1, 1), ((1, 1), (1, 1))), (3, 6, 7, 4), 6),
]


def convolved(chosen):
    def row(window, shape, filters):
        return lambda be: chosen(*pictures(window, shape, filters)(be), window, shape)

    return [row(*each) for each in CONVOLUTIONS]


def classified(n, classes, scale=1.0):
    z, ids = scale * normal(n, classes), rng_of("ids", n, classes).integers(0, classes, n)
    return lambda be: (be.asarray(z, be.dtype), be.asarray(ids))


def gathered(draw, count, width):
    """Rows 2, 0, 1, 2, ... of a dataset of three."""
    rows = np.arange(2, count + 2) % 3
    return lambda be: (draw(be, (3, *width)), be.asarray(rows), 1 / 255, -0.5)


def in_bytes(be, shape):
    return be.asarray(rng_of("bytes", shape).integers(0, 256, shape).astype(np.uint8))


def moved_bytes(be, shape):
    return be.xp.reshape(in_bytes(be, (1 + int(np.prod(shape)),))[1:], shape)


def bad_at(place, size, bad, arrays=2):
    """Finite arrays but for one element of the last."""
    last = np.where(np.arange(size) == place, bad, 1.0)
    return floats(*[np.full(size // (i + 2), 1e30) for i in range(arrays - 1)], last)


def off_by_one(row):
    """The same arguments, each vector one element after where a pack may lie."""

    def shifted(a):
        wide = np.zeros(a.size + 1, a.dtype)
        wide[1:] = a
        return wide[1:]

    def arguments(be):
        rule, given, vectors, named = row(be)
        return rule, tuple(map(shifted, given)), tuple(map(shifted, vectors)), named

    return arguments


KEYED = [lambda be, n=n: ((7, "word", 2**35 + 1), be.scalar(2**33 + 5, be.xp.int64), (n,)) for n in SIZES]
LATER = [lambda be, n=n, row=row: (*row(be), n) for row in KEYED[:4] for n in (1, 7, 2**20 + 3, 2**31 + 5)]
"""Parts of larger draws: the numbers of their first elements."""
NANS = np.array([[1, NAN, INF, NAN], [NAN] * 4, [-INF] * 4, [INF, INF, -INF, 1], [0, -0.0, -1, 0]])
CLASSIFIED = [
    *(classified(*s) for s in ((300, 10), (5, 33), (600, 100), (1, 1), (3000, 3), (200, 32))),
    classified(5, 12, 1e4),
    lambda be: (be.asarray(np.diag([NAN, INF, -INF, 1.0]), be.dtype), be.asarray(np.arange(4))),
    *(lambda be, k=k: (be.asarray(NANS, be.dtype), be.asarray((np.arange(5) + k) % 4)) for k in range(4)),
    *(
        lambda be, k=k: (be.asarray(np.sign(normal(50, 40)), be.dtype), be.asarray((np.arange(50) + k) % 40))
        for k in range(3)
    ),
]
OWN = {
    **{
        name: [each(moved(5)), each(moved(2050)), *(floats(normal(n)) for n in SIZES)]
        for name in ("relu", "sigmoid", "softplus")
    },
    "relu_grad": [
        *(floats(normal(n), np.maximum(normal(n + 1)[1:], 0)) for n in SIZES),
        each(moved(9), moved(9)),
        lambda be: (be.asarray(normal(3, 2), be.dtype).T, be.asarray(normal(2, 3), be.dtype)),
    ],
    "mask": [
        lambda be, n=n: (be.asarray(normal(n), be.dtype), be.asarray(normal(n + 1)[1:] > 0)) for n in SIZES
    ],
    "add_bias": [given_bias((3, m), relu) for m in (4, 7, 8, 300) for relu in (False, True)],
    "lstm_step": [floats(normal(300, 36), normal(300, 36), normal(300, 9))],
    "lstm_step_grad": [floats(*normal(3, 300, 9), normal(300, 36), normal(300, 9))],
    "uniform": [*KEYED, *LATER],
    "normal": [*KEYED, *LATER],
    "keep_mask": [
        *(lambda be, row=row: (*row(be)[:3], 0.3, row(be)[3]) for row in LATER),
        *(lambda be, row=row: (*row(be), 0.3) for row in KEYED),
        *(lambda be, row=row: (*row(be), float(Kernels.uniform(be, *row(be))[-1])) for row in KEYED),
        lambda be: (*KEYED[5](be), float(Kernels.uniform(be, *KEYED[5](be))[2])),
    ],
    "softmax": [
        floats(20 * normal(*s)) for s in ((70, 100), (1000, 3), (2, 5, 33), (1, 1), (3, 32), (2000, 16))
    ],
    **dict.fromkeys(
        (
            "softmax_cross_entropy",
            "softmax_cross_entropy_and_correct",
            "softmax_cross_entropy_gradient_and_correct",
        ),
        CLASSIFIED,
    ),
    "column_sums": [
        floats(normal(*s) / 64) for s in ((1024, 33), (1025, 1), (3000, 70), (1, 40), (70, 2, 5))
    ],
    "all_finite": [
        *(bad_at(place, 20_001, bad) for place in (0, 16_383, 20_000) for bad in (NAN, INF, -INF)),
        *(bad_at(place, 7, NAN, arrays=4) for place in (-1, 6)),
        bad_at(-1, 20_001, NAN, arrays=3),
        bad_at(40, 41, NAN, arrays=5),
        each(moved(40_001)),
    ],
    "take_rescaled": [
        *(
            gathered(in_bytes, count, width)
            for count, width in ((5, (784,)), (1, (28, 28, 1)), (70, (7,)), (2, (3,)))
        ),
        gathered(moved_bytes, 4, (8,)),
        *(
            gathered(lambda be, s: moved(*s)(be), count, width)
            for count, width in ((5, (784,)), (3, (5, 2)), (2, ()))
        ),
    ],
    "elementwise": [ruled(optimizer, n) for optimizer in RULES for n in (1, 7, 2050, 9001)]
    + [off_by_one(ruled(optimizer, 2050)) for optimizer in RULES],
    "batch_norm": [normalized(1e-3, *s) for s in ((1024, 33), (1025, 2), (1100, 3, 40), (2, 1))],
    "batch_norm_grad": [
        floats(normal(*s), normal(*s), *normal(2, s[-1]))
        for s in ((1024, 33), (1025, 2), (1100, 3, 40), (2, 1))
    ],
    "conv": convolved(lambda x, W, b, dy, window, shape: (x, W, b, window))
    + convolved(lambda x, W, b, dy, window, shape: (x, W, None, window, 1, True)),
    "conv_dx": convolved(lambda x, W, b, dy, window, shape: (dy, W, shape, window)),
    "conv_dw": convolved(lambda x, W, b, dy, window, shape: (x, dy, window)),
}
"""Rows beside those of every backend: sizes across the limits of packs, warps, blocks and grids."""
ALL = {
    name: ROWS[name] + OWN.get(name, [])
    for name in ROWS
    if getattr(FusedKernels, name) is not getattr(Kernels, name)
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "row"), [(name, i) for name in ALL for i in range(len(ALL[name]))])
def test_emulated_override_equals_the_reference(dtype, name, row):
    be = emulated(dtype)
    with be.device_context():
        agree(be, name, ALL[name][row])


def test_own_rows_are_rows_of_overrides():
    assert set(OWN) <= set(ALL)


LAUNCHES = {
    ("relu", 0): ["relu"],
    ("sigmoid", 0): ["sigmoid"],
    ("softplus", 0): ["softplus"],
    ("relu_grad", 0): ["relu_grad"],
    ("mask", 0): ["mask"],
    ("add_bias", 0): ["add_bias"],
    ("add_bias", 1): ["add_bias"],
    ("uniform", 0): ["uniform"],
    ("normal", 0): ["normal"],
    ("keep_mask", 0): ["keep_mask"],
    ("rows_at", 0): ["rows_at"],
    ("take_rescaled", 0): ["take_bytes"],
    ("take_rescaled", 2): ["take_reals"],
    ("softmax", 0): ["softmax"],
    ("softmax_cross_entropy", 0): ["softmax_cross_entropy"],
    ("softmax_cross_entropy", 5): ["softmax_cross_entropy", "total"],
    ("softmax_cross_entropy_and_correct", 0): ["softmax_cross_entropy"],
    ("softmax_cross_entropy_and_correct", 4): ["softmax_cross_entropy", "total"],
    ("softmax_cross_entropy_gradient_and_correct", 0): ["softmax_cross_entropy"],
    ("column_sums", 0): ["column_sums"],
    ("column_sums", 3): ["column_sums", "column_sums"],
    ("all_finite", 0): ["all_finite"],
    ("all_finite", 9): ["all_finite", "all_good"],
    ("elementwise", 6): ["descent"],
    ("elementwise", 12): ["momentum"],
    ("elementwise", 18): ["adam"],
    ("batch_norm", 0): ["column_sums", "squares", "normalize"],
    ("batch_norm_grad", 0): ["gain_and_bias", "normalize_grad"],
    ("lstm_step", 0): ["lstm_step"],
    ("lstm_step_grad", 0): ["lstm_step_grad"],
    ("im2col", 0): ["im2col"],
    ("col2im", 0): ["col2im"],
    ("max_pool", 0): ["max_pool"],
    ("max_pool_grad", 0): ["max_pool_grad"],
    ("sum_pool", 0): ["sum_pool"],
    ("sum_pool_grad", 0): ["sum_pool_grad"],
    ("conv", 0): ["im2col", "add_bias"],
    ("conv", len(ROWS["conv"])): ["conv1"],
    ("conv_dx", 0): ["col2im"],
    ("conv_dw", 0): ["im2col"],
    ("conv_dw", len(ROWS["conv_dw"])): ["conv1_dw", "column_sums"],
}
"""What a row of an override launches: nothing that is covered here falls back to the reference unseen."""


@pytest.mark.parametrize("name", ALL)
def test_every_override_launches_what_it_should(name):
    be, rows = (
        emulated("float32"),
        [(row, kernels) for (own, row), kernels in LAUNCHES.items() if own == name],
    )
    assert rows or name in ("cond", "concat_flat")
    for row, kernels in rows:
        be.launched.clear()
        with be.device_context():
            getattr(be, name)(*ALL[name][row](be))
        assert list(be.launched.elements()) == kernels


def test_every_kernel_is_launched_by_a_row():
    assert {kernel for kernels in LAUNCHES.values() for kernel in kernels} == set(KERNELS)


def odd(dtype, shape=(4, 6)):
    return np.ones(shape, dtype)


REFUSED = {
    "relu": [odd("float32"), odd("int64"), odd("float64", (0, 3))],
    "softmax": [odd("float32"), odd("float64", (0, 3))],
    "column_sums": [odd("float32"), odd("int64"), odd("float64", (0, 3))],
    "all_finite": [odd("int64"), odd("float32")],
}
"""Of a backend in float64: arrays that no kernel takes."""


@pytest.mark.parametrize(("name", "row"), [(name, i) for name in REFUSED for i in range(len(REFUSED[name]))])
def test_what_no_kernel_takes_goes_the_references_way(name, row):
    be, x = emulated("float64"), REFUSED[name][row]
    be.launched.clear()
    wanted, got = getattr(Kernels, name)(be, x), getattr(be, name)(x)
    assert not be.launched
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def test_a_large_batch_is_convolved_a_few_samples_at_a_time(monkeypatch):
    """Two samples' columns at a time, then the rest."""
    monkeypatch.setattr("xpnn.backends.cuda.fused.windows.COLUMNS", 2 * 6 * 7 * 9 * 4)
    be = emulated("float64")
    for name in ("conv", "conv_dx", "conv_dw"):
        row = OWN[name][len(CONVOLUTIONS) - 1]
        agree(be, name, row)
        be.launched.clear()
        getattr(be, name)(*row(be))
        assert be.launched["col2im" if name == "conv_dx" else "im2col"] == 2
