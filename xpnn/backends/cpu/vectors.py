"""NumPy on flat vectors: updates block by block, the check for finiteness, and conditions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu import updates
from xpnn.backends.cpu.blocks import BLOCK
from xpnn.kernels import Array, Rule

RESERVE = 8 * BLOCK
"""Numbers of float64 that an update of several blocks reserves: more than the temporaries of any rule for one."""


def elementwise(
    be: Backend, rule: Rule, given: tuple[Array, ...], vectors: tuple[Array, ...], loop: Any = None
) -> tuple[Array, ...]:
    """Block by block, so that the rule's temporaries stay in cache; results go into the given vectors.

    Memory for the temporaries is held in reserve: once the first block is written, the others must not fail. A rule
    that `updates` has writes in place.
    """
    if loop is not None:
        updates.update(loop[0], vectors, given, *loop[1:])
        return vectors
    size = vectors[0].shape[0]
    reserve: Any = np.empty(RESERVE if size > BLOCK else 0)
    for start in range(0, size, BLOCK):
        block = slice(start, start + BLOCK)
        blocks = *(v[block] for v in given), *(v[block] for v in vectors)
        try:
            news = rule(*blocks)
        except MemoryError:
            if start == 0 or reserve is None:
                raise
            reserve = None
            news = rule(*blocks)
        for old, new in zip(vectors, news, strict=True):
            old[block] = new
    return vectors


def copied(be: Backend, tree: dict[str, Array]) -> dict[str, Array]:
    """Copies of the vectors; the 0-d arrays are never written to."""
    return {name: a.copy() if a.ndim else a for name, a in tree.items()}


def all_finite(be: Backend, *arrays: Array) -> Array:
    """A sum of squares is one fast pass; only when it is not finite is every element looked at."""
    for x in arrays:
        if x.ndim == 0 and math.isfinite(x):
            continue
        flat = x.reshape(-1)
        if not ((flat.dtype.kind == "f" and math.isfinite(np.dot(flat, flat))) or np.isfinite(flat).all()):
            return np.False_
    return np.True_


def nan_unless(be: Backend, ok: Array, value: Array) -> Array:
    """`ok` is on the host."""
    return np.asarray(value) if ok else np.full_like(value, math.nan)


def cond(be: Backend, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
    """`ok` is on the host, so only one branch runs."""
    new: dict[str, Array] = then(tree) if ok else tree
    return new
