"""NumPy's kernels for windows over images: convolution a few samples at a time, pooling tap by tap."""

import functools
from collections.abc import Iterator

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu import groups as by_group
from xpnn.backends.cpu.blocks import NARROW
from xpnn.kernels import Array, Kernels
from xpnn.kernels.windows import tap_dtype
from xpnn.window import Window, counts, span, taps

COLUMNS = 1 << 20
"""Numbers of the column matrix at a time: few enough for the cache that the cores share, enough for all their threads.

Measured: 128 images of 26x26x32, 3x3, 64 filters in 10.2 ms, 12.3 with an eighth of it; the bare products take 6.6.
"""


def pad2d(be: Backend, x: Array, pads: tuple[tuple[int, int], tuple[int, int]], fill: float = 0.0) -> Array:
    """One array, written once."""
    if not any(map(any, pads)):
        return x
    (top, bottom), (left, right) = pads
    n, height, width, channels = x.shape
    out = np.full((n, top + height + bottom, left + width + right, channels), fill, x.dtype)
    out[:, top : top + height, left : left + width] = x
    return out


def im2col(be: Backend, x: Array, window: Window, fill: float = 0.0) -> Array:
    """Copied from a strided view of the padded image."""
    cols = np.empty((len(x), *counts(x.shape, window), *window.kernel, x.shape[3]), x.dtype)
    copy_windows(be, x, window, cols, fill)
    return cols.reshape(*cols.shape[:3], -1, x.shape[3])


def copy_windows(be: Backend, x: Array, window: Window, cols: Array, fill: float = 0.0) -> None:
    """Write the windows of x to `cols`: a row of a window at a time; narrow ones, one tap of all windows at a time."""
    padded = np.ascontiguousarray(be.pad2d(x, window.pads, fill))
    if cols.shape[4] * cols.shape[5] < NARROW:
        flat = cols.reshape(*cols.shape[:3], -1, cols.shape[5])
        for t, (i, j) in enumerate(taps(x.shape, window)):
            flat[:, :, :, t] = padded[:, i, j]
        return
    a, b, c, d = padded.strides
    (s1, s2), (d1, d2) = window.stride, window.dilation
    strides = (a, b * s1, c * s2, b * d1, c * d2, d)
    np.copyto(cols, np.lib.stride_tricks.as_strided(padded, cols.shape, strides, writeable=False))


def col2im(be: Backend, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Added in place."""
    (top, bottom), (left, right) = window.pads
    total = np.zeros((shape[0], top + shape[1] + bottom, left + shape[2] + right, shape[3]), cols.dtype)
    for t, (i, j) in enumerate(taps(shape, window)):
        total[:, i, j] += cols[:, :, :, t]
    return total[:, top : top + shape[1], left : left + shape[2]]


def columns(be: Backend, x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """(samples, their im2col as a matrix), a few samples at a time, in the same buffer."""
    shape = (*counts(x.shape, window), *window.kernel, x.shape[3])
    few = max(1, COLUMNS // int(np.prod(shape)))
    buffer = np.empty((min(few, len(x)), *shape), x.dtype)
    for start in range(0, len(x), few):
        part = x[start : start + few]
        cols = buffer[: len(part)]
        copy_windows(be, part, window, cols)
        yield slice(start, start + len(part)), cols.reshape(-1, int(np.prod(shape[2:])))


def conv2d(
    be: Backend, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
) -> Array:
    """A few samples at a time; the bias is added while they are in the cache."""
    if groups > 1:
        return by_group.conv2d(be, x, W, b, window, groups, relu)
    y = np.empty((len(x), *counts(x.shape, window), W.shape[3]), x.dtype)
    kernels = W.reshape(-1, W.shape[3])
    for few, cols in columns(be, x, window):
        out = y[few].reshape(-1, W.shape[3])
        np.matmul(cols, kernels, out=out)
        be.add_bias(out, b, relu)
    return y


def conv2d_dx(
    be: Backend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """As a convolution of dy with the flipped kernel where that is the same and has channels enough; else by col2im."""
    spans = [span(k, d) for k, d in zip(window.kernel, window.dilation, strict=True)]
    pads = [(n - 1 - a, n - 1 - b) for n, (a, b) in zip(spans, window.pads, strict=True)]
    if groups == 1 and window.stride == (1, 1) and shape[3] >= NARROW and min(map(min, pads)) >= 0:
        flipped = np.ascontiguousarray(np.swapaxes(W[::-1, ::-1], 2, 3))
        back = Window(window.kernel, (1, 1), (pads[0], pads[1]), window.dilation)
        return be.conv2d(dy, flipped, None, back)
    return conv2d_dx_by_col2im(be, dy, W, shape, window, groups)


def conv2d_dx_by_col2im(
    be: Backend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """The reference, a few samples at a time."""
    if groups > 1:
        return by_group.conv2d_dx(be, dy, W, shape, window, groups)
    dx = np.empty(shape, dy.dtype)
    kernels = W.reshape(-1, W.shape[3]).T
    places = dy.shape[1] * dy.shape[2]
    few = min(len(dy), max(1, COLUMNS // (places * len(kernels.T))))
    buffer = np.empty((few * places, len(kernels.T)), dy.dtype)
    for start in range(0, len(dy), few):
        part = dy[start : start + few]
        cols = np.matmul(part.reshape(-1, W.shape[3]), kernels, out=buffer[: len(part) * places])
        cols = cols.reshape(*part.shape[:3], -1, shape[3])
        dx[start : start + few] = be.col2im(cols, (len(part), *shape[1:]), window)
    return dx


def conv2d_dw(be: Backend, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
    """A few samples at a time, summed."""
    if groups > 1:
        return by_group.conv2d_dw(be, x, dy, window, groups)
    total = np.zeros((window.kernel[0] * window.kernel[1] * x.shape[3], dy.shape[3]), x.dtype)
    for few, cols in columns(be, x, window):
        total += cols.T @ dy[few].reshape(-1, dy.shape[3])
    return total.reshape(*window.kernel, x.shape[3], dy.shape[3])


def max_pool(be: Backend, x: Array, window: Window) -> tuple[Array, Array]:
    """Tap by tap; where the padding may be the largest, the reference."""
    if any(map(any, window.pads)):
        return Kernels.max_pool(be, x, window)
    parts = [x[:, i, j] for i, j in taps(x.shape, window)]
    y = functools.reduce(np.maximum, parts[1:], parts[0].copy())
    tap = np.zeros(y.shape, tap_dtype(be, window))
    is_nan = np.isnan(y) if np.isnan(np.dot(y.reshape(-1), y.reshape(-1))) else None
    for t in range(len(parts) - 1, -1, -1):  # the first is written last
        found = parts[t] == y
        if is_nan is not None:
            found |= is_nan & np.isnan(parts[t])
        tap *= ~found  # bytes: a tenth of what a masked copy takes
        tap += np.multiply(found, t, dtype=tap.dtype)
    return y, tap


def max_pool_grad(be: Backend, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Tap by tap; where no windows overlap, each value is written once."""
    if window.kernel != window.stride or any(map(any, window.pads)):
        return Kernels.max_pool_grad(be, dy, tap, shape, window)
    dx = np.zeros(shape, dy.dtype)
    for t, (i, j) in enumerate(taps(shape, window)):
        dx[:, i, j] = be.mask(dy, tap == t)
    return dx


def sum_pool(be: Backend, x: Array, window: Window) -> Array:
    """Tap by tap, into the same sum."""
    padded = be.pad2d(x, window.pads)
    total = np.zeros((len(x), *counts(x.shape, window), x.shape[3]), x.dtype)
    for i, j in taps(x.shape, window):
        total += padded[:, i, j]
    return total
