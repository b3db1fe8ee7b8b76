"""NumPy's random draws: the reference's numbers, from words of 32 bits in place of 64."""

import math
from collections.abc import Iterator

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu.pointwise import select
from xpnn.kernels import Array
from xpnn.kernels.counter import WORD, WORD16, counters
from xpnn.random import Key

WORDS = 1 << 14
"""Random words per block."""
MIX = [(np.uint32(16), np.uint32(0x21F0AAAD)), (np.uint32(15), np.uint32(0x735A2D97))]
"""Shift and factor of the two rounds of `xpnn.kernels.counter.mix`."""


def uniform(be: Backend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """The reference's numbers, from words of 32 bits."""
    out = np.empty(math.prod(shape), be.dtype)
    for start, words in random_words(key, int(tick), out.size, first):
        np.multiply(words >> np.uint32(8), 2.0**-24, out=out[start : start + words.size], dtype=be.dtype)
    return out.reshape(shape)


def keep_mask(
    be: Backend, key: Key, tick: Array, shape: tuple[int, ...], rate: float, first: int = 0
) -> Array:
    """The reference's mask, from words of 32 bits."""
    out, threshold = np.empty(math.prod(shape), np.bool_), least_word(rate)
    for start, words in random_words(key, int(tick), out.size, first):
        np.greater_equal(words, threshold, out=out[start : start + words.size])
    return out.reshape(shape)


def least_word(rate: float) -> int:
    """The least word that keeps an element, more than any word where none does.

    The reference compares the first 24 bits of a word: the other 8 do not change the comparison.
    """
    return math.ceil(rate * 2**24) << 8


def dropout(be: Backend, x: Array, key: Key, tick: Array, rate: float) -> Array:
    """A block at a time: its words, its mask and its products are still in the cache when the mask is applied."""
    out = np.empty(x.shape, x.dtype)
    drop(x, key, tick, rate, out)
    return out


def bias_relu_dropout(be: Backend, y: Array, b: Array, key: Key, tick: Array, rate: float) -> Array:
    """In place, where its elements lie in the order of the draws."""
    y = be.add_bias(y, b, True)
    if not y.flags.carray:
        return dropout(be, y, key, tick, rate)
    drop(y, key, tick, rate, y)
    return y


def drop(x: Array, key: Key, tick: Array, rate: float, out: Array) -> None:
    """out = x / (1 - rate) where the stream keeps it, else 0."""
    scale, threshold = 1 / (1 - rate), least_word(rate)
    given, written = x.reshape(-1), out.reshape(-1)
    for start, words in random_words(key, int(tick), x.size):
        block = slice(start, start + words.size)
        scaled = np.multiply(given[block], scale, out=written[block])
        select(scaled, words >= threshold, scaled)


def normal(be: Backend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """The reference's numbers, from words of 32 bits."""
    total = np.full(math.prod(shape), -6 * WORD16, np.int32)
    for part in range(6):
        for start, words in random_words((*key, part), int(tick), total.size, first):
            block = total[start : start + words.size]
            block += (words & np.uint32(WORD16)).view(np.int32)
            block += (words >> np.uint32(16)).view(np.int32)
    return np.multiply(total, 2.0**-16, dtype=be.dtype).reshape(shape)


def random_words(key: Key, tick: int, size: int, first: int = 0) -> Iterator[tuple[int, Array]]:
    """(start, words): mix(A (first + i) + B) for i = start ..., by blocks in the same buffers, which stay in cache.

    Words of 32 bits wrap by themselves, so the reference's masks fall away.
    """
    step, start = counters(key, tick)
    start = (start + first * step) & WORD
    ramp = np.arange(min(size, WORDS), dtype=np.uint32)
    ramp *= np.uint32(step)
    buffer, spare = np.empty_like(ramp), np.empty_like(ramp)
    for i in range(0, size, WORDS):
        n = min(WORDS, size - i)
        x, shifted = buffer[:n], spare[:n]
        np.add(ramp[:n], np.uint32((i * step + start) & WORD), out=x)
        for shift, factor in MIX:
            x ^= np.right_shift(x, shift, out=shifted)
            x *= factor
        x ^= np.right_shift(x, np.uint32(15), out=shifted)
        yield i, x
