"""Shared by the tests that compare: how far apart two results are, and layers and losses run on plain NumPy arrays."""

import importlib.util

import numpy as np
from proof_table import used

from xpnn.backends import BACKENDS, get_backend
from xpnn.backends.cuda.checks import check_installation
from xpnn.errors import BackendError
from xpnn.layers import Ctx
from xpnn.parameters import leaves, tree_map

MODULES = {"strict": "array_api_strict"}


def usable(name):
    """Is the library there, and for CuPy a GPU too? Imports nothing large."""
    if name != "cupy":
        return importlib.util.find_spec(MODULES.get(name, name)) is not None
    try:
        check_installation()
    except BackendError:
        return False
    return True


NAMES = tuple(name for name in BACKENDS if usable(name))
"""The backends of this machine. That none is missing where it must be there, test_backends_agree.py asks."""


def error(got, want):
    """|got - want| / |want| in the 2-norm, inf for another shape or dtype kind; |got| itself where want is 0."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape or got.dtype.kind != want.dtype.kind or np.isnan(got).any():
        return float("inf")
    size = np.linalg.norm(want)
    return float(np.linalg.norm(got - want) / (size if size > 0 else 1.0))


def parameters(layer, shape, rng):
    """Random values for every parameter of a layer, those that are fixed as they begin."""

    def value(path, spec):
        return rng.standard_normal(spec.shape) if spec.trainable else spec.init(rng, spec.shape)

    return tree_map(value, layer.plan(shape)[0])


def run_layer(layer, x, dy=None, p=None, *, name="numpy", train=True):
    """y, or y, dx and {path: gradient}, in float64 on a backend, as NumPy arrays."""
    used(layer)
    be = get_backend(name, None, "float64")
    with be.device_context():
        cx = Ctx(be, train=train, key=(0, 0), tick=be.scalar(3, be.xp.int64))
        p = tree_map(lambda path, a: be.asarray(a), {} if p is None else p)
        y, cache = layer.forward(cx, p, be.asarray(x))
        if dy is None:
            return be.to_numpy(y)
        dx, grads = layer.backward(cx, p, cache, be.asarray(dy))
        dx = None if dx is None else be.to_numpy(dx)
        return be.to_numpy(y), dx, {path: be.to_numpy(g) for path, g in leaves(grads)}


def run_loss(loss, z, target, weight=None, *, dtype="float64", name="numpy"):
    """(value, gradient) of a loss on a backend, as NumPy arrays."""
    used(loss)
    be = get_backend(name, None, dtype)
    with be.device_context():
        given = [None if a is None else be.asarray(a) for a in (z, target, weight)]
        return tuple(be.to_numpy(a) for a in loss(be, *given))


def assert_equals_torch(layer, x, oracle, rng, tolerance=1e-12):
    """y, dx and every parameter's gradient of a layer against oracle(x, {path: tensor}) and autograd, in float64."""
    torch = importlib.import_module("torch")
    p = parameters(layer, x.shape[1:], rng)
    tx = torch.from_numpy(x).requires_grad_()
    tp = {path: torch.from_numpy(a).requires_grad_() for path, a in leaves(p)}
    wanted = oracle(tx, tp)
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run_layer(layer, x, dy, p)
    assert error(y, wanted.detach()) <= tolerance
    assert error(dx, tx.grad) <= tolerance
    for path, grad in grads.items():
        assert error(grad, tp[path].grad) <= tolerance, path
