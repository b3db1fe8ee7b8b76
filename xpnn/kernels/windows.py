"""What slides windows over sequences, images and volumes: columns, convolution, pooling.

Arrays are (N, positions..., C) with one, two or three axes of positions; a `Window` says where each window begins.
"""

import math
from typing import Any

from xpnn.kernels.base import Array, Backend
from xpnn.window import Pair, Window, interior, padded_shape, taps


def pad(be: Backend, x: Array, pads: tuple[Pair, ...], fill: float = 0.0) -> Array:
    """x (N, ...) with `fill` around it: (before, after) for each of the axes behind the first, as many as given."""
    for axis, ends in enumerate(pads, 1):
        shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in ends]
        before, after = (be.xp.full(shape, fill, dtype=x.dtype, device=be.device) for shape in shapes)
        x = be.xp.concat([before, x, after], axis=axis) if any(ends) else x
    return x


def im2col(be: Backend, x: Array, window: Window, fill: float = 0.0) -> Array:
    """The windows of x (N, positions..., C), side by side: (N, counts..., taps, C). Padding is `fill`."""
    padded = be.pad(x, window.pads, fill)
    return be.xp.stack([padded[:, *at, :] for at in taps(x.shape, window)], axis=x.ndim - 1)


def col2im(be: Backend, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
    """The adjoint of im2col: every value of `cols` added to the place in (N, positions..., C) that it came from."""
    whole = padded_shape(shape, window)
    total = be.xp.zeros(whole, dtype=cols.dtype, device=be.device)
    for t, at in enumerate(taps(shape, window)):
        part = _spread(be, cols[..., t, :], window.stride)
        ends = tuple((one.start, n - one.stop) for one, n in zip(at, whole[1:-1], strict=True))
        total = total + be.pad(part, ends)
    return total[:, *interior(shape, window), :]


def _spread(be: Backend, x: Array, stride: tuple[int, ...]) -> Array:
    """x (N, positions..., C) with stride - 1 zeros between neighbours."""
    for axis, s in enumerate(stride, 1):
        if s > 1:
            gaps = [be.xp.zeros_like(x)] * (s - 1)
            wide = be.xp.stack([x, *gaps], axis=axis + 1)
            n = x.shape[axis]
            wide = be.xp.reshape(wide, (*x.shape[:axis], n * s, *x.shape[axis + 1 :]))
            x = wide[*(slice(None),) * axis, : (n - 1) * s + 1, ...]
    return x


def _by_group(be: Backend, x: Array, groups: int) -> Array:
    """(..., a, c) to (groups, rows, a c / groups): the channels of each group, all taps together."""
    rows, a, c = math.prod(x.shape[:-2]), x.shape[-2], x.shape[-1]
    split = be.xp.reshape(x, (rows, a, groups, c // groups))
    return be.xp.reshape(be.xp.permute_dims(split, (2, 0, 1, 3)), (groups, rows, a * c // groups))


def conv(
    be: Backend, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
) -> Array:
    """y = im2col(x) W + b.

    x (N, positions..., c_in), W (kernel..., c_in / groups, filters), y (N, counts..., filters). relu: max(y, 0)
    instead.
    """
    xp, cols = be.xp, be.im2col(x, window)
    per, filters = math.prod(W.shape[:-1]), W.shape[-1]
    kernels = _by_group(be, xp.reshape(W, (per, 1, filters)), groups)
    y = xp.permute_dims(be.matmul(_by_group(be, cols, groups), kernels), (1, 0, 2))
    return be.add_bias(xp.reshape(y, (*cols.shape[:-2], filters)), b, relu)


def conv_dx(
    be: Backend, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
) -> Array:
    """dx = col2im(dy W^T), of that shape: the adjoint of conv in x."""
    xp, per = be.xp, math.prod(W.shape[:-1])
    kernels = _by_group(be, xp.reshape(W, (per, 1, W.shape[-1])), groups)
    drows = _by_group(be, xp.expand_dims(dy, axis=dy.ndim - 1), groups)
    rows = be.matmul(drows, xp.matrix_transpose(kernels))
    n = math.prod(window.kernel)
    cols = xp.permute_dims(xp.reshape(rows, (groups, rows.shape[1], n, W.shape[-2])), (1, 2, 0, 3))
    return be.col2im(xp.reshape(cols, (*dy.shape[:-1], n, shape[-1])), shape, window)


def conv_dw(be: Backend, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
    """dW = im2col(x)^T dy, of shape (kernel..., c_in / groups, filters): the adjoint of conv in W."""
    xp, filters = be.xp, dy.shape[-1]
    rows = _by_group(be, be.im2col(x, window), groups)
    drows = _by_group(be, xp.expand_dims(dy, axis=dy.ndim - 1), groups)
    dW = be.matmul(xp.matrix_transpose(rows), drows)
    return xp.reshape(xp.permute_dims(dW, (1, 0, 2)), (*window.kernel, x.shape[-1] // groups, filters))


def conv_relu_max_pool(
    be: Backend, x: Array, W: Array, b: Array | None, window: Window, groups: int, pool: Window
) -> tuple[Array, Array]:
    """max(y, 0) and the taps, for (y, taps) = max_pool(conv(x)): the largest of ReLUs is the ReLU of the largest.

    Where y > 0 the tap is that of the ReLUs, and elsewhere no gradient goes back.
    """
    y, tap = be.max_pool(be.conv(x, W, b, window, groups), pool)
    return be.relu(y), tap


def max_pool(be: Backend, x: Array, window: Window) -> tuple[Array, Array]:
    """The largest value of each window, and the first tap that holds it, as bytes where they can count so far.

    NaN counts as the largest. A pad is never chosen, not even beside -inf.
    """
    xp, cols = be.xp, be.im2col(x, window, -math.inf)
    axis = cols.ndim - 2
    y = xp.max(cols, axis=axis)
    inside = be.im2col(xp.ones_like(x[:1, ..., :1]), window) > 0
    top = xp.expand_dims(y, axis=axis)
    chosen = ((cols == top) | ((cols != cols) & (top != top))) & inside
    return y, xp.astype(xp.argmax(xp.astype(chosen, xp.int8), axis=axis), tap_dtype(be, window))


def tap_dtype(be: Backend, window: Window) -> Any:
    """Of the numbers of a window's taps: 0, 1, ..., from the first corner on, the last axis fastest."""
    return be.xp.uint8 if math.prod(window.kernel) <= 256 else be.xp.int64


def max_pool_grad(be: Backend, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
    """dx: each dy, added where its window found the maximum."""
    xp, n, axis = be.xp, math.prod(window.kernel), dy.ndim - 1
    which = xp.astype(xp.reshape(be.arange(n), (n, 1)), tap.dtype)
    hit = xp.expand_dims(tap, axis=axis) == which
    cols = be.mask(xp.broadcast_to(xp.expand_dims(dy, axis=axis), hit.shape), hit)
    return be.col2im(cols, shape, window)


def sum_pool(be: Backend, x: Array, window: Window) -> Array:
    """The sum of each window."""
    return be.xp.sum(be.im2col(x, window), axis=x.ndim - 1)


def sum_pool_grad(be: Backend, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
    """dx: each dy, added to every place in its window. The adjoint of sum_pool."""
    many = (*dy.shape[:-1], math.prod(window.kernel), dy.shape[-1])
    cols = be.xp.broadcast_to(be.xp.expand_dims(dy, axis=dy.ndim - 1), many)
    return be.col2im(cols, shape, window)
