"""Random numbers from a counter-based hash: no state to keep, the same bits on every backend."""

import functools
import math
from typing import Any

from xpnn.kernels.base import Array, Backend
from xpnn.random import Key, word_of

WORD, WORD16 = 0xFFFFFFFF, 0xFFFF


def mix(x: Any) -> Any:
    """Scramble 32-bit words held in 64-bit integers: three xor-shifts, two multiplications.

    Every product stays below 2^63, so it is exact on every library. Works on Python integers and on arrays.
    Source: C. Wellons, hash-prospector (2018), the two-round function of lowest measured bias.
    """
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & WORD
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & WORD
    return x ^ (x >> 15)


@functools.lru_cache(maxsize=4096)
def stream(key: Key) -> int:
    """The 32-bit word that a path of integers and names stands for."""
    word = 0x9E3779B9
    for part in map(word_of, key):
        for half in (part & WORD, (part >> 32) & WORD):
            word = mix(word ^ mix((half + 0x85EBCA6B) & WORD))
    return int(word)


def counters(key: Key, tick: Any) -> tuple[Any, Any]:
    """The words A (odd) and B of stream `key` at step `tick`, a Python integer or a 0-d int64 array."""
    word = mix((tick + stream((*key, 1))) & WORD)
    return mix(word ^ stream((*key, 2))) | 1, mix(word ^ stream((*key, 3)))


def uniform(be: Backend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """Uniform numbers in [0, 1) with 24 random bits: the same bits on every backend.

    Element i of stream `key` at step `tick` is mix(A i + B), where A (odd) and B are words hashed from
    (key, tick): a counter-based generator, so no state is kept, and a replayed or compiled step
    draws fresh numbers from its own `tick`, a 0-d int64 array. At most 2^31 elements. first: the number of the
    first element, where these are a part of a larger draw.
    """
    step, start = counters(key, tick)
    bits = mix((numbers(be, shape, first) * step + start) & WORD) >> 8
    return be.xp.reshape(be.xp.astype(bits, be.dtype) * 2.0**-24, shape)


def keep_mask(
    be: Backend, key: Key, tick: Array, shape: tuple[int, ...], rate: float, first: int = 0
) -> Array:
    """Bool: True where `uniform` is at least `rate`, compared as integers: exact in any dtype."""
    step, start = counters(key, tick)
    bits = mix((numbers(be, shape, first) * step + start) & WORD) >> 8
    return be.xp.reshape(bits >= math.ceil(rate * 2**24), shape)


def normal(be: Backend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """Numbers of mean 0 and variance 1, nearly normal: the same on every backend, and in every dtype.

    Each is a sum of twelve random words of 16 bits, less its mean, times 2^-16: whole numbers below 2^19, so
    nothing is ever rounded. It lies within 6 standard deviations, and its fourth moment is 2.9, not 3.
    Source: M. E. Muller, "A comparison of methods for generating normal deviates", J. ACM 6 (1959).
    """
    n, total = numbers(be, shape, first), -6 * WORD16
    for part in range(6):
        step, start = counters((*key, part), tick)
        bits = mix((n * step + start) & WORD)
        total = (bits & WORD16) + (bits >> 16) + total
    return be.xp.reshape(be.xp.astype(total, be.dtype) * 2.0**-16, shape)


def numbers(be: Backend, shape: tuple[int, ...], first: int) -> Array:
    """first, first + 1, ...: one for each element."""
    n = be.arange(math.prod(shape))
    return n if isinstance(first, int) and not first else n + first
