"""NumPy's random draws: the reference's numbers, from words of 32 bits in place of 64."""

import functools
import math
import threading
from collections.abc import Callable

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu.pointwise import select
from xpnn.backends.cpu.workers import each, workers
from xpnn.kernels import Array
from xpnn.kernels.counter import WORD, WORD16, counters
from xpnn.random import Key

BLOCK = 1 << 15
"""Numbers at a time: Dropout of 200,704 took 356 us with half as many, 302 now, 287 with twice as many."""
SHARED, PART = 1 << 20, 1 << 18
"""From so many numbers on several threads draw them, and each takes so many at a time.

Python's threads wait for each other between short operations. On two cores Dropout of half, one and two million numbers
took 0.78, 1.54 and 3.16 ms on one thread, 0.66, 1.08 and 2.00 on both, and 1.04, 1.92 and 3.78 in parts of BLOCK.
"""
MIX = [(np.uint32(16), np.uint32(0x21F0AAAD)), (np.uint32(15), np.uint32(0x735A2D97))]
"""Shift and factor of the two rounds of `xpnn.kernels.counter.mix`."""


def uniform(be: Backend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """The reference's numbers, from words of 32 bits."""
    out = np.empty(math.prod(shape), be.dtype)

    def write(block: slice, words: Array) -> None:
        words >>= np.uint32(8)
        np.multiply(words, 2.0**-24, out=out[block], dtype=be.dtype)

    draw([key], tick, out.size, write, first)
    return out.reshape(shape)


def keep_mask(
    be: Backend, key: Key, tick: Array, shape: tuple[int, ...], rate: float, first: int = 0
) -> Array:
    """The reference's mask, from words of 32 bits."""
    out, threshold = np.empty(math.prod(shape), np.bool_), least_word(rate)

    def write(block: slice, words: Array) -> None:
        np.greater_equal(words, threshold, out=out[block])

    draw([key], tick, out.size, write, first)
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

    def write(block: slice, words: Array) -> None:
        scaled = np.multiply(given[block], scale, out=written[block])
        select(scaled, words >= threshold, scaled)

    draw([key], tick, x.size, write)


def normal(be: Backend, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
    """The reference's numbers, from words of 32 bits."""
    total = np.full(math.prod(shape), -6 * WORD16, np.int32)

    def add(block: slice, words: Array) -> None:
        total[block] += (words & np.uint32(WORD16)).view(np.int32)
        words >>= np.uint32(16)
        total[block] += words.view(np.int32)

    draw([(*key, part) for part in range(6)], tick, total.size, add, first)
    return np.multiply(total, 2.0**-16, dtype=be.dtype).reshape(shape)


def draw(
    keys: list[Key], tick: Array, size: int, use: Callable[[slice, Array], None], first: int = 0
) -> None:
    """use(block, words) for each block and each key: mix(A (first + i) + B) for its i < size.

    The words lie in buffers that stay in the cache, and may be written over. Words of 32 bits wrap by themselves, so
    the reference's masks fall away. Each word follows from its number alone, whichever thread draws it.
    """
    threads = workers() if size >= SHARED else 1
    length = BLOCK if threads == 1 else PART
    ids, streams = counted(length)[:size], []
    for key in keys:
        step, start = counters(key, int(tick))
        streams.append((ids * np.uint32(step), step, start + first * step))

    def of_block(start: int) -> None:
        block = slice(start, min(start + length, size))
        n = block.stop - start
        x, shifted = BUFFERS.of(n)
        for ramp, step, offset in streams:
            np.add(ramp[:n], np.uint32((start * step + offset) & WORD), out=x)
            for shift, factor in MIX:
                x ^= np.right_shift(x, shift, out=shifted)
                x *= factor
            x ^= np.right_shift(x, np.uint32(15), out=shifted)
            use(block, x)

    each(of_block, range(0, size, length), threads)


class Buffers(threading.local):
    """Two vectors for each thread, which are kept."""

    def __init__(self) -> None:
        self.kept = [np.empty(0, np.uint32)] * 2

    def of(self, n: int) -> list[Array]:
        """Of n words each."""
        if self.kept[0].size < n:
            self.kept = [np.empty(n, np.uint32) for _ in range(2)]
        return [words[:n] for words in self.kept]


BUFFERS = Buffers()


@functools.cache
def counted(n: int) -> Array:
    """0, 1, ..., n - 1, made once: of 2^15 that took 15 us, their products with a step take 4."""
    made = np.arange(n, dtype=np.uint32)
    made.flags.writeable = False
    return made
