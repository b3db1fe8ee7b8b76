"""Kernels that compute every element alone, in one pass: activations, masks, biases, gates, random draws."""

import math
from collections.abc import Callable
from typing import Any

from xpnn.backends.cuda.fused.launch import LIMIT, CudaBackend, contiguous
from xpnn.kernels import Array, Kernels
from xpnn.kernels.counter import stream
from xpnn.random import Key


def relu(be: CudaBackend, x: Array) -> Array:
    """One pass; NaN stays NaN."""
    return _each(be, "relu", x) if be.launchable(x) else Kernels.relu(be, x)


def sigmoid(be: CudaBackend, x: Array) -> Array:
    """One pass, with one exponential for each element."""
    return _each(be, "sigmoid", x) if be.launchable(x) else Kernels.sigmoid(be, x)


def softplus(be: CudaBackend, x: Array) -> Array:
    """One pass over memory."""
    return _each(be, "softplus", x) if be.launchable(x) else Kernels.softplus(be, x)


def relu_grad(be: CudaBackend, dy: Array, y: Array, may_overwrite: bool = False) -> Array:
    """One pass, written over dy where that is allowed."""
    if not be.launchable(dy, y) or dy.shape != y.shape:
        return Kernels.relu_grad(be, dy, y, may_overwrite)
    dy = contiguous(dy)
    return _each(be, "relu_grad", dy, contiguous(y), out=dy if may_overwrite else None)


def mask(be: CudaBackend, x: Array, keep: Array) -> Array:
    """One pass, without an array of zeros."""
    if not be.launchable(x) or keep.dtype != be.xp.bool or keep.shape != x.shape:
        return Kernels.mask(be, x, keep)
    return _each(be, "mask", x, contiguous(keep))


def _each(be: CudaBackend, name: str, x: Array, *more: Any, out: Array | None = None) -> Array:
    y = be.empty(x.shape, be.dtype) if out is None else out
    be.launch_over(name, x.size, contiguous(x), *more, y, x.size)
    return y


def add_bias(be: CudaBackend, y: Array, b: Array | None, relu: bool = False) -> Array:
    """The bias and the ReLU in one pass, in place."""
    if b is None or not be.launchable(y, b) or not y.flags.c_contiguous:
        return Kernels.add_bias(be, y, b, relu)
    be.launch_over("add_bias", y.size, y, contiguous(b), y.size, b.size, int(relu))
    return y


def lstm_step(be: CudaBackend, a: Array, u: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """One thread computes all gates of a unit."""
    if not be.launchable(a, u, c) or not a.shape == u.shape == (len(c), 4 * c.shape[1]):
        return Kernels.lstm_step(be, a, u, c)
    h, new, squashed = (be.empty(c.shape, be.dtype) for _ in range(3))
    gates, given = be.empty(a.shape, be.dtype), map(contiguous, (a, u, c))
    be.launch_over("lstm_step", c.size, *given, c.size, c.shape[1], h, new, gates, squashed)
    return h, new, gates, squashed


def lstm_step_grad(
    be: CudaBackend, dh: Array, dc: Array, c: Array, gates: Array, squashed: Array
) -> tuple[Array, Array]:
    """One thread computes all gates of a unit."""
    arrays = dh, dc, c, gates, squashed
    if not be.launchable(*arrays) or not dh.shape == dc.shape == c.shape == squashed.shape:
        return Kernels.lstm_step_grad(be, *arrays)
    dz, old = be.empty(gates.shape, be.dtype), be.empty(c.shape, be.dtype)
    be.launch_over("lstm_step_grad", c.size, *map(contiguous, arrays), c.size, c.shape[1], dz, old)
    return dz, old


def uniform(be: CudaBackend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """The bits of the reference, whose hash each thread computes for its own element."""
    return _draw(be, "uniform", Kernels.uniform, key, tick, shape, first)


def normal(be: CudaBackend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """The bits of the reference, whose hash each thread computes for its own element."""
    return _draw(be, "normal", Kernels.normal, key, tick, shape, first)


def _draw(
    be: CudaBackend,
    name: str,
    reference: Callable[..., Array],
    key: Key,
    tick: Array,
    shape: tuple[int, ...],
    first: int,
) -> Array:
    n = math.prod(shape)
    if not 0 < n < LIMIT:
        return reference(be, key, tick, shape, first)
    out = be.empty(shape, be.dtype)
    be.launch_over(name, n, stream(key), tick, first, n, out)
    return out


def keep_mask(
    be: CudaBackend, key: Key, tick: Array, shape: tuple[int, ...], rate: float, first: int = 0
) -> Array:
    """Each thread writes four bytes."""
    n = math.prod(shape)
    if not 0 < n < LIMIT:
        return Kernels.keep_mask(be, key, tick, shape, rate, first)
    out = be.empty(shape, be.xp.bool)
    be.launch_over("keep_mask", -(-n // 4), stream(key), tick, math.ceil(rate * 2**24), first, n, out)
    return out
