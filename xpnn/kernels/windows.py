"""What slides windows over images: columns, convolution, pooling."""

import math
from typing import Any

from xpnn.kernels.base import Array, Backend
from xpnn.window import Window, taps


def pad2d(be: Backend, x: Array, pads: tuple[tuple[int, int], tuple[int, int]], fill: float = 0.0) -> Array:
    """x (N, H, W, C) with rows and columns of `fill` around it: ((top, bottom), (left, right))."""
    for axis, ends in enumerate(pads, 1):
        shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in ends]
        top, bottom = (be.xp.full(shape, fill, dtype=x.dtype, device=be.device) for shape in shapes)
        x = be.xp.concat([top, x, bottom], axis=axis) if any(ends) else x
    return x


def im2col(be: Backend, x: Array, window: Window, fill: float = 0.0) -> Array:
    """The windows of x (N, H, W, C), side by side: (N, rows, columns, taps, C). Padding is `fill`."""
    padded = be.pad2d(x, window.pads, fill)
    return be.xp.stack([padded[:, i, j, :] for i, j in taps(x.shape, window)], axis=3)


def col2im(be: Backend, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
    """The adjoint of im2col: every value of `cols` added to the place in (N, H, W, C) that it came from."""
    (top, bottom), (left, right) = window.pads
    height, width = shape[1] + top + bottom, shape[2] + left + right
    total = be.xp.zeros((shape[0], height, width, shape[3]), dtype=cols.dtype, device=be.device)
    for t, (i, j) in enumerate(taps(shape, window)):
        part = _spread(be, cols[:, :, :, t, :], window.stride)
        total = total + be.pad2d(part, ((i.start, height - i.stop), (j.start, width - j.stop)))
    return total[:, top : height - bottom, left : width - right, :]


def _spread(be: Backend, x: Array, stride: tuple[int, int]) -> Array:
    """x (N, H, W, C) with stride - 1 zeros between neighbours."""
    for axis, s in enumerate(stride, 1):
        if s > 1:
            gaps = [be.xp.zeros_like(x)] * (s - 1)
            wide = be.xp.stack([x, *gaps], axis=axis + 1)
            n = x.shape[axis]
            wide = be.xp.reshape(wide, (*x.shape[:axis], n * s, *x.shape[axis + 1 :]))
            x = wide[:, : (n - 1) * s + 1, :, :] if axis == 1 else wide[:, :, : (n - 1) * s + 1, :]
    return x


def _by_group(be: Backend, x: Array, groups: int) -> Array:
    """(..., a, c) to (groups, rows, a c / groups): the channels of each group, all taps together."""
    rows, a, c = math.prod(x.shape[:-2]), x.shape[-2], x.shape[-1]
    split = be.xp.reshape(x, (rows, a, groups, c // groups))
    return be.xp.reshape(be.xp.permute_dims(split, (2, 0, 1, 3)), (groups, rows, a * c // groups))


def conv2d(
    be: Backend, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
) -> Array:
    """y = im2col(x) W + b. x (N, H, W, c_in), W (kh, kw, c_in / groups, filters), y (N, rows, columns, filters).

    relu: max(y, 0) instead.
    """
    xp, cols = be.xp, be.im2col(x, window)
    per, filters = math.prod(W.shape[:3]), W.shape[3]
    kernels = _by_group(be, xp.reshape(W, (per, 1, filters)), groups)
    y = xp.permute_dims(be.matmul(_by_group(be, cols, groups), kernels), (1, 0, 2))
    return be.add_bias(xp.reshape(y, (*cols.shape[:3], filters)), b, relu)


def conv2d_dx(
    be: Backend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """dx = col2im(dy W^T), of that shape: the adjoint of conv2d in x."""
    xp, per = be.xp, math.prod(W.shape[:3])
    kernels = _by_group(be, xp.reshape(W, (per, 1, W.shape[3])), groups)
    drows = _by_group(be, xp.expand_dims(dy, axis=3), groups)
    rows = be.matmul(drows, xp.matrix_transpose(kernels))
    n = W.shape[0] * W.shape[1]
    cols = xp.permute_dims(xp.reshape(rows, (groups, rows.shape[1], n, W.shape[2])), (1, 2, 0, 3))
    return be.col2im(xp.reshape(cols, (*dy.shape[:3], n, shape[3])), shape, window)


def conv2d_dw(be: Backend, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
    """dW = im2col(x)^T dy, of shape (kh, kw, c_in / groups, filters): the adjoint of conv2d in W."""
    xp, filters = be.xp, dy.shape[3]
    rows = _by_group(be, be.im2col(x, window), groups)
    drows = _by_group(be, xp.expand_dims(dy, axis=3), groups)
    dW = be.matmul(xp.matrix_transpose(rows), drows)
    return xp.reshape(xp.permute_dims(dW, (1, 0, 2)), (*window.kernel, x.shape[3] // groups, filters))


def max_pool(be: Backend, x: Array, window: Window) -> tuple[Array, Array]:
    """The largest value of each window, and the first tap that holds it, as bytes where they can count so far.

    NaN counts as the largest. A pad is never chosen, not even beside -inf.
    """
    xp, cols = be.xp, be.im2col(x, window, -math.inf)
    y = xp.max(cols, axis=3)
    inside = be.im2col(xp.ones_like(x[:1, :, :, :1]), window) > 0
    top = xp.expand_dims(y, axis=3)
    chosen = ((cols == top) | ((cols != cols) & (top != top))) & inside
    return y, xp.astype(xp.argmax(xp.astype(chosen, xp.int8), axis=3), tap_dtype(be, window))


def tap_dtype(be: Backend, window: Window) -> Any:
    """Of the numbers of a window's taps: 0, 1, ..., from the top left on, row by row."""
    return be.xp.uint8 if math.prod(window.kernel) <= 256 else be.xp.int64


def max_pool_grad(be: Backend, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
    """dx: each dy, added where its window found the maximum."""
    xp, n = be.xp, window.kernel[0] * window.kernel[1]
    which = xp.astype(xp.reshape(be.arange(n), (n, 1)), tap.dtype)
    hit = xp.expand_dims(tap, axis=3) == which
    cols = be.mask(xp.broadcast_to(xp.expand_dims(dy, axis=3), hit.shape), hit)
    return be.col2im(cols, shape, window)


def sum_pool(be: Backend, x: Array, window: Window) -> Array:
    """The sum of each window."""
    return be.xp.sum(be.im2col(x, window), axis=3)


def sum_pool_grad(be: Backend, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
    """dx: each dy, added to every place in its window. The adjoint of sum_pool."""
    many = (*dy.shape[:3], window.kernel[0] * window.kernel[1], dy.shape[3])
    cols = be.xp.broadcast_to(be.xp.expand_dims(dy, axis=3), many)
    return be.col2im(cols, shape, window)
