"""The distribution function of N(0, 1) on NumPy: the reference's formulas without its branches and copies."""

import math
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.kernels import erf

BLOCK = 1 << 14
"""Elements at a time: what is computed on the way stays in the processor's cache."""

Host = np.ndarray[Any, Any]


def normal_cdf(be: Backend, x: Host) -> Host:
    """`Kernels.normal_cdf`, block by block.

    In float32 MIDDLE serves near 0 too: there it is off by 5e-12, a thousandth of a rounding. A choice by `where`
    between two random outcomes is guessed wrong half the time; |(x >= 0) - tail| needs no guess.
    Measured: a million float32 in 7 ms (reference 40), a million float64 in 28 (reference 85).
    """
    flat, out = x.reshape(-1), np.empty(x.size, x.dtype)
    for start in range(0, flat.size, BLOCK):
        block = slice(start, start + BLOCK)
        _block(flat[block], out[block])
    return out.reshape(x.shape)


def _block(x: Host, out: Host) -> None:
    size = np.minimum(np.abs(x), 40)
    u = size * math.sqrt(0.5)
    beyond = not u.max() <= 4  # so that NaN counts as beyond
    tail = _ratio(erf.MIDDLE, np.minimum(u, 4) if beyond else u)
    if beyond:
        few = np.flatnonzero(u > 4)
        v = 1 / u[few]
        tail[few] = v * (math.sqrt(1 / math.pi) - v * v * erf.ratio(erf.FAR, v * v))
    size *= size
    size *= -0.5
    tail *= np.exp(size, out=size)
    tail *= 0.5
    np.abs(np.subtract(x >= 0, tail, out=out), out=out)
    if x.dtype == np.float64:
        near = np.flatnonzero(u <= 0.46875)
        inner = x[near]
        out[near] = 0.5 + inner * math.sqrt(0.125) * _ratio(erf.NEAR, 0.5 * inner * inner)


def _ratio(rows: erf.Rows, x: Host) -> Host:
    """`erf.ratio` in two arrays."""
    upper, lower = (x * row[0] for row in rows)
    for total, row in ((upper, rows[0]), (lower, rows[1])):
        total += row[1]
        for c in row[2:]:
            total *= x
            total += c
    upper /= lower
    result: Host = upper
    return result
