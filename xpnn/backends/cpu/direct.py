"""Convolution without a matrix of columns, by compiled loops: of images with few channels, and depthwise.

There a product of matrices has little to do for each number of its columns, which take longer to write than to use.
Images are padded a few at a time, so that they stay in a core's cache.
"""

import functools
import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

from xpnn.backends.cpu import direct_loops as loops
from xpnn.backends.cpu.lanes import COUNT
from xpnn.backends.cpu.workers import each
from xpnn.kernels import Array
from xpnn.window import Window, counts, interior, padded_shape, span

Steps: TypeAlias = tuple[int, int, int]
"""Numbers between images, and between rows and columns of windows."""

NUMBERS = 1 << 16
"""Numbers of images that are padded at a time."""
PARTS, LEAST = 4, 1 << 19
"""Parts that threads may share, and the multiplications in each at least."""
MOST = 100
"""Taps, times channels, of which there are fewer than COUNT: with more of them a product of matrices is as fast."""


def applies(shape: tuple[int, ...], window: Window, groups: int, filters: int) -> bool:
    """Are there loops for such a convolution of (N, H, W, C), and are they faster?"""
    if len(shape) != 4 or filters % COUNT or counts(shape, window)[1] < loops.PIXELS:
        return False
    channels = shape[-1]
    few = groups == 1 and channels < COUNT and math.prod(window.kernel) * channels <= MOST
    return few or groups == channels == filters


def conv(x: Array, W: Array, b: Array | None, window: Window, relu: bool) -> Array:
    """As the kernel of this name."""
    y = np.empty((len(x), *counts(x.shape, window), W.shape[-1]), x.dtype)
    bias = np.zeros(W.shape[-1], W.dtype) if b is None else np.ascontiguousarray(b)
    kernels, depthwise = np.ascontiguousarray(W).reshape(-1), is_depthwise(x, W.shape[-1], W.shape[-2])

    def work(part: range) -> None:
        for few, padded, offsets, steps in padded_images(x, window, part, depthwise):
            out = y[few]
            loops.forward(padded, kernels, bias, relu, out.reshape(-1), offsets, out.shape, steps, depthwise)

    each(work, parts_of(y, W.size // W.shape[-1]))
    return y


def conv_dw(x: Array, dy: Array, window: Window, groups: int) -> Array:
    """As the kernel of this name."""
    channels, dy = x.shape[-1] // groups, np.ascontiguousarray(dy)
    shape = *window.kernel, channels, dy.shape[-1]
    depthwise = is_depthwise(x, dy.shape[-1], channels)

    def work(part: range) -> Array:
        dW = np.zeros(math.prod(shape), x.dtype)
        for few, padded, offsets, steps in padded_images(x, window, part, depthwise):
            out = dy[few]
            loops.by_weights(padded, out.reshape(-1), dW, offsets, out.shape, steps, depthwise)
        return dW

    total: Array = functools.reduce(np.add, each(work, parts_of(dy, math.prod(shape[:-1]))))
    return total.reshape(shape)


def conv_dx(dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int) -> Array | None:
    """As the kernel of this name; None where it is no such convolution of dy, or there are no loops for it."""
    pads = [
        (span(k, d) - 1 - before, span(k, d) - 1 - after)
        for (before, after), k, d in zip(window.pads, window.kernel, window.dilation, strict=True)
    ]
    if max(window.stride) > 1 or min(map(min, pads)) < 0:
        return None
    back = Window(window.kernel, pads=tuple(pads), dilation=window.dilation)
    if not applies(dy.shape, back, groups, shape[-1]):
        return None
    flipped = np.flip(W, (0, 1))
    return conv(dy, flipped if groups > 1 else np.swapaxes(flipped, 2, 3), None, back, relu=False)


def is_depthwise(x: Array, filters: int, channels: int) -> bool:
    """Is each channel convolved alone? channels: that a filter sees."""
    return channels == 1 and x.shape[-1] == filters > 1


def parts_of(y: Array, taps: int) -> list[range]:
    """The samples, in parts that threads may share; they do not depend on how many threads there are."""
    n = len(y)
    parts = max(1, min(PARTS, n, y.size * taps // LEAST))
    return [range(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


def padded_images(
    x: Array, window: Window, part: range, depthwise: bool
) -> Iterator[tuple[slice, Array, Array, Steps]]:
    """(samples, their padded images as one vector, the offsets of taps, the steps of windows), a few at a time.

    All use the same memory, in which the pads are written once.
    """
    offsets, steps = taps_and_steps(x.shape[1:], window, depthwise)
    many = max(1, min(len(part), NUMBERS // steps[0]))
    if not window.is_padded:
        few = slice(part.start, part.stop)
        yield few, np.ascontiguousarray(x[few]).reshape(-1), offsets, steps
        return
    padded = np.zeros((many, *padded_shape(x.shape, window)[1:]), x.dtype)
    inner = interior(x.shape, window)
    for i in range(part.start, part.stop, many):
        few = slice(i, min(i + many, part.stop))
        padded[: few.stop - i, *inner] = x[few]
        yield few, padded.reshape(-1), offsets, steps


@functools.lru_cache(64)
def taps_and_steps(shape: tuple[int, ...], window: Window, depthwise: bool) -> tuple[Array, Steps]:
    """What the loops must know of windows on images (height, width, channels)."""
    (_, height, width, channels), (down, right) = padded_shape((1, *shape), window), window.stride
    rows, columns = (np.arange(k) * d for k, d in zip(window.kernel, window.dilation, strict=True))
    offsets = (rows[:, None] * width + columns).reshape(-1, 1) * channels
    if not depthwise:
        offsets = offsets + np.arange(channels)
    return offsets.reshape(-1), (height * width * channels, down * width * channels, right * channels)
