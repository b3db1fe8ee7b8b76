"""What NumPy computes of every element alone, in fewer passes over memory than the reference."""

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu.blocks import blocks, is_column_major
from xpnn.kernels import Array, Kernels


def relu(be: Backend, x: Array) -> Array:
    """np.maximum keeps NaN and takes one pass."""
    return np.maximum(x, 0)


def relu_grad(be: Backend, dy: Array, y: Array, may_overwrite: bool = False) -> Array:
    """A block at a time, so that the booleans stay in the cache."""
    if is_column_major(dy, y):
        return be.relu_grad(dy.T, y.T, may_overwrite).T
    if not (dy.flags.carray and y.flags.carray):
        return Kernels.relu_grad(be, dy, y, may_overwrite)
    out = dy if may_overwrite else np.empty_like(dy)
    for a, b, c in zip(blocks(dy.reshape(-1)), blocks(y.reshape(-1)), blocks(out.reshape(-1)), strict=True):
        select(a, b > 0, c)
    return out


def mask(be: Backend, x: Array, keep: Array) -> Array:
    """x's bits and-ed with all ones or all zeros: a `where` over a random mask mispredicts half of its branches."""
    out = np.empty_like(x, order="C")
    if not (x.flags.carray and keep.flags.carray):
        select(x, keep, out)
        return out
    for a, b, c in zip(blocks(x.reshape(-1)), blocks(keep.reshape(-1)), blocks(out.reshape(-1)), strict=True):
        select(a, b, c)
    return out


def scaled_mask(be: Backend, x: Array, keep: Array, scale: float) -> Array:
    """A block at a time, so that the products are still in the cache when the mask is applied."""
    if not (x.flags.carray and keep.flags.carray):
        return Kernels.scaled_mask(be, x, keep, scale)
    out = np.empty_like(x)
    for a, b, c in zip(blocks(x.reshape(-1)), blocks(keep.reshape(-1)), blocks(out.reshape(-1)), strict=True):
        select(np.multiply(a, scale, out=c), b, c)
    return out


def relu_dropout_grad(be: Backend, dy: Array, y: Array, rate: float, may_overwrite: bool = False) -> Array:
    """As `scaled_mask`, with booleans that stay in the cache."""
    if not (dy.flags.carray and y.flags.carray):
        return Kernels.relu_dropout_grad(be, dy, y, rate, may_overwrite)
    out, scale = dy if may_overwrite else np.empty_like(dy), 1 / (1 - rate)
    for a, b, c in zip(blocks(dy.reshape(-1)), blocks(y.reshape(-1)), blocks(out.reshape(-1)), strict=True):
        select(np.multiply(a, scale, out=c), b > 0, c)
    return out


def sigmoid(be: Backend, x: Array) -> Array:
    """As 1 / (1 + e^-x), in place: where e^-x is infinite, no normal number of the dtype is as small as y."""
    y = np.negative(x)
    with np.errstate(over="ignore"):
        np.exp(y, out=y)
    y += 1
    return np.reciprocal(y, out=y)


def lstm_step(be: Backend, a: Array, u: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """Gate by gate, in place."""
    return lstm_gates(be, a + u, c)


def lstm_gates(be: Backend, sums: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """`lstm_step` from the sums of a step."""
    n = c.shape[1]
    candidate = np.tanh(sums[:, 2 * n : 3 * n])
    gates = be.sigmoid(sums)
    gates[:, 2 * n : 3 * n] = candidate
    new = gates[:, n : 2 * n] * c
    candidate *= gates[:, :n]
    new += candidate
    squashed = np.tanh(new)
    return gates[:, 3 * n :] * squashed, new, gates, squashed


def select(x: Array, keep: Array, out: Array) -> None:
    """out = x where keep, else 0."""
    bits = np.int32 if x.itemsize == 4 else np.int64
    np.bitwise_and(x.view(bits), np.negative(keep.view(np.int8)), out=out.view(bits))
