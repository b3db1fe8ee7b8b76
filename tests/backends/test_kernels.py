"""Each override of a kernel equals the reference, and the random numbers are random."""

import importlib.util

import numpy as np
import pytest
from harness import fingerprints, rng_of
from tolerances import SIGMAS, assert_close, assert_same

import xpnn
from xpnn.backends import BACKENDS, Backend, backend_class
from xpnn.backends.cpu.blocks import BLOCK
from xpnn.backends.cpu.products import WIDE
from xpnn.backends.cpu.rows import ROWS as SUMMED
from xpnn.backends.cuda.fused.launch import CudaBackend
from xpnn.backends.numpy import NumpyBackend
from xpnn.fusion import fuse_optimizer
from xpnn.kernels import Kernels
from xpnn.kernels.counter import mix, stream
from xpnn.parameters import ParamInfo
from xpnn.window import Window, counts, taps

NAN, INF = float("nan"), float("inf")
BYTES = np.arange(60, dtype=np.uint8).reshape(5, 3, 4) * 4
KINKS = np.array([[0.0, -0.0, 1.5, -1.5], [NAN, INF, -INF, 1e-30], [-1e-30, 88.0, -88.0, 7e2]])
SIZES = (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 77)


def normal(*shape):
    return rng_of("kernels", shape).standard_normal(shape)


def leaky(g, theta, slot):
    """An update rule in which every argument matters, and old values are needed after new ones are known."""
    new = 0.9 * slot + g * g
    return theta - 0.1 * g / (1 + new * new), new + 0.01 * theta


def doubled(tree):
    return {name: a + a for name, a in tree.items()}


def counted(tick):
    return lambda be: ((7, 2), be.scalar(tick, be.xp.int64), (3, 41))


def later(first):
    """A part of a larger draw."""
    return lambda be: (*counted(12345)(be), first)


def dropped(make, rate, key=(7, 2), tick=9):
    """Arrays, and the stream and the rate of a dropout."""
    return lambda be: (*make(be), key, be.scalar(tick, be.xp.int64), rate)


def floats(*arrays):
    return lambda be: tuple(be.asarray(a, be.dtype) for a in arrays)


def given_bias(shape, relu=False):
    return lambda be: (
        be.asarray(normal(*shape), be.dtype) * 1,
        be.asarray(normal(shape[-1]), be.dtype),
        relu,
    )


def added(count, n, width):
    ids = rng_of("ids", count, n).integers(0, n, count)
    return lambda be: (be.asarray(ids), be.asarray(normal(count, width), be.dtype), n)


IMAGES = [(2, 5, 4, 1), (3, 4, 6, 3), (50, 28, 28, 1), (1, 1, 1, 2)]  # the third is more than one block


def resampled(chosen, n, height, width, channels):
    """Places inside, on whole pixels, at the edge and far outside."""

    def arguments(be):
        spots = (2.0 * normal(n, height, width) for _ in (0, 1))
        v, u = (
            be.asarray(spot + size / 2, be.dtype) for spot, size in zip(spots, (height, width), strict=True)
        )
        far = be.asarray(np.array([-1.0, 0.0, height, -1e6, 1e6])[np.arange(n) % 5], be.dtype)
        v = be.xp.where(u > width - 1, far[:, None, None], v)
        x, dy = (be.asarray(a * normal(n, height, width, channels), be.dtype) for a in (1.0, 0.5))
        return chosen(be, x, v, u, dy)

    return arguments


def placed(written):
    """Two gradients, of which the second was written to its place in the flat vector; or no such vector."""

    def arguments(be):
        a, b = be.asarray(normal(2, 3), be.dtype), be.asarray(normal(4), be.dtype)
        flat = be.buffer(10) if written else None
        if flat is None:
            return None, [a, b], []
        flat[...] = NAN
        places = [be.xp.reshape(flat[:6], (2, 3)), flat[6:]]
        places[1][...] = b
        return flat, [a, places[1]], places

    return arguments


def normalized(eps, *shape, relu=False):
    """(x, gain, bias, eps, relu) of a batch normalization."""
    return lambda be: (*floats(3 * normal(*shape) + 5, *normal(2, shape[-1]))(be), eps, relu)


PENALTIES = {"l1": 0.01, "l2": 0.02, "weight_decay": 0.03}
RULES = [
    xpnn.SGD(0.1),
    xpnn.SGD(0.1, **PENALTIES, clip_norm=0.5),
    xpnn.SGD(0.1, momentum=0.9),
    xpnn.SGD(0.1, momentum=0.8, nesterov=True, **PENALTIES, clip_norm=0.5),
    xpnn.Adam(),
    xpnn.Adam(0.1, beta1=0.0, **PENALTIES, clip_norm=0.5),
]


class Overheard:
    """A backend that keeps what an optimizer gives to `elementwise`."""

    def __init__(self, be):
        self.be = be

    def __getattr__(self, name):
        return getattr(self.be, name)

    def elementwise(self, *arguments):
        self.heard = arguments
        return arguments[2]


def ruled(optimizer, size):
    """The arguments of an optimizer with a named rule, in the middle of a run."""

    def arguments(be):
        spy, half = Overheard(be), size // 2
        places = ParamInfo("0.W", 0, half, (half,)), ParamInfo("0.b", half, size, (size - half,), False, 0.0)
        theta, grad, *slots = (be.asarray(normal(i + 1, size)[i], be.dtype) for i in range(4))
        bound = optimizer.bind(places)
        state = bound.init(be, theta) | {"t": be.scalar(6, be.xp.int64)}
        state |= {name: slot * slot for name, slot in zip(bound.slots, slots, strict=False)}
        fuse_optimizer(bound).update(spy, theta + 0, grad, state)
        return spy.heard

    return arguments


def choice(ok):
    return lambda be: (be.scalar(ok, be.xp.bool), doubled, {"a": be.asarray(normal(3), be.dtype)})


def vectors(size):
    def arguments(be):
        g, theta, slot = (be.asarray(rng_of(i, size).standard_normal(size), be.dtype) for i in range(3))
        return leaky, (g,), (theta + 0, slot * slot)

    return arguments


FIRST = np.array([[2, 2, 1], [2, 2, 1], [1, 2, 2], [2, 2, 2], [1, 3, 2], [1, 1, 1.0]])
"""Logits of which some are the largest twice."""
ROWS = {
    "affine": [
        floats(normal(5, 3), normal(3, 4), normal(4)),
        floats(normal(2, 1, 3), normal(3, 1), normal(1)),
    ],
    "affine_grads": [
        floats(normal(5, 3), normal(3, 4), normal(5, 4)),
        floats(normal(1, 3), normal(3, 1), normal(1, 1)),
        lambda be: (*floats(normal(5, 3), normal(3, 4), normal(5, 4))(be), (None, None), False),
        lambda be: (
            *floats(normal(6, 3), normal(3, 4), normal(6, 4))(be),
            *((None, None), True, be.asarray(np.maximum(normal(2, 3, 3), 0), be.dtype)),
        ),
        lambda be: (
            *floats(normal(5, 3), normal(3, 4), normal(5, 4))(be),
            tuple(be.xp.full(shape, NAN, dtype=be.dtype) for shape in ((3, 4), (4,))),
        ),
    ],
    "transposed_products": [
        floats(normal(7, 3), normal(7, 2), normal(7, 4)),
        floats(normal(2, 3, 3), normal(2, 3, 2), normal(6, 4)),
    ],
    "affine_relu": [
        floats(normal(5, 3), normal(3, 4), normal(4)),
        floats(normal(2, 1, 3), normal(3, 1), normal(1)),
        floats(np.array([[NAN, 1.0], [INF, 1.0], [1.0, -1.0]]), normal(2, 3), normal(3)),
        floats(normal(BLOCK // 8 + 3, 2), normal(2, 9), normal(9)),  # more than one block
        floats(normal(3, 8), normal(8, WIDE), normal(WIDE)),  # few rows, but wide ones
    ],
    "add_bias": [
        given_bias((5, 3)),
        given_bias((2, 3, 4), True),
        given_bias((BLOCK // 8 + 3, 9), True),  # more than one block
        lambda be: (be.asarray(KINKS, be.dtype) * 1, be.asarray(normal(4), be.dtype), True),
        lambda be: ((be.asarray(normal(4, 6), be.dtype) * 1).T, be.asarray(normal(4), be.dtype), True),
        lambda be: (be.asarray(KINKS, be.dtype) * 1, None, True),
        lambda be: (be.asarray(KINKS, be.dtype) * 1, None),
    ],
    "affine_dx": [
        floats(normal(5, 4), normal(3, 4), normal(5, 3)),
        floats(normal(2, 1, 4), normal(1, 4), normal(2, 1, 1)),
        lambda be: (*floats(normal(5, 4), normal(3, 4))(be), be.asarray(normal(3, 5), be.dtype).T),
    ],
    "affine_relu_with_mask": [floats(normal(5, 3), normal(3, 4), normal(4))],
    "operand": [floats(normal(5, 3)), floats(normal(2, 3, 4))],
    "matmul": [
        floats(normal(5, 3), normal(3, 4)),
        floats(normal(2, 5, 3), normal(2, 3, 4)),
        floats(normal(2, 3, 5, 3), normal(3, 4)),
        lambda be: (be.asarray(normal(5, 3), be.dtype).T, be.asarray(normal(5, 4), be.dtype)),
        lambda be: (*floats(normal(5, 3), normal(3, 4))(be), be.xp.full((5, 4), NAN, dtype=be.dtype)),
    ],
    "relu": [floats(KINKS), floats(normal(7, 1, 3))],
    "relu_grad": [
        floats(normal(3, 4), np.maximum(KINKS, 0)),
        floats(normal(2, 3, 2), normal(2, 3, 2)),
        floats(normal(BLOCK + 5), normal(BLOCK + 5)),
        lambda be: (*floats(KINKS, normal(3, 4))(be), True),
        lambda be: (*(a.T for a in floats(KINKS, normal(3, 4))(be)), True),
        lambda be: (be.asarray(KINKS, be.dtype).T, be.asarray(normal(4, 3), be.dtype)),
    ],
    "softmax_cross_entropy": [
        lambda be: (be.asarray(normal(6, 5), be.dtype), be.asarray(np.arange(6) % 5)),
        lambda be: (be.asarray(80 * normal(1, 3), be.dtype), be.asarray(np.array([2]))),
        lambda be: (
            be.asarray(normal(4, 3), be.dtype),
            be.asarray(np.array([0, 3, -1, 10**6])),
        ),  # no such ids
    ],
    "softmax_cross_entropy_gradient_and_correct": [
        lambda be: (be.asarray(normal(6, 5), be.dtype), be.asarray(np.arange(6) % 5)),
        lambda be: (be.asarray(normal(4, 3), be.dtype), be.asarray(np.array([0, 3, -1, 10**6]))),
        lambda be: (be.asarray(FIRST, be.dtype), be.asarray(np.arange(len(FIRST)) % 3)),
    ],
    "softmax_cross_entropy_and_correct": [
        lambda be: (be.asarray(normal(6, 5), be.dtype), be.asarray(np.arange(6) % 5)),
        lambda be: (be.asarray(80 * normal(1, 3), be.dtype), be.asarray(np.array([2]))),
        lambda be: (
            be.asarray(normal(4, 3), be.dtype),
            be.asarray(np.array([0, 3, -1, 10**6])),
        ),  # no such ids
        lambda be: (be.asarray(FIRST, be.dtype), be.asarray(np.arange(len(FIRST)) % 3)),
        lambda be: (be.asarray(normal(4500, 3), be.dtype), be.asarray(np.arange(4500) % 3)),
    ],
    "sigmoid": [floats(KINKS), floats(10 * normal(40, 3))],
    "softplus": [floats(KINKS)],
    "lstm_step": [
        floats(normal(5, 12), normal(1, 5, 12)[0], normal(5, 3)),
        floats(KINKS, KINKS, KINKS[:, :1]),
    ],
    "lstm_step_grad": [
        floats(*(normal(i, 5, 3)[0] for i in (1, 2, 3)), normal(5, 12), normal(4, 5, 3)[0]),
        floats(normal(1, 1), normal(1, 1), normal(1, 1), normal(1, 4), normal(1, 1)),
    ],
    "gru_step": [
        floats(normal(5, 9), normal(1, 5, 9)[0], normal(5, 3), normal(3)),
        lambda be: (*floats(normal(5, 9), normal(1, 5, 9)[0], normal(5, 3))(be), None),
    ],
    "gru_step_grad": [floats(*(normal(i, 5, 3)[0] for i in range(1, 7)))],
    "lstm_pass": [
        floats(normal(4, 5, 2), normal(2, 12), normal(3, 12), normal(12)),
        floats(normal(3, 37, 2), normal(2, 12), normal(3, 12), normal(12)),  # threads share so many samples
        lambda be: (*floats(normal(1, 2, 3), normal(3, 4), normal(1, 4))(be), None),
        lambda be: (*floats(normal(2, 20, 3), normal(3, 4), normal(1, 4))(be), None),
    ],
    "lstm_pass_grad": [
        floats(dy, normal(3, 12), normal(5, 2, 3), normal(4, 2, 12), normal(4, 2, 3))
        for dy in (normal(4, 2, 3), normal(2, 3))
    ],
    "gru_pass": [
        floats(normal(4, 5, 9), normal(3, 9), normal(3)),
        lambda be: (*floats(normal(4, 5, 9), normal(3, 9))(be), None),
    ],
    "gru_pass_grad": [
        floats(dy, normal(3, 9), normal(5, 2, 3), normal(4, 2, 9), normal(4, 2, 3))
        for dy in (normal(4, 2, 3), normal(2, 3))
    ],
    "softmax": [floats(normal(3, 5)), floats(700 * normal(2, 3, 4))],
    "normal_cdf": [
        floats(KINKS),
        floats(normal(40, 3)),
        floats(np.linspace(-12, 12, 999)),
        floats(np.array([0.46875, -0.46875, 6.0, -6.0, 40.0, -40.0, 3e38, -3e38, 1e-40])),
    ],
    "one_hot": [lambda be: (be.asarray(np.array([2, 0, 4])), 5)],
    "arange": [lambda be: (0,), lambda be: (9,)],
    "uniform": [counted(0), counted(12345), counted(2**33 + 5), later(7), later(2**31)],
    "normal": [counted(0), counted(12345), counted(2**33 + 5), later(7), later(2**31)],
    "keep_mask": [
        lambda be, rate=rate: (*counted(9)(be), rate) for rate in (0.0, 0.2, 0.5, 2.0**-24, 1 - 2.0**-24, 1.0)
    ],
    "mask": [
        lambda be: (be.asarray(KINKS, be.dtype), be.asarray(KINKS > 0)),
        lambda be: (be.asarray(KINKS, be.dtype), be.asarray(KINKS <= 0)),
        lambda be: (be.asarray(normal(4, 3, 2), be.dtype), be.asarray(normal(4, 3, 2) > 0)),
    ],
    "scaled_mask": [
        lambda be: (be.asarray(KINKS, be.dtype), be.asarray(KINKS > 0), 1.25),
        lambda be: (be.asarray(normal(4, 3, 2), be.dtype), be.asarray(normal(4, 3, 2) > 0), 1 / 0.7),
    ],
    "dropout": [
        dropped(floats(KINKS), 0.2),
        dropped(floats(normal(3, 2, 4)), 0.0, tick=2**33 + 5),
        dropped(floats(normal(130, 140)), 0.3),  # more than one block of words
        dropped(lambda be: (be.asarray(normal(4, 6), be.dtype).T,), 0.5),
        dropped(floats(normal(5, 2)), 1 - 2.0**-24),
    ],
    "bias_relu_dropout": [
        dropped(lambda be: (be.asarray(KINKS, be.dtype) * 1, be.asarray(normal(4), be.dtype)), 0.2),
        dropped(lambda be: given_bias((2, 3, 4))(be)[:2], 0.5),
        dropped(lambda be: given_bias((130, 140))(be)[:2], 1 / 3, key=(1, "a")),
        dropped(
            lambda be: ((be.asarray(normal(4, 6), be.dtype) * 1).T, be.asarray(normal(4), be.dtype)), 0.3
        ),
    ],
    "relu_dropout_grad": [
        lambda be: (*floats(normal(3, 4), KINKS)(be), 0.2),
        lambda be: (be.asarray(KINKS, be.dtype) * 1, be.asarray(normal(3, 4), be.dtype), 0.3, True),
        lambda be: (*floats(normal(BLOCK // 8 + 3, 9), normal(BLOCK // 8 + 3, 9))(be), 0.5),
        lambda be: (be.asarray(normal(4, 6), be.dtype).T, be.asarray(normal(6, 4), be.dtype), 0.0, True),
        lambda be: (be.asarray(normal(6, 4), be.dtype), be.asarray(normal(4, 6), be.dtype).T, 0.1),
    ],
    "all_finite": [
        floats(a)
        for a in (
            normal(9),
            normal(3, 4),
            KINKS,
            np.array([1.0, NAN]),
            np.array([INF, 1.0]),
            np.full(3, 1e38),
        )
    ]
    + [floats(np.array([-INF, INF])), floats(np.zeros(0)), lambda be: (be.asarray(np.arange(4)),)],
    "take_rescaled": [
        lambda be: (be.asarray(BYTES), be.asarray(np.array([4, 0, 0])), 1 / 255, 0.0),
        lambda be: (be.asarray(BYTES), be.asarray(np.array([1])), 2 / 255, -1.0),
        lambda be: (be.asarray(normal(5, 2, 3), be.dtype), be.asarray(np.array([2, 4, 1])), -3.0, 0.5),
        lambda be: (be.asarray(np.arange(6)), be.asarray(np.arange(0)), 1 / 3, 1.0),
    ],
    "rows_at": [
        lambda be, at=at, n=n: (be.asarray(np.arange(20) * 7 % 20), be.scalar(at, be.xp.int64), n)
        for at, n in ((0, 20), (5, 8), (19, 1), (3, 0))
    ],
    "all_reduce": [floats(normal(3, 4))],
    "concat_flat": [placed(False), placed(True)],
    "take_rows": [lambda be: (be.asarray(normal(5, 2), be.dtype), be.asarray(np.array([4, 0, 0])))],
    "add_rows": [
        added(4, 3, 1),
        added(50, 7, 4),
        added(5, 40, 3),  # more rows than ids
        added(1, 1, 2),
        added(0, 3, 2),
        added(300, 300, 5),
    ],
    "bilinear": [resampled(lambda be, x, v, u, dy: (x, v, u), *shape) for shape in IMAGES],
    "bilinear_grad": [
        resampled(lambda be, x, v, u, dy: (dy, v, u, tuple(x.shape)), *shape) for shape in IMAGES
    ],
    "column_sums": [
        floats(normal(5, 3)),
        floats(normal(2, 3, 2, 4)),
        floats(normal(1, 1)),
        floats(normal(2 * SUMMED + 7, 2) / 64),  # the reference itself loses digits of a long sum
        floats(np.array([[1.0, NAN, INF], [2.0, 1.0, -1.0]])),
        lambda be: (be.asarray(normal(5, 3), be.dtype), be.xp.full((3,), NAN, dtype=be.dtype)),
    ],
    "elementwise": [vectors(size) for size in SIZES]
    + [ruled(optimizer, size) for optimizer in RULES for size in SIZES[1:4]],
    "nan_unless": [lambda be, ok=ok: (be.scalar(ok, be.xp.bool), be.scalar(2.5)) for ok in (True, False)],
    "cond": [choice(True), choice(False)],
    "batch_norm": [
        normalized(eps, *shape, relu=relu)
        for shape, eps in (((7, 3), 1e-5), ((2, 3, 4, 5), 0.5), ((9, 1), 1e-3))
        for relu in (False, True)
    ],
    "batch_norm_grad": [
        floats(normal(*shape), normal(*shape), *normal(2, shape[-1]))
        for shape in ((7, 3), (2, 3, 4, 5), (9, 1))
    ],
}
WINDOWS = [
    (Window((3, 2)), (2, 5, 4, 3)),
    (Window((2, 2), (2, 2)), (3, 5, 6, 2)),
    (Window((3, 3), (2, 3), ((2, 0), (1, 2)), (2, 1)), (2, 6, 5, 8)),
    (Window((1, 1)), (1, 2, 3, 4)),
    (Window((3, 3), (1, 1), ((1, 1), (1, 1))), (5, 16, 16, 24)),  # more than one block of columns
    (Window((2, 2), (1, 2), ((0, 1), (1, 0)), (1, 3)), (2, 4, 9, 2)),
]


class Draw:
    """Arrays of a backend, small enough that sums of many products keep to the table."""

    def __init__(self, be):
        self.be = be

    def __call__(self, *shape):
        return self.be.asarray(normal(*shape) / 4, self.be.dtype)

    def whole(self, *shape):
        """0, 1 or 2, as bytes: full of ties."""
        return self.be.asarray(rng_of("whole", shape).integers(0, 3, shape).astype(np.uint8))


def windows(f):
    """A row for each window: f(draw, window, shape, (rows, columns))."""

    def row(window, shape):
        def arguments(be):
            return f(Draw(be), window, shape, counts(shape, window))

        return arguments

    return [row(*each) for each in WINDOWS]


def convolved(groups):
    def weights(a, w, s):
        return a(*w.kernel, s[3] // groups, 2 * groups)

    return {
        "conv": windows(lambda a, w, s, n: (a(*s), weights(a, w, s), a(2 * groups), w, groups))
        + windows(lambda a, w, s, n: (a(*s), weights(a, w, s), a(2 * groups), w, groups, True)),
        "conv_dx": windows(lambda a, w, s, n: (a(s[0], *n, 2 * groups), weights(a, w, s), s, w, groups)),
        "conv_dw": windows(lambda a, w, s, n: (a(*s), a(s[0], *n, 2 * groups), w, groups)),
    }


def convolved_in_groups(depthwise):
    """The rows of `convolved` with each channel a group and a filter, or twice the channels in two groups."""

    def changed(f):
        def row(a, w, s, n):
            groups, filters = (s[3], s[3]) if depthwise else (2, 6)
            s = (*s[:3], s[3] if depthwise else 2 * s[3])
            return f(a, w, s, a(*w.kernel, s[3] // groups, filters), (s[0], *n, filters), groups)

        return windows(row)

    return {
        "conv": changed(lambda a, w, s, W, out, g: (a(*s), W, a(out[3]), w, g)),
        "conv_dx": changed(lambda a, w, s, W, out, g: (a(*out), W, s, w, g)),
        "conv_dw": changed(lambda a, w, s, W, out, g: (a(*s), a(*out), w, g)),
    }


def convolved_over(window, shape, filters):
    """Rows of what convolves, over one window."""
    n, W = (shape[0], *counts(shape, window), filters), (*window.kernel, shape[3], filters)
    pool = Window((2, 2), (2, 2))

    def row(f):
        return [lambda be: f(Draw(be))]

    return {
        "conv": row(lambda a: (a(*shape), a(*W), a(filters), window, 1, True))
        + row(lambda a: (a(*shape), a(*W), None, window)),
        "conv_dx": row(lambda a: (a(*n), a(*W), shape, window)),
        "conv_dw": row(lambda a: (a(*shape), a(*n), window)),
        "conv_relu_max_pool": row(lambda a: (a(*shape), a(*W), a(filters), window, 1, pool))
        + row(lambda a: (a(*shape), a(*W), None, window, 1, Window((2, 2), (1, 2), ((1, 0), (0, 1))))),
    }


def reading(axis):
    """Places of one axis of (2, 5, 4, 3), some of them twice, some never."""
    ids = np.array([2, 0, 2, 1, 2])
    return lambda be: (be.asarray(normal(2, 5, 4, 3), be.dtype), be.asarray(ids), axis)


def putting_back(axis):
    """The adjoint of `reading`."""
    ids, shape = np.array([2, 0, 2, 1, 2]), [2, 5, 4, 3]
    n, shape[axis] = shape[axis], 5
    return lambda be: (be.asarray(normal(*shape), be.dtype), be.asarray(ids), n, axis)


def put_back(ids, n):
    """Places of the second of three axes."""
    return lambda be: (be.asarray(normal(2, len(ids), 3), be.dtype), be.asarray(np.array(ids)), n, 1)


ROWS |= {
    "pad": windows(lambda a, w, s, n: (a(*s), w.pads, -INF)),
    "take_axis": [reading(axis) for axis in (1, 2, 3)],
    "take_axis_grad": [
        *(putting_back(axis) for axis in (1, 2, 3)),
        put_back([0, 0, 1, 1, 2, 2], 3),  # as twice as many become fewer
        put_back([2, 1, 0, 1, 2, 3, 2, 1], 4),  # as at a mirror
        put_back([3, 3, 3], 9),
        put_back([4], 6),
    ],
    "im2col": windows(lambda a, w, s, n: (a(*s), w, 0.5)),
    "col2im": windows(lambda a, w, s, n: (a(s[0], *n, w.kernel[0] * w.kernel[1], s[3]), s, w)),
    **convolved(1),
    "conv_relu_max_pool": windows(
        lambda a, w, s, n: (a(*s), a(*w.kernel, s[3], 8), a(8), w, 1, Window((2, 2), (2, 2)))
    ),
    "sum_pool": windows(lambda a, w, s, n: (a(*s), w)),
    "sum_pool_grad": windows(lambda a, w, s, n: (a(s[0], *n, s[3]), s, w)),
    "max_pool": windows(lambda a, w, s, n: (a.be.xp.astype(a.whole(*s), a.be.dtype), w)),
    "max_pool_grad": windows(lambda a, w, s, n: (a(s[0], *n, s[3]), a.whole(s[0], *n, s[3]), s, w)),
}
for depthwise in (False, True):  # else two groups of as many channels each
    for name, rows in convolved_in_groups(depthwise).items():
        ROWS[name] += rows[2:5:2]
TILED = [  # what Winograd's method takes: tiles that end outside, pads of every number up to one it goes back without
    (Window((3, 3), pads=((0, 2), (1, 0))), (3, 13, 10, 8)),
    (Window((3, 3), pads=((3, 1), (0, 3))), (4, 9, 8, 16)),
]
for window, shape in TILED:
    for name, rows in convolved_over(window, shape, 8).items():
        ROWS[name] += rows
NANS = np.array([[1.0, NAN, -INF, 2.0], [NAN, NAN, -INF, -INF], [0.0, -0.0, INF, NAN]]).reshape(1, 3, 4, 1)
ROWS["max_pool"] += [lambda be: (be.asarray(NANS, be.dtype), Window((2, 2), (1, 1), ((1, 1), (1, 1))))]
ROWS["max_pool"] += [lambda be: (be.asarray(NANS, be.dtype), Window((2, 2), (2, 2), ((0, 1), (0, 0))))]
"""Arguments for each kernel. What differs only in the order of a sum is held to the table, the rest to the bits."""
BITWISE = {
    "relu",
    "relu_grad",
    "one_hot",
    "arange",
    "uniform",
    "normal",
    "keep_mask",
    "dropout",
    "bias_relu_dropout",
    "relu_dropout_grad",
    "mask",
    "all_finite",
    "take_rows",
    "cond",
    "pad",
    "im2col",
    "max_pool",
}
GIVEN_AWAY = {
    "add_bias": {0},
    "bias_relu_dropout": {0},
    "elementwise": {2},
    "matmul": {2},
    "affine_grads": {3},
    "column_sums": {1},
    "concat_flat": {0, 1, 2},
}
"""The arguments that the docstring lets an override write to."""


def given_away(name, arguments):
    """Of the gradients of ReLU, dy when it is owned."""
    owned = name in ("relu_grad", "relu_dropout_grad") and arguments[-1] is True
    return {0} if owned else GIVEN_AWAY.get(name, set())


def kernels():
    return {name for name in dir(Kernels) if callable(getattr(Kernels, name)) and not name.startswith("_")}


def test_every_kernel_has_a_row():
    """Every override too: a backend overrides what the reference has, and adds nothing that a layer might call."""
    assert kernels() == set(ROWS)
    fast = {"cpu.fast": "FastNumpyBackend"} if importlib.util.find_spec("numba") else {}
    for name, cls in (BACKENDS | fast).items():
        backend = getattr(importlib.import_module(f"xpnn.backends.{name}"), cls)
        own = {k for k, value in vars(backend).items() if callable(value) and not k.startswith("_")}
        assert own <= set(ROWS) | set(vars(Backend)) | set(vars(CudaBackend)), name
        assert own & kernels() <= set(ROWS), name


def test_a_table_says_which_function_computes_a_kernel():
    """Of a kernel that numba overrides, of one that NumPy does, of one that is the reference's."""
    table = backend_class("strict").kernel_table()
    assert set(table) == kernels()
    assert {function.rpartition(".")[0].rpartition(".")[0] for function in table.values()} == {"xpnn.kernels"}
    assert NumpyBackend.kernel_table()["mask"] == "xpnn.backends.cpu.pointwise.mask"
    assert backend_class("cupy").kernel_table()["matmul"] == "xpnn.backends.cuda.matmul.matmul"
    assert backend_class("cupy").kernel_table()["relu"] == "xpnn.backends.cuda.fused.pointwise.relu"


def arrays(be, tree):
    """The arrays of a result, in order; a bare NumPy scalar counts as one."""
    tree = tree if isinstance(tree, tuple | dict) else (tree,)
    return [np.array(be.to_numpy(a)) for a in (tree.values() if isinstance(tree, dict) else tree)]


def agree(be, name, row):
    """An override and the reference: values and dtypes; and no argument is written to but one that is given away."""
    wanted = arrays(be, getattr(Kernels, name)(be, *row(be)))
    arguments = row(be)
    kept = tuple(a for i, a in enumerate(arguments) if i not in given_away(name, arguments))
    before = fingerprints(be, kept)
    got = arrays(be, getattr(be, name)(*arguments))
    assert fingerprints(be, kept) == before
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert a.dtype == b.dtype
        if name in BITWISE:
            assert_same(a + (0 if a.dtype != bool else False), b + (0 if b.dtype != bool else False), name)
        else:
            assert_close(a, b, be.dtype_name, name)


@pytest.mark.parametrize(("name", "row"), [(name, i) for name in ROWS for i in range(len(ROWS[name]))])
def test_override_equals_the_reference(any_be, name, row):
    agree(any_be, name, ROWS[name][row])


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("window", "shape"), WINDOWS, ids=str)
def test_windows_and_what_puts_them_back_are_adjoint(be, window, shape, groups):
    """<f(x), c> = <x, g(c)> for im2col and col2im, for sums, and for convolutions in x and in W."""
    shape = (*shape[:3], 2 * shape[3])
    draw, n = Draw(be), counts(shape, window)
    x, W, dy = draw(*shape), draw(*window.kernel, shape[3] // groups, 6), draw(shape[0], *n, 6)
    cols, sums = draw(shape[0], *n, len(list(taps(shape, window))), shape[3]), draw(shape[0], *n, shape[3])

    def inner(a, b):
        assert a.shape == b.shape
        return float(be.xp.sum(a * b))

    for kernels in (be, Kernels):

        def call(name, *given, of=kernels):
            return getattr(of, name)(*((be,) if of is Kernels else ()), *given)

        left = inner(call("im2col", x, window), cols)
        assert left == pytest.approx(inner(x, call("col2im", cols, shape, window)), rel=1e-12, abs=1e-12)
        left = inner(call("sum_pool", x, window), sums)
        assert left == pytest.approx(
            inner(x, call("sum_pool_grad", sums, shape, window)), rel=1e-12, abs=1e-12
        )
        left = inner(call("conv", x, W, None, window, groups), dy)
        right = inner(x, call("conv_dx", dy, W, shape, window, groups))
        assert left == pytest.approx(right, rel=1e-12, abs=1e-12)
        right = inner(W, call("conv_dw", x, dy, window, groups))
        assert left == pytest.approx(right, rel=1e-12, abs=1e-12)


def test_overrides_take_strided_arrays(any_be):
    """A transposed view gives what its copy gives."""
    be = any_be
    x, y = (be.asarray(a, be.dtype) for a in (normal(4, 3), normal(3, 4)))
    flat = be.xp.reshape(be.asarray(normal(40), be.dtype), (20, 2))[:, 0]
    assert_same(be.to_numpy(be.relu(x.T)), be.to_numpy(Kernels.relu(be, x.T)))
    assert_same(be.to_numpy(be.relu_grad(x.T, y)), be.to_numpy(Kernels.relu_grad(be, x.T, y)))
    assert_close(
        be.to_numpy(be.affine(x, y, y[0, :])), be.to_numpy(Kernels.affine(be, x, y, y[0, :])), be.dtype_name
    )
    assert bool(be.all_finite(flat))
    assert not bool(be.all_finite(flat / (flat - flat[3])))


@pytest.mark.parametrize(("count", "n", "width"), [(1, 1, 1), (9, 4, 3), (3, 11, 2), (200, 200, 5)])
def test_adding_rows_is_the_adjoint_of_taking_them(be, count, n, width):
    """<take(W), rows> = <W, add(rows)>; strided rows too."""
    ids, rows, _ = added(count, n, 2 * width)(be)
    rows, W = rows[:, ::2], be.asarray(normal(n, width))
    taken, added_up = be.to_numpy(be.take_rows(W, ids)), be.to_numpy(be.add_rows(ids, rows, n))
    left, right = np.sum(taken * be.to_numpy(rows)), np.sum(be.to_numpy(W) * added_up)
    assert_close(left, right, "float64")


def test_a_compiled_condition_runs_either_branch(be):
    """As in the training step, where `ok` is known only while the step runs."""
    run = be.compile(lambda ok, a: be.cond(ok, doubled, {"a": a})["a"])
    a = be.asarray(normal(3))
    for ok, factor in ((True, 2), (False, 1)):
        assert_same(be.to_numpy(run(be.scalar(ok, be.xp.bool), a)), be.to_numpy(a) * factor)


GOLDEN = {
    ((0,), 0): [14712481, 1393248, 5202006, 5564517],
    ((7, 1, 2), 5): [9889492, 15395205, 6629293, 3383816],
    ((2**40, 3), 2**33): [2102981, 16649361, 5810626, 3230074],
}
"""uniform(key, tick, (4,)) 2^24: a change would draw other dropout masks for every seed there is."""


@pytest.mark.parametrize(("key", "tick"), GOLDEN)
def test_uniform_draws_the_numbers_it_always_drew(any_be, key, tick):
    be = any_be
    u = be.to_numpy(be.uniform(key, be.scalar(tick, be.xp.int64), (4,)))
    assert u.dtype == be.dtype_name
    assert (u * 2.0**24).tolist() == GOLDEN[key, tick]


def draws(key, tick, n):
    """The reference on NumPy in float64, as whole numbers of 24 bits."""
    from xpnn import get_backend

    be = get_backend("numpy", None, "float64")
    return np.asarray(be.uniform(key, np.asarray(tick), (n,)) * 2.0**24, dtype=np.int64)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3, 4), (1000,)])
def test_uniform_is_the_same_on_every_backend_and_dtype(any_be, shape):
    be = any_be
    u = be.to_numpy(be.uniform((3, 1), be.scalar(9, be.xp.int64), shape))
    assert u.shape == shape
    assert ((u >= 0) & (u < 1)).all()
    assert (u.reshape(-1) * 2.0**24 == draws((3, 1), 9, int(np.prod(shape)))).all()


@pytest.mark.parametrize("kind", ["uniform", "normal", "keep_mask"])
def test_draws_from_a_number_on_are_a_slice_of_the_whole(any_be, kind):
    """What several processes draw for their samples is what one draws for all."""
    be, settings = any_be, (0.3,) if kind == "keep_mask" else ()
    given, draw = ((3, 1), be.scalar(9, be.xp.int64)), getattr(be, kind)
    whole = be.to_numpy(draw(*given, (40, 7), *settings))
    for start, stop in ((0, 13), (13, 14), (14, 40)):
        part = draw(*given, (stop - start, 7), *settings, first=7 * start)
        assert (be.to_numpy(part) == whole[start:stop]).all()


def test_a_compiled_uniform_draws_anew_each_step(be):
    draw = be.compile(lambda tick: be.uniform((3, 1), tick, (50,)))
    for tick in (0, 1, 2):
        got = be.to_numpy(draw(be.scalar(tick, be.xp.int64)))
        assert (got * 2.0**24 == draws((3, 1), tick, 50)).all()


N = 1 << 16
STREAMS = [((0, 0), 0), ((0, 0), 1), ((1, 0), 0), ((0, 1), 0), ((0, 0, 0), 0), ((12345, 3), 10**6)]


@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 4), (40_001,)])
def test_normal_is_the_same_on_every_backend_and_dtype(any_be, shape):
    z = any_be.to_numpy(any_be.normal((3, 1), any_be.scalar(9, any_be.xp.int64), shape))
    assert (z.shape, z.dtype) == (shape, any_be.dtype_name)
    assert (z == normals((3, 1), 9, int(np.prod(shape))).reshape(shape)).all()


def normals(key, tick, n):
    """The reference on NumPy in float64."""
    from xpnn import get_backend

    return Kernels.normal(get_backend("numpy", None, "float64"), key, np.asarray(tick), (n,))


@pytest.mark.parametrize(("key", "tick"), STREAMS)
def test_normal_looks_normal_and_independent(key, tick):
    """Moments of a sum of twelve uniform numbers, quantiles of the normal distribution within 0.01."""
    z = normals(key, tick, N)
    assert abs(z.mean()) < SIGMAS / np.sqrt(N)
    assert abs(z.var() - 1) < SIGMAS * np.sqrt(1.9 / N)
    assert abs((z**3).mean()) < SIGMAS * np.sqrt(15 / N)
    assert abs((z**4).mean() - 2.9) < SIGMAS * np.sqrt(96 / N)
    for lag in (1, 2, 7, 784):
        assert abs(correlation(z[lag:], z[:-lag])) < SIGMAS, lag
    assert abs(correlation(z, draws(key, tick, N))) < SIGMAS
    found = np.quantile(z, [0.0228, 0.1587, 0.5, 0.8413, 0.9772])
    assert np.abs(found - [-2, -1, 0, 1, 2]).max() < 0.01 + SIGMAS * 3 / np.sqrt(N)


def correlation(a, b):
    """In standard deviations of what independent numbers give."""
    return np.corrcoef(a, b)[0, 1] * np.sqrt(len(a))


@pytest.mark.parametrize(("key", "tick"), STREAMS)
def test_uniform_looks_uniform_and_independent(key, tick):
    bits = draws(key, tick, N)
    u = bits / 2**24
    assert abs(u.mean() - 0.5) < SIGMAS * np.sqrt(1 / 12 / N)
    assert abs(u.var() - 1 / 12) < SIGMAS * np.sqrt(1 / 180 / N)
    for lag in (1, 2, 3, 7, 28, 128, 784):
        assert abs(correlation(u[lag:], u[:-lag])) < SIGMAS, lag
    ones = ((bits[:, None] >> np.arange(24)) & 1).sum(axis=0)
    assert (((ones - N / 2) ** 2) / (N / 4)).sum() < 24 + SIGMAS * np.sqrt(2 * 24)
    counts = np.bincount(bits >> 16, minlength=256)
    assert ((counts - N / 256) ** 2 / (N / 256)).sum() < 255 + SIGMAS * np.sqrt(2 * 255)


def test_streams_are_independent_of_each_other():
    """Neighbouring steps, layers, seeds and nestings share no pattern."""
    u = [draws(key, tick, N) / 2**24 for key, tick in STREAMS]
    for i in range(len(u)):
        for j in range(i):
            assert abs(correlation(u[i], u[j])) < SIGMAS, (STREAMS[i], STREAMS[j])
    steps = np.stack([draws((5, 2), tick, 64) for tick in range(2048)]) / 2**24
    serial = [correlation(steps[1:, i], steps[:-1, i]) for i in range(64)]
    assert np.abs(serial).max() < SIGMAS


def test_mix_is_a_bijection_that_avalanches():
    """One flipped bit of the input flips each bit of the output half the time."""
    words = rng_of("mix").integers(0, 2**32, 1 << 13)
    plain = mix(words)
    assert plain.min() >= 0
    assert plain.max() < 2**32
    flips = plain[:, None] ^ mix(words[:, None] ^ (1 << np.arange(32)))
    share = ((flips[:, :, None] >> np.arange(32)) & 1).mean(axis=0)
    assert np.abs(share - 0.5).max() < SIGMAS * 0.5 / np.sqrt(len(words))
    some = np.arange(1 << 16)
    assert len(np.unique(mix(some))) == len(some)
    assert [mix(int(w)) for w in words[:50]] == plain[:50].tolist()


def test_streams_of_different_paths_differ():
    paths = [(a, b) for a in range(64) for b in range(64)] + [(a,) for a in range(64)]
    paths += [(a, b, 0) for a in range(8) for b in range(8)] + [
        (a + 2**32, b) for a in range(8) for b in range(8)
    ]
    assert len({stream(path) for path in paths}) == len(paths)


@pytest.mark.parametrize("size", SIZES)
def test_elementwise_gives_the_rule_every_element_once(be, size):
    """Blocks, a ragged last block, and nothing at all."""
    rule, given, mine = vectors(size)(be)
    wanted = arrays(be, rule(*given, *mine))
    got = arrays(be, be.elementwise(rule, given, mine))
    for a, b in zip(got, wanted, strict=True):
        assert a.shape == (size,)
        assert_close(a, b, "float64")
