"""What all kernels rest on: their types, counting, products and sums."""

from collections.abc import Callable
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of the backend's library. Its shape and dtype are the docstrings' business."""

Backend: TypeAlias = Any
"""The backend that a kernel runs on. `xpnn.backends.Backend` is made of the kernels, so they cannot import it."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""A function of flat arrays that treats every element alone."""


def arange(be: Backend, n: int) -> Array:
    """0, 1, ..., n - 1 as int64."""
    return be.xp.arange(n, dtype=be.xp.int64, device=be.device)


def matmul(be: Backend, a: Array, b: Array, out: Array | None = None) -> Array:
    """a b, of the last two axes.

    out: an array of the result's shape that an override may fill and give back; here as in `column_sums`.
    """
    return a @ b


def column_sums(be: Backend, x: Array, out: Array | None = None) -> Array:
    """(..., C) to (C,): the sum over all axes but the last."""
    return be.xp.sum(x, axis=tuple(range(x.ndim - 1)))
