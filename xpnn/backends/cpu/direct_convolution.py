"""Convolution without a matrix of columns, by compiled loops: of images with few channels, and depthwise.

There a product of matrices has little to do for each number of its columns, which take longer to write than to use.
Each image is copied to the same padded memory, which stays in a core's cache.
"""

import functools
import math
from typing import TypeAlias

import numpy as np

from xpnn.backends.cpu import direct_loops as loops
from xpnn.backends.cpu.lanes import COUNT
from xpnn.backends.cpu.workers import each
from xpnn.kernels import Array
from xpnn.window import Window, counts, padded_shape, span

PARTS, LEAST = 4, 1 << 19
"""Parts that threads may share, and the multiplications in each at least."""
LINE = 64
"""Bytes: registers that lie across two lines of the cache are loaded in twice the time."""
MOST = 100
"""Taps times channels, at most, where channels are fewer than COUNT: beyond, a product of matrices is as fast."""


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
    x, places = np.ascontiguousarray(x), places_of(x.shape[1:], window, depthwise)

    def work(part: slice) -> None:
        padded, out = empty_image(places, x), y[part]
        flat = x[part].reshape(-1), padded, kernels, bias, relu, out.reshape(-1)
        loops.forward(*flat, out.shape, *places[1:], depthwise)

    each(work, parts_of(y, W.size // W.shape[-1]))
    return y


def conv_dw(x: Array, dy: Array, window: Window, groups: int) -> Array:
    """As the kernel of this name."""
    channels, x, dy = x.shape[-1] // groups, np.ascontiguousarray(x), np.ascontiguousarray(dy)
    shape = *window.kernel, channels, dy.shape[-1]
    depthwise = is_depthwise(x, dy.shape[-1], channels)
    places = places_of(x.shape[1:], window, depthwise)

    def work(part: slice) -> Array:
        dW, out = np.zeros(math.prod(shape), x.dtype), dy[part]
        padded = empty_image(places, x)
        loops.by_weights(x[part].reshape(-1), padded, out.reshape(-1), dW, out.shape, *places[1:], depthwise)
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


def parts_of(y: Array, taps: int) -> list[slice]:
    """The samples, in parts that threads may share; they do not depend on how many threads there are."""
    n = len(y)
    parts = max(1, min(PARTS, n, y.size * taps // LEAST))
    return [slice(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


Places: TypeAlias = tuple[int, tuple[int, int, int, int], Array, tuple[int, int]]
"""See `places_of`."""


@functools.lru_cache(64)
def places_of(shape: tuple[int, ...], window: Window, depthwise: bool) -> Places:
    """What the loops must know of windows on images (height, width, channels), in numbers of a padded image.

    Its size; rows and their numbers of an image, where the first row begins and how far apart rows are; the offsets of
    the taps of a window; and how far apart windows are, down and to the right.
    """
    (_, height, width, channels), (down, right) = padded_shape((1, *shape), window), window.stride
    (top, _), (left, _) = window.pads
    rows, columns = (np.arange(k) * d for k, d in zip(window.kernel, window.dilation, strict=True))
    offsets = (rows[:, None] * width + columns).reshape(-1, 1) * channels
    if not depthwise:
        offsets = offsets + np.arange(channels)
    image = shape[0], shape[1] * channels, (top * width + left) * channels, width * channels
    return height * width * channels, image, offsets.reshape(-1), (down * width * channels, right * channels)


def empty_image(places: Places, x: Array) -> Array:
    """Zeros for a padded image, from the first number of a line of the cache on."""
    size, itemsize = places[0], x.dtype.itemsize
    memory = np.zeros(size + LINE // itemsize, x.dtype)
    start = -memory.ctypes.data % LINE // itemsize
    return memory[start : start + size]
