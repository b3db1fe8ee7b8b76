"""NumPy's kernels for windows: convolution a few samples at a time, pooling tap by tap."""

import functools
import math
from collections.abc import Iterator

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu import grouped_convolution as by_group
from xpnn.backends.cpu.blocks import NARROW
from xpnn.kernels import Array, Kernels
from xpnn.kernels.windows import tap_dtype
from xpnn.window import Pair, Window, counts, interior, padded_shape, span, taps

COLUMNS = 1 << 20
"""Numbers of the column matrix at a time: few enough for the cache that the cores share, enough for all their threads.

Measured: 128 images of 26x26x32, 3x3, 64 filters in 10.2 ms, 12.3 at an eighth of that; the bare products take 6.6.
"""


def pad(be: Backend, x: Array, pads: tuple[Pair, ...], fill: float = 0.0) -> Array:
    """One array, written once."""
    if not any(map(any, pads)):
        return x
    sizes = [n + before + after for n, (before, after) in zip(x.shape[1:], pads, strict=False)]
    out = np.full((len(x), *sizes, *x.shape[1 + len(pads) :]), fill, x.dtype)
    middle = (slice(before, before + n) for n, (before, _) in zip(x.shape[1:], pads, strict=False))
    out[:, *middle] = x
    return out


def im2col(be: Backend, x: Array, window: Window, fill: float = 0.0) -> Array:
    """Copied from a strided view of the padded positions."""
    places = len(x), *counts(x.shape, window)
    cols = np.empty((*places, *window.kernel, x.shape[-1]), x.dtype)
    copy_windows(be, x, window, cols, fill)
    return cols.reshape(*places, -1, x.shape[-1])


def copy_windows(be: Backend, x: Array, window: Window, cols: Array, fill: float = 0.0) -> None:
    """Write the windows of x to `cols`: a row of a window at a time; narrow ones, one tap of all windows at a time."""
    padded, axes = np.ascontiguousarray(be.pad(x, window.pads, fill)), len(window.kernel)
    if cols.shape[-2] * cols.shape[-1] < NARROW:
        flat = cols.reshape(*cols.shape[: axes + 1], -1, cols.shape[-1])
        for t, at in enumerate(taps(x.shape, window)):
            flat[..., t, :] = padded[:, *at]
        return
    first, *along, last = padded.strides
    windows = (a * s for a, s in zip(along, window.stride, strict=True))
    inside = (a * d for a, d in zip(along, window.dilation, strict=True))
    strides = (first, *windows, *inside, last)
    np.copyto(cols, np.lib.stride_tricks.as_strided(padded, cols.shape, strides, writeable=False))


def col2im(be: Backend, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
    """The same sums as the reference, added in place."""
    total = np.zeros(padded_shape(shape, window), cols.dtype)
    for t, at in enumerate(taps(shape, window)):
        total[:, *at] += cols[..., t, :]
    return total[:, *interior(shape, window)]


def columns(be: Backend, x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """(samples, their im2col as a matrix), a few samples at a time, in the same buffer."""
    places, per = counts(x.shape, window), math.prod(window.kernel) * x.shape[-1]
    shape = (*places, *window.kernel, x.shape[-1])
    few = max(1, COLUMNS // (math.prod(places) * per))
    buffer = np.empty((min(few, len(x)), *shape), x.dtype)
    for start in range(0, len(x), few):
        part = x[start : start + few]
        cols = buffer[: len(part)]
        copy_windows(be, part, window, cols)
        yield slice(start, start + len(part)), cols.reshape(-1, per)


def conv(
    be: Backend, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
) -> Array:
    """A few samples at a time; the bias is added while they are in the cache."""
    if groups > 1:
        return by_group.conv(be, x, W, b, window, groups, relu)
    y = np.empty((len(x), *counts(x.shape, window), W.shape[-1]), x.dtype)
    kernels = W.reshape(-1, W.shape[-1])
    for few, cols in columns(be, x, window):
        out = y[few].reshape(-1, W.shape[-1])
        np.matmul(cols, kernels, out=out)
        be.add_bias(out, b, relu)
    return y


def conv_relu_max_pool(
    be: Backend, x: Array, W: Array, b: Array | None, window: Window, groups: int, pool: Window
) -> tuple[Array, Array]:
    """A few samples at a time, each pooled while its outputs are in the cache."""
    many = max(1, COLUMNS // max(1, math.prod(counts(x.shape, window)) * W.shape[-1]))
    parts = [
        Kernels.conv_relu_max_pool(be, x[i : i + many], W, b, window, groups, pool)
        for i in range(0, len(x), many)
    ]
    y, tap = (np.concatenate(each) for each in zip(*parts, strict=True))
    return y, tap


def conv_dx(
    be: Backend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """As a convolution of dy with the flipped kernel where that is the same and has channels enough; else by col2im."""
    if groups == 1 and max(window.stride) == 1 and shape[-1] >= NARROW:
        spans = [span(k, d) for k, d in zip(window.kernel, window.dilation, strict=True)]
        pads = tuple((n - 1 - a, n - 1 - b) for n, (a, b) in zip(spans, window.pads, strict=True))
        if min(map(min, pads)) >= 0:
            flipped = np.flip(W, tuple(range(len(spans))))
            back = Window(window.kernel, window.stride, pads, window.dilation)
            return be.conv(dy, np.ascontiguousarray(np.swapaxes(flipped, -1, -2)), None, back)
    return conv_dx_by_col2im(be, dy, W, shape, window, groups)


def conv_dx_by_col2im(
    be: Backend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """The reference, a few samples at a time."""
    if groups > 1:
        return by_group.conv_dx(be, dy, W, shape, window, groups)
    dx = np.empty(shape, dy.dtype)
    kernels = W.reshape(-1, W.shape[-1]).T
    places = math.prod(dy.shape[1:-1])
    few = min(len(dy), max(1, COLUMNS // (places * len(kernels.T))))
    buffer = np.empty((few * places, len(kernels.T)), dy.dtype)
    for start in range(0, len(dy), few):
        part = dy[start : start + few]
        cols = np.matmul(part.reshape(-1, W.shape[-1]), kernels, out=buffer[: len(part) * places])
        cols = cols.reshape(*part.shape[:-1], -1, shape[-1])
        dx[start : start + few] = be.col2im(cols, (len(part), *shape[1:]), window)
    return dx


def conv_dw(be: Backend, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
    """A few samples at a time, summed."""
    if groups > 1:
        return by_group.conv_dw(be, x, dy, window, groups)
    total = np.zeros((math.prod(window.kernel) * x.shape[-1], dy.shape[-1]), x.dtype)
    for few, cols in columns(be, x, window):
        total += cols.T @ dy[few].reshape(-1, dy.shape[-1])
    return total.reshape(*window.kernel, x.shape[-1], dy.shape[-1])


def max_pool(be: Backend, x: Array, window: Window) -> tuple[Array, Array]:
    """Tap by tap; where the padding may be the largest, the reference."""
    if window.is_padded:
        return Kernels.max_pool(be, x, window)
    parts = [x[:, *at] for at in taps(x.shape, window)]
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
    if not window.is_tiling:
        return Kernels.max_pool_grad(be, dy, tap, shape, window)
    dx = np.zeros(shape, dy.dtype)
    for t, at in enumerate(taps(shape, window)):
        dx[:, *at] = be.mask(dy, tap == t)
    return dx


def sum_pool(be: Backend, x: Array, window: Window) -> Array:
    """Tap by tap, into the same sum."""
    padded = be.pad(x, window.pads)
    total = np.zeros((len(x), *counts(x.shape, window), x.shape[-1]), x.dtype)
    for at in taps(x.shape, window):
        total += padded[:, *at]
    return total
