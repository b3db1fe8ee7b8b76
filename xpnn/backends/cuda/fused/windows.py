"""What slides windows over images, and over sequences, as images one row high."""

import math
from collections.abc import Iterator
from typing import Any

from xpnn.backends.cuda.fused.launch import LIMIT, Launching
from xpnn.kernels import Array
from xpnn.window import Window, counts

COLUMNS = 1 << 23
"""Numbers of the column matrix at a time: it is read back from the second-level cache."""
SIDE = 7
"""Filters of up to that height and width a thread keeps in registers."""


class FusedWindows(Launching):
    """Columns, convolution as a product with them or, for images of one channel, without; pooling.

    Volumes go the reference's way.
    """

    _add_bias: Any  # from the pointwise table
    _down: Any  # from the table of rows

    def im2col(self, x: Array, window: Window, fill: float = 0.0) -> Array:
        """One copy; padding is not stored first."""
        shape = (len(x), *counts(x.shape, window), math.prod(window.kernel), x.shape[-1])
        if is_volume(x) or not self._fits(x) or not 0 < math.prod(shape) < LIMIT:
            return super().im2col(x, window, fill)
        cols = self.empty(shape, self.dtype)
        given = self._whole(x), cols
        self._lines("im2col", math.prod(shape[:-3]), given, x.shape, window, float(fill))
        return cols

    def col2im(self, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
        """Each place gathers what was taken from it."""
        if len(shape) > 4 or not self._fits(cols) or not 0 < math.prod(shape) < LIMIT:
            return super().col2im(cols, shape, window)
        return self._gathered("col2im", shape, window, cols)

    def _gathered(self, name: str, shape: tuple[int, ...], window: Window, *given: Array) -> Array:
        x = self.empty(shape, self.dtype)
        self._lines(name, math.prod(shape[:-2]), (*map(self._whole, given), x), shape, window)
        return x

    def _lines(self, name: str, lines: int, arrays: Any, shape: Any, window: Window, *more: float) -> None:
        """Launch with a block to a line of images, on windows over images of `shape`."""
        shape, window = image(shape), over_images(window)
        (top, _), (left, _) = window.pads
        places = *window.kernel, *window.stride, top, left, *window.dilation
        numbers = lines, *shape[1:], *counts(shape, window), *places
        self.launch(name, (min(lines, 16 * self.processors),), (*arrays, *numbers, *more))

    def conv(
        self, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
    ) -> Array:
        """A product with the columns of a few samples at a time; of one channel directly."""
        shape = (len(x), *counts(x.shape, window), W.shape[-1])
        if is_volume(x) or groups > 1 or not self._fits(x, W) or not 0 < math.prod(shape) < LIMIT:
            return super().conv(x, W, b, window, groups, relu)
        y = self.empty(shape, self.dtype)
        b = self.zeros((shape[-1],)) if b is None else b
        if direct(x, window):
            given, blocks = (x, W, b), min(strips(shape), 8 * self.processors)
            self._one_channel("conv1", blocks, given, shape, window, y, int(relu))
            return y
        kernels = self.operand(self.xp.reshape(W, (-1, shape[-1])))
        for few, cols in self._columns(x, window):
            out = self.xp.reshape(y[few, ...], (-1, shape[-1]))
            product = self.matmul(cols, kernels, out)
            if product is not out:
                out[...] = product
        return self._add_bias(y, b, relu)

    def conv_dx(self, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1) -> Array:
        """A few samples at a time."""
        if is_volume(dy) or groups > 1 or not self._fits(dy, W) or not 0 < math.prod(shape) < LIMIT:
            return super().conv_dx(dy, W, shape, window, groups)
        dx, kernels = self.empty(shape, self.dtype), self.operand(self.xp.reshape(W, (-1, W.shape[-1]))).T
        for few in batches(len(dy), math.prod(dy.shape[1:-1]) * kernels.shape[1]):
            part = dy[few, ...]
            cols = self.matmul(self.xp.reshape(part, (-1, W.shape[-1])), kernels)
            given = self._whole(cols), dx[few, ...]
            self._lines("col2im", len(part) * math.prod(shape[1:-2]), given, shape, window)
        return dx

    def conv_dw(self, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
        """A few samples at a time, summed; of one channel directly."""
        if is_volume(x) or groups > 1 or not self._fits(x, dy):
            return super().conv_dw(x, dy, window, groups)
        filters = dy.shape[-1]
        dW = self.empty((*window.kernel, x.shape[-1], filters), self.dtype)
        if direct(x, window):
            blocks = min(strips(dy.shape), 2 * self.processors)
            parts = self.empty((blocks, dW.size), self.dtype)
            self._one_channel("conv1_dw", blocks, (x, dy), dy.shape, window, parts)
            return self._down("column_sums", (parts,), blocks, dW.size, dW)
        total = None
        for few, cols in self._columns(x, window):
            part = self.matmul(cols.T, self.xp.reshape(dy[few, ...], (-1, filters)))
            total = part if total is None else total + part
        return self.xp.reshape(total, dW.shape)

    def _columns(self, x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
        """(samples, their im2col as a matrix), a few samples at a time."""
        per = math.prod(window.kernel) * x.shape[-1]
        for few in batches(len(x), math.prod(counts(x.shape, window)) * per):
            yield few, self.xp.reshape(self.im2col(x[few, ...], window), (-1, per))

    def _one_channel(
        self, name: str, blocks: int, given: tuple[Array, ...], shape: Any, window: Window, *out: Any
    ) -> None:
        """Launch with 32 filters across, on the windows over the images given[0] that make up an array of `shape`."""
        shape, window = image(shape), over_images(window)
        (top, _), (left, _) = window.pads
        numbers = shape[0], *image(given[0].shape)[1:3], *shape[1:3], top, left, shape[3]
        macros = {"KH": window.kernel[0], "KW": window.kernel[1]}
        whole = map(self._whole, given)
        self.launch(name, (blocks, -(-shape[3] // 32)), (*whole, *numbers, *out), **macros)

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """Value and tap in one pass."""
        shape = (len(x), *counts(x.shape, window), x.shape[-1])
        if is_volume(x) or not self._fits(x) or math.prod(window.kernel) > 256:
            return super().max_pool(x, window)
        y, tap = self.empty(shape, self.dtype), self.empty(shape, self.xp.uint8)
        self._lines("max_pool", math.prod(shape[:-2]), (self._whole(x), y, tap), x.shape, window)
        return y, tap

    def max_pool_grad(self, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
        """Each place gathers from the windows that chose it."""
        if (
            is_volume(dy)
            or not self._fits(dy)
            or tap.dtype != self.xp.uint8
            or not 0 < math.prod(shape) < LIMIT
        ):
            return super().max_pool_grad(dy, tap, shape, window)
        return self._gathered("max_pool_grad", shape, window, dy, tap)

    def sum_pool(self, x: Array, window: Window) -> Array:
        """Without the columns."""
        if is_volume(x) or not self._fits(x):
            return super().sum_pool(x, window)
        y = self.empty((len(x), *counts(x.shape, window), x.shape[-1]), self.dtype)
        self._lines("sum_pool", math.prod(y.shape[:-2]), (self._whole(x), y), x.shape, window)
        return y

    def sum_pool_grad(self, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
        """Each place gathers from the windows that it is in."""
        if is_volume(dy) or not self._fits(dy) or not 0 < math.prod(shape) < LIMIT:
            return super().sum_pool_grad(dy, shape, window)
        return self._gathered("sum_pool_grad", shape, window, dy)


def is_volume(x: Array) -> bool:
    """Samples with three axes of positions."""
    return bool(x.ndim > 4)


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
    """Images of one channel under whole windows, neighbours of one another, that are small enough."""
    plain = max(window.stride) == max(window.dilation) == 1
    return x.shape[-1] == 1 and plain and max(window.kernel) <= SIDE


def strips(shape: tuple[int, ...]) -> int:
    """Blocks that all strips of eight windows make, eight strips to a block."""
    n, rows, columns, _ = image(shape)
    return -(-n * rows * -(-columns // 8) // 8)


def batches(n: int, each: int) -> Iterator[slice]:
    """Slices of n samples whose columns, `each` numbers a sample, make up COLUMNS."""
    few = max(1, COLUMNS // each)
    return (slice(start, start + few) for start in range(0, n, few))
