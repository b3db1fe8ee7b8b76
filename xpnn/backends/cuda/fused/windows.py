"""Kernels that slide windows over images: columns, convolution, pooling.

Sequences go as images one row high, volumes as the reference has them.
"""

import math
from collections.abc import Iterator
from typing import Any

from xpnn.backends.cuda.fused.launch import LIMIT, CudaBackend, contiguous
from xpnn.backends.cuda.fused.rows import down
from xpnn.kernels import Array, Kernels
from xpnn.window import Window, counts

COLUMNS = 1 << 23
"""Numbers of the column matrix at a time, so that the product reads them from the second-level cache."""
SIDE = 7
"""A thread keeps filters of up to that height and width in registers."""


def im2col(be: CudaBackend, x: Array, window: Window, fill: float = 0.0) -> Array:
    """One copy, without a padded image."""
    shape = (len(x), *counts(x.shape, window), math.prod(window.kernel), x.shape[-1])
    if x.ndim > 4 or not be.launchable(x) or not 0 < math.prod(shape) < LIMIT:
        return Kernels.im2col(be, x, window, fill)
    cols = be.empty(shape, be.dtype)
    given = contiguous(x), cols
    _lines(be, "im2col", math.prod(shape[:-3]), given, x.shape, window, float(fill))
    return cols


def col2im(be: CudaBackend, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each pixel gathers the columns that were copied from it."""
    if len(shape) > 4 or not be.launchable(cols) or not 0 < math.prod(shape) < LIMIT:
        return Kernels.col2im(be, cols, shape, window)
    return _gathered(be, "col2im", shape, window, cols)


def _gathered(be: CudaBackend, name: str, shape: tuple[int, ...], window: Window, *given: Array) -> Array:
    x = be.empty(shape, be.dtype)
    _lines(be, name, math.prod(shape[:-2]), (*map(contiguous, given), x), shape, window)
    return x


def _lines(
    be: CudaBackend, name: str, lines: int, arrays: Any, shape: Any, window: Window, *more: float
) -> None:
    """Launch with one block for each line of the images, for windows over images of `shape`."""
    shape, window = image(shape), over_images(window)
    (top, _), (left, _) = window.pads
    places = *window.kernel, *window.stride, top, left, *window.dilation
    numbers = lines, *shape[1:], *counts(shape, window), *places
    be.launch(name, (min(lines, 16 * be.processors),), (*arrays, *numbers, *more))


def conv(
    be: CudaBackend, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
) -> Array:
    """Products with the columns of a few samples at a time; images of one channel directly."""
    shape = (len(x), *counts(x.shape, window), W.shape[-1])
    if x.ndim > 4 or groups > 1 or not be.launchable(x, W) or not 0 < math.prod(shape) < LIMIT:
        return Kernels.conv(be, x, W, b, window, groups, relu)
    y = be.empty(shape, be.dtype)
    b = be.zeros((shape[-1],)) if b is None else b
    if direct(x, window):
        given, blocks = (x, W, b), min(strips(shape), 8 * be.processors)
        _one_channel(be, "conv1", blocks, given, shape, window, y, int(relu))
        return y
    kernels = be.operand(be.xp.reshape(W, (-1, shape[-1])))
    for few, cols in _columns(be, x, window):
        out = be.xp.reshape(y[few, ...], (-1, shape[-1]))
        product = be.matmul(cols, kernels, out)
        if product is not out:
            out[...] = product
    return be.add_bias(y, b, relu)


def conv_dx(
    be: CudaBackend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """Products and sums for a few samples at a time."""
    if dy.ndim > 4 or groups > 1 or not be.launchable(dy, W) or not 0 < math.prod(shape) < LIMIT:
        return Kernels.conv_dx(be, dy, W, shape, window, groups)
    dx, kernels = be.empty(shape, be.dtype), be.operand(be.xp.reshape(W, (-1, W.shape[-1]))).T
    for few in batches(len(dy), math.prod(dy.shape[1:-1]) * kernels.shape[1]):
        part = dy[few, ...]
        cols = be.matmul(be.xp.reshape(part, (-1, W.shape[-1])), kernels)
        given = contiguous(cols), dx[few, ...]
        _lines(be, "col2im", len(part) * math.prod(shape[1:-2]), given, shape, window)
    return dx


def conv_dw(be: CudaBackend, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
    """Products for a few samples at a time, summed; images of one channel directly."""
    if x.ndim > 4 or groups > 1 or not be.launchable(x, dy):
        return Kernels.conv_dw(be, x, dy, window, groups)
    filters = dy.shape[-1]
    dW = be.empty((*window.kernel, x.shape[-1], filters), be.dtype)
    if direct(x, window):
        blocks = min(strips(dy.shape), 2 * be.processors)
        parts = be.empty((blocks, dW.size), be.dtype)
        _one_channel(be, "conv1_dw", blocks, (x, dy), dy.shape, window, parts)
        return down(be, "column_sums", (parts,), blocks, dW.size, dW)
    total = None
    for few, cols in _columns(be, x, window):
        part = be.matmul(cols.T, be.xp.reshape(dy[few, ...], (-1, filters)))
        total = part if total is None else total + part
    return be.xp.reshape(total, dW.shape)


def _columns(be: CudaBackend, x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """(samples, their im2col as a matrix), a few samples at a time."""
    per = math.prod(window.kernel) * x.shape[-1]
    for few in batches(len(x), math.prod(counts(x.shape, window)) * per):
        yield few, be.xp.reshape(be.im2col(x[few, ...], window), (-1, per))


def _one_channel(
    be: CudaBackend, name: str, blocks: int, given: tuple[Array, ...], shape: Any, window: Window, *out: Any
) -> None:
    """Launch with 32 filters across, on the windows over the images given[0] that make up an array of `shape`."""
    shape, window = image(shape), over_images(window)
    (top, _), (left, _) = window.pads
    numbers = shape[0], *image(given[0].shape)[1:3], *shape[1:3], top, left, shape[3]
    macros = {"KH": window.kernel[0], "KW": window.kernel[1]}
    whole = map(contiguous, given)
    be.launch(name, (blocks, -(-shape[3] // 32)), (*whole, *numbers, *out), **macros)


def max_pool(be: CudaBackend, x: Array, window: Window) -> tuple[Array, Array]:
    """The value and its tap in one pass."""
    shape = (len(x), *counts(x.shape, window), x.shape[-1])
    if x.ndim > 4 or not be.launchable(x) or math.prod(window.kernel) > 256:
        return Kernels.max_pool(be, x, window)
    y, tap = be.empty(shape, be.dtype), be.empty(shape, be.xp.uint8)
    _lines(be, "max_pool", math.prod(shape[:-2]), (contiguous(x), y, tap), x.shape, window)
    return y, tap


def max_pool_grad(be: CudaBackend, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each pixel gathers from the windows whose maximum it was."""
    if dy.ndim > 4 or not be.launchable(dy) or tap.dtype != be.xp.uint8 or not 0 < math.prod(shape) < LIMIT:
        return Kernels.max_pool_grad(be, dy, tap, shape, window)
    return _gathered(be, "max_pool_grad", shape, window, dy, tap)


def sum_pool(be: CudaBackend, x: Array, window: Window) -> Array:
    """One pass, without columns."""
    if x.ndim > 4 or not be.launchable(x):
        return Kernels.sum_pool(be, x, window)
    y = be.empty((len(x), *counts(x.shape, window), x.shape[-1]), be.dtype)
    _lines(be, "sum_pool", math.prod(y.shape[:-2]), (contiguous(x), y), x.shape, window)
    return y


def sum_pool_grad(be: CudaBackend, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
    """Each pixel gathers from the windows that cover it."""
    if dy.ndim > 4 or not be.launchable(dy) or not 0 < math.prod(shape) < LIMIT:
        return Kernels.sum_pool_grad(be, dy, shape, window)
    return _gathered(be, "sum_pool_grad", shape, window, dy)


def image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(N, H, W, C), of sequences with one row."""
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


def over_images(window: Window) -> Window:
    """The same windows over sequences as over images of one row."""
    if len(window.kernel) == 2:
        return window
    pads = (0, 0), *window.pads
    return Window((1, *window.kernel), (1, *window.stride), pads, (1, *window.dilation))


def direct(x: Array, window: Window) -> bool:
    """Can conv1 compute it: one channel, stride and dilation 1, and a filter that fits in registers?"""
    plain = max(window.stride) == max(window.dilation) == 1
    return x.shape[-1] == 1 and plain and max(window.kernel) <= SIDE


def strips(shape: tuple[int, ...]) -> int:
    """The number of blocks: eight strips of eight windows in each."""
    n, rows, columns, _ = image(shape)
    return -(-n * rows * -(-columns // 8) // 8)


def batches(n: int, each: int) -> Iterator[slice]:
    """Slices of n samples whose columns, `each` numbers for one sample, are about COLUMNS numbers."""
    few = max(1, COLUMNS // each)
    return (slice(start, start + few) for start in range(0, n, few))
