"""How the suite runs a row: on which backends, with which numbers, and what a derivative is."""

import contextlib
import functools
import os
import runpy
import zlib

import numpy as np
import pytest
from tolerances import KINK, H

from xpnn.backends import get_backend
from xpnn.backends.numpy import NumpyBackend
from xpnn.backends.registry import REGISTERED
from xpnn.layers import Ctx
from xpnn.layers.base import for_each, is_multiple
from xpnn.parameters import Layout, leaves, tree_map

MODES = os.environ.get("XPNN_TEST_MODES", "numpy fast readonly strict torch jax cupy").split()
"""The ways to run a row; fewer where the variable names them, for a quick look."""
if FILE := os.environ.get(
    "XPNN_TEST_BACKEND"
):  # the rows run on the backends that this Python file registers
    runpy.run_path(FILE)
    MODES = [*REGISTERED]
KEY, TICK = (7, 1, 2), 5
"""The context of every call: a root seed with a layer's path, and a step."""
SMALL = 400
"""Jacobians of up to this many entries are checked whole, larger ones along DIRECTIONS directions."""
DIRECTIONS = 20
NO_DX = ("int", "mask")
"""What a layer takes that has no gradient."""


class ReadOnly(NumpyBackend):
    """NumPy that hands out arrays nobody may write to."""

    def asarray(self, a, dtype=None):
        view = super().asarray(a, dtype).view()
        view.flags.writeable = False
        return view


@functools.cache
def open_backend(mode, dtype):
    """ "numpy" is NumPy alone, "fast" NumPy with numba's loops, whichever of them users get here."""
    if mode in ("numpy", "readonly"):
        return {"numpy": NumpyBackend, "readonly": ReadOnly}[mode]("cpu", dtype)
    if mode == "fast":
        return pytest.importorskip("xpnn.backends.cpu.fast").FastNumpyBackend("cpu", dtype)
    return get_backend(mode, None, dtype)


@contextlib.contextmanager
def inside(mode, dtype):
    """The backend inside its scope; array-api-strict with its strictest flags."""
    backend = open_backend(mode, dtype)
    with contextlib.ExitStack() as stack:
        if mode == "strict":
            from array_api_strict import ArrayAPIStrictFlags

            stack.enter_context(
                ArrayAPIStrictFlags(
                    boolean_indexing=False, data_dependent_shapes=False, enabled_extensions=()
                )
            )
        stack.enter_context(backend.device_context())
        yield backend


def read_only(be, tree):
    """The same tree; on the read-only backend its arrays may no longer be written to."""
    if isinstance(be, ReadOnly):
        tree_map(lambda _, a: a.setflags(write=False) if isinstance(a, np.ndarray) else None, tree)
    return tree


def rng_of(*words):
    """A generator that depends on the words alone, so that adding a row moves no other row's numbers."""
    return np.random.default_rng(zlib.crc32(" ".join(map(str, words)).encode()))


def away_from_kink(x, kink=0.0):
    """x, with entries nearer than KINK to the kink moved out to that distance."""
    side = np.where(x < kink, -1.0, 1.0)
    return np.where(np.abs(x - kink) < KINK, kink + side * KINK, x)


@functools.cache
def draw(case):
    """(x, parameters, dy) of a case as float64 on the host; parameters are off their initial values."""
    rng = rng_of(case)
    specs, out = case.layer.plan(case.shape)
    n = len(case.shape)
    if is_multiple(case.shape):
        each = zip(case.shape, case.kinds, for_each(case.layer.vocab_size, n), strict=True)
        x = tuple(draw_input(case, *one, rng) for one in each)
    else:
        x = draw_input(case, case.shape, case.layer.input_kind, case.layer.vocab_size, rng)
    named = Layout(specs).named

    def parameter(path, spec):
        noise = 0.2 * rng.standard_normal(spec.shape) if named[path].trainable else 0.0
        return spec.init(rng, spec.shape) + noise

    p = tree_map(parameter, specs)
    return x, p, for_each_shape(lambda shape: rng.standard_normal((case.batch, *shape)), out)


def draw_input(case, shape, kind, vocab_size, rng):
    """One input of a case: numbers, bytes, ids, or a mask."""
    shape = (case.batch, *shape)
    if kind == "int":
        ids = rng.integers(0, vocab_size or 3, shape) * 1.0
        padding = getattr(
            case.layer, "padding_idx", None
        )  # whose row has no gradient, though y depends on it
        return ids if padding is None else np.where(ids == padding, (padding + 1) % vocab_size, ids)
    if kind == "mask":
        return draw_mask(shape, case.blank, rng)
    x = rng.integers(0, 256, shape) * 1.0 if case.bytes else rng.standard_normal(shape)
    return away_from_kink(away_from_kink(x), getattr(case.layer, "threshold", 0.0))


def draw_mask(shape, blank, rng):
    """0 and 1, a 1 in every row of the last axis; where `blank`, the first sample's are all 0."""
    mask = np.where(rng.random(shape) < 0.6, 1.0, 0.0)
    mask[..., :1] = np.where(mask.any(-1, keepdims=True), mask[..., :1], 1.0)
    if blank:
        mask[0] = 0.0
    return mask


def for_each_shape(f, shape):
    """f of a shape, or of each in a tuple of shapes."""
    return tuple(map(f, shape)) if is_multiple(shape) else f(shape)


def as_layer_input(be, case, x):
    """Samples in the form that the layer takes."""
    if isinstance(x, tuple):
        return tuple(as_one_input(be, case, kind, a) for kind, a in zip(case.kinds, x, strict=True))
    return as_one_input(be, case, case.layer.input_kind, x)


def as_one_input(be, case, kind, x):
    if case.bytes or kind == "int":
        return be.asarray(x.astype(np.uint8 if case.bytes else np.int64))
    return be.asarray(x.astype(be.dtype_name))


def arrays_on(be, case):
    """(x, parameters, dy) of a case on a backend; bytes stay bytes, ids are integers."""
    x, p, dy = draw(case)
    p, dy = (tree_map(lambda _, a: be.asarray(a.astype(be.dtype_name)), tree) for tree in (p, dy))
    return as_layer_input(be, case, x), p, dy


def context(be, train=True, need_dx=True):
    return Ctx(be, train=train, key=KEY, tick=be.scalar(TICK, be.xp.int64), need_dx=need_dx)


@functools.cache
def compiled_forward(be, layer, train=True):
    """forward(p, x) -> y, compiled where the backend compiles."""
    return be.compile(lambda p, x: layer.forward(context(be, train), p, x)[0])


@functools.cache
def forward_and_backward(be, layer, need_dx=True):
    """both(p, x, dy) -> y, dx, grads, new statistics: one pass there and back, as a training step makes it."""

    def both(p, x, dy):
        cx = context(be, need_dx=need_dx)
        y, cache = layer.forward(cx, p, x)
        read_only(be, (y, cache))
        if not layer.differentiable:
            return y, None, {}, {}
        dx, grads = layer.backward(cx, p, cache, dy)
        return y, dx, grads, layer.update_stats(cx, p, cache)

    return be.compile(both)


def host_arrays(be, tree):
    """[(path, NumPy array)] of all arrays in a tree, copied; by path, because jit sorts the keys of a dict."""
    return sorted(
        ((k, np.array(be.to_numpy(a))) for k, a in leaves(tree) if hasattr(a, "shape")),
        key=lambda pair: pair[0],
    )


def fingerprints(be, tree):
    """What must not change: the bytes of every array."""
    return [(k, a.dtype, a.shape, a.tobytes()) for k, a in host_arrays(be, tree)]


def directions(size, whole, rng):
    """Rows to differentiate along: all unit vectors, or a few random ones."""
    return np.eye(size) if whole else rng.standard_normal((DIRECTIONS, size))


def derivative_error(f, pullback, a, outputs, rng, known=None):
    """|J_numeric - J_analytic| / max of their norms, for f at `a`; pullback(dy) is what the backward pass gives.

    J is measured whole when it is small, otherwise as C J D for random cotangents C and random directions D. `known`, a
    dict, keeps J D for another call with the same f, a and rng, whose pullback alone is another.
    """
    known = {} if known is None else known
    whole = a.size * outputs <= SMALL
    against, along = directions(outputs, whole, rng), directions(a.size, whole, rng)
    if "slopes" not in known:
        slopes = [(f(a + H * d) - f(a - H * d)) / (2 * H) for d in along.reshape(-1, *a.shape)]
        known["slopes"] = np.stack(slopes, axis=1)
    pulled = []
    for c in against:
        da = pullback(c)
        if da is None or da.shape != a.shape or not np.isfinite(da).all():
            return np.inf
        pulled.append(along @ da.reshape(-1))
    numeric, analytic = against @ known["slopes"], np.stack(pulled)
    scale = max(np.linalg.norm(numeric), np.linalg.norm(analytic))
    return float(np.linalg.norm(numeric - analytic) / scale) if scale > 0 else 0.0


def layer_errors(be, case, known=None):
    """{"x" (of several inputs "x0", "x1", ...) or a parameter's path: its derivative error} in float64.

    Ids and masks have no derivative. Several outputs are laid end to end. `known` keeps the numeric derivatives, as in
    `derivative_error`. One backward pass gives the gradients of all: their cotangents are the same.
    """
    known, pulled = {} if known is None else known, {}
    layer = case.layer
    x, p, dy = draw(case)
    trained = [k for k, spec in Layout(layer.plan(case.shape)[0]).named.items() if spec.trainable]
    names = [f"x{i}" for i in range(len(x))] if isinstance(x, tuple) else ["x"]
    own = dict(zip(names, x if isinstance(x, tuple) else (x,), strict=True))
    values = dict(leaves(p)) | own
    f, both = compiled_forward(be, layer), forward_and_backward(be, layer)

    def inputs(changed):
        tree = tree_map(lambda k, a: be.asarray(changed.get(k, a)), p)
        new = [changed.get(name, a) for name, a in own.items()]
        if case.bytes:
            return tree, be.asarray(new[0])
        return tree, as_layer_input(be, case, tuple(new) if isinstance(x, tuple) else new[0])

    def pullback(name, c):
        if c.tobytes() not in pulled:
            _, dx, grads, _ = both(*inputs({}), split_like(be, c, dy))
            dxs = dx if isinstance(x, tuple) and dx is not None else (dx,) * len(names)
            pulled[c.tobytes()] = dict(zip(names, dxs, strict=True)) | dict(leaves(grads))
        found = pulled[c.tobytes()]
        return None if found.get(name) is None else np.asarray(be.to_numpy(found[name]))

    def end_to_end(y):
        return np.concatenate([np.asarray(be.to_numpy(a)).reshape(-1) for _, a in leaves(y)])

    return {
        name: derivative_error(
            lambda a, name=name: end_to_end(f(*inputs({name: a}))),
            functools.partial(pullback, name),
            values[name],
            sum(a.size for _, a in leaves(dy)),
            rng_of("directions", case),
            known.setdefault(name, {}),
        )
        for name in [name for name, kind in zip(names, case.kinds, strict=True) if kind not in NO_DX]
        + trained
    }


def split_like(be, c, like):
    """A flat vector cut into arrays shaped like those of the tree `like`, on a backend."""
    start = 0

    def piece(_, a):
        nonlocal start
        start += a.size
        return be.asarray(c[start - a.size : start].reshape(a.shape))

    return tree_map(piece, like)


@functools.cache
def draw_loss(case):
    """(prediction, target, weight or None) on the host: float64, ids as int64."""
    rng = rng_of(case)
    prediction = 2 * rng.standard_normal(case.shape)
    rows, last = case.shape[:-1], case.shape[-1]
    target = {
        "ids": lambda: rng.integers(0, last, rows),
        "one-hot": lambda: np.eye(last)[rng.integers(0, last, rows)],
        "soft": lambda: rng.dirichlet(np.ones(last), rows),
        "real": lambda: prediction + away_from_kink(rng.standard_normal(case.shape)),
        "ignored": lambda: np.where(
            np.arange(np.prod(rows)).reshape(rows) % 3 == 1, -100, rng.integers(0, last, rows)
        ),
        "signs": lambda: rng.choice([-1.0, 1.0], case.shape),
        "counts": lambda: rng.integers(0, 5, case.shape) * 1.0,
        "unit": lambda: rng.uniform(0, 1, case.shape),
        "own": lambda: case.loss.random_target(rng, case.shape),
    }[case.target]()
    weighted = rows if case.weighted == "positions" else rows[:1]
    return prediction, target, rng.uniform(0, 2, weighted) if case.weighted else None


def loss_arrays_on(be, case):
    """(prediction, target, weight) of a loss case on a backend."""
    prediction, target, weight = draw_loss(case)
    target = be.asarray(target, None if target.dtype.kind == "i" else be.dtype)
    return be.asarray(prediction, be.dtype), target, None if weight is None else be.asarray(weight, be.dtype)


@functools.cache
def compiled_loss(be, loss):
    return be.compile(lambda prediction, target, weight: loss(be, prediction, target, weight))


def loss_error(be, case, known=None):
    """The derivative error of a loss, or of the sum of its values, with respect to the prediction, in float64.

    `known` keeps the numeric derivative, as in `derivative_error`.
    """
    prediction, target, weight = loss_arrays_on(be, case)
    call = compiled_loss(be, case.loss)
    f = lambda a: np.sum(be.to_numpy(call(be.asarray(a), target, weight)[0])).reshape(1)  # noqa: E731
    gradient = lambda c: c * be.to_numpy(call(prediction, target, weight)[1])  # noqa: E731
    return derivative_error(f, gradient, draw_loss(case)[0], 1, rng_of("directions", case), known)
