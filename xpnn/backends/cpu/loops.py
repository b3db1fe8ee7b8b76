"""Loops compiled by numba: one pass over memory where NumPy's operations take several. Used by `fast`.

Each is the reference kernel of its name, element by element; `xpnn.kernels` holds the formulas. Compiled once and
cached on the disk by numba; they release the interpreter's lock and start no threads.
"""

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]


def compiled(f: Any, **options: Any) -> Any:
    """Compiled at the first call, and cached on the disk where a folder can be written."""
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", **options)(f)
    except (RuntimeError, OSError):
        return numba.njit(nogil=True, error_model="numpy", **options)(f)


@compiled
def mask(x: Array, keep: Array, out: Array) -> None:
    """out = x where keep, else 0. Every x is read, kept or not, which avoids a branch."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = x[i]
        out[i] = v if keep[i] else zero


@compiled
def scaled_mask(x: Array, keep: Array, scale: Any, out: Array) -> None:
    """out = scale x where keep, else 0, without a branch."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = scale * x[i]
        out[i] = v if keep[i] else zero


@compiled
def relu_grad(dy: Array, y: Array, out: Array) -> None:
    """out = dy where y > 0, else 0."""
    zero = dy.dtype.type(0)
    for i in range(dy.size):
        v = dy[i]
        out[i] = v if y[i] > 0 else zero


@compiled
def relu_grad_in_place(dy: Array, y: Array) -> None:
    """dy <- dy where y > 0, else 0. `relu_grad` with out = dy would take five times as long."""
    zero = dy.dtype.type(0)
    for i in range(dy.size):
        v = dy[i]
        dy[i] = v if y[i] > 0 else zero


@compiled
def add_bias_relu(y: Array, b: Array, by_row: bool) -> None:
    """y <- max(y + b, 0), where b has a number for each row or else for each column; NaN stays NaN.

    The compiler makes two loops from this: measured as fast as one function for each case, but for 0.07 us of a call.
    """
    zero = y.dtype.type(0)
    for i in range(y.shape[0]):
        for j in range(y.shape[1]):
            v = y[i, j] + (b[i] if by_row else b[j])
            y[i, j] = zero if v <= 0 else v


@compiled
def take_rescaled(x: Array, rows: Array, scale: Any, offset: Any, out: Array) -> None:
    """out = scale x[rows] + offset, of matrices."""
    for i in range(rows.size):
        row = x[rows[i]]
        for j in range(row.size):
            out[i, j] = scale * row[j] + offset


@compiled
def word(i: Any, step: Any, start: Any) -> Any:
    """mix(step i + start); numba widens every product and shift of 32-bit words to 64 bits."""
    x = np.uint32(np.uint32(i) * step + start)
    x ^= np.uint32(x >> np.uint32(16))
    x = np.uint32(np.uint32(x) * np.uint32(0x21F0AAAD))
    x = np.uint32(x ^ np.uint32(x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x735A2D97))
    return np.uint32(x ^ np.uint32(x >> np.uint32(15)))


@compiled
def keep(step: Any, start: Any, threshold: int, out: Array) -> None:
    """out = word >= threshold."""
    for i in range(out.size):
        out[i] = word(i, step, start) >= threshold


@compiled
def dropout(x: Array, step: Any, start: Any, threshold: Any, scale: Any, out: Array) -> None:
    """out = scale x where word >= threshold, else 0, without a branch."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        v = scale * x[i]
        out[i] = v if word(i, step, start) >= threshold else zero


@compiled
def bias_relu_dropout(y: Array, b: Array, step: Any, start: Any, threshold: Any, scale: Any) -> None:
    """y <- scale max(y + b, 0) where word >= threshold, else 0."""
    zero = y.dtype.type(0)
    for i in range(y.shape[0]):
        first = np.uint32(np.uint32(i * y.shape[1]) * step + start)
        for j in range(y.shape[1]):
            v = y[i, j] + b[j]
            v = scale * (zero if v <= 0 else v)
            y[i, j] = v if word(j, step, first) >= threshold else zero


@compiled
def relu_dropout_grad(dy: Array, y: Array, scale: Any) -> None:
    """dy <- scale dy where y > 0, else 0."""
    zero = dy.dtype.type(0)
    for i in range(dy.size):
        v = scale * dy[i]
        dy[i] = v if y[i] > 0 else zero


@compiled
def lstm_step_grad(
    dh: Array, dc: Array, c: Array, gates: Array, squashed: Array, dz: Array, dold: Array
) -> None:
    """Writes the gradients of the sums to dz and of the old c to dold."""
    n = c.shape[1]
    one = c.dtype.type(1)
    for row in range(c.shape[0]):
        i, f, g, o = gates[row, :n], gates[row, n : 2 * n], gates[row, 2 * n : 3 * n], gates[row, 3 * n :]
        di, df, dg, do = dz[row, :n], dz[row, n : 2 * n], dz[row, 2 * n : 3 * n], dz[row, 3 * n :]
        for k in range(n):
            s = squashed[row, k]
            d = dc[row, k] + dh[row, k] * o[k] * (one - s * s)
            di[k] = d * g[k] * i[k] * (one - i[k])
            df[k] = d * c[row, k] * f[k] * (one - f[k])
            dg[k] = d * i[k] * (one - g[k] * g[k])
            do[k] = dh[row, k] * s * o[k] * (one - o[k])
            dold[row, k] = d * f[k]


@compiled
def less_largest(z: Array, ids: Array, out: Array) -> Any:
    """out = z less the largest of its row; returns the sum of out[i, ids[i]].

    An id that does not exist has a one-hot row of zeros, as in the reference: here and below it adds nothing.
    """
    n, classes = z.shape
    chosen = z.dtype.type(0)
    for i in range(n):
        top = z[i, 0]
        for j in range(1, classes):
            top = max(top, z[i, j])
        for j in range(classes):
            out[i, j] = z[i, j] - top
        if 0 <= ids[i] < classes:
            chosen += out[i, ids[i]]
    return chosen


@compiled
def first_largest(shifted: Array, ids: Array) -> int:
    """In how many rows of what `less_largest` wrote the first 0, the largest, is at the id."""
    correct = 0
    for i in range(len(ids)):
        if 0 <= ids[i] < shifted.shape[1] and shifted[i, ids[i]] == 0:
            earlier = False
            for j in range(ids[i]):
                earlier |= shifted[i, j] == 0
            correct += not earlier
    return correct


@compiled
def softmax_less_one_hot(e: Array, ids: Array) -> Any:
    """(e / their sum - one_hot(ids)) / n, in place, row by row; returns the sum of the logarithms of those sums."""
    n, classes = e.shape
    one, total = e.dtype.type(1), e.dtype.type(0)
    for i in range(n):
        s = e.dtype.type(0)
        for j in range(classes):
            s += e[i, j]
        total += np.log(s)
        scale = one / (s * e.dtype.type(n))
        for j in range(classes):
            e[i, j] *= scale
        if 0 <= ids[i] < classes:
            e[i, ids[i]] -= one / e.dtype.type(n)
    return total


@compiled
def add_windows(cols: Array, out: Array, kernel: Any, stride: Any, start: Any, dilation: Any) -> None:
    """The adjoint of im2col: every column is added where it was copied from, in the order of the reference."""
    count, layers, rows, columns, _, channels = cols.shape
    _, depth, height, width, _ = out.shape
    for n in range(count):
        for t in range(kernel[0] * kernel[1] * kernel[2]):
            e, a, b = t // kernel[2] // kernel[1], t // kernel[2] % kernel[1], t % kernel[2]
            for h in range(layers):
                p = h * stride[0] + e * dilation[0] - start[0]
                if not 0 <= p < depth:
                    continue
                for i in range(rows):
                    r = i * stride[1] + a * dilation[1] - start[1]
                    if not 0 <= r < height:
                        continue
                    for j in range(columns):
                        q = j * stride[2] + b * dilation[2] - start[2]
                        if 0 <= q < width:
                            for c in range(channels):
                                out[n, p, r, q, c] += cols[n, h, i, j, t, c]


@compiled
def max_pool(x: Array, y: Array, tap: Array, kernel: Any, stride: Any, start: Any, dilation: Any) -> None:
    """y: the maximum of each window, or NaN if it has one; tap: its first position, never padding."""
    count, height, width, channels = x.shape
    _, rows, columns, _ = y.shape
    for n in range(count):
        for i in range(rows):
            for j in range(columns):
                found = False
                for a in range(kernel[0]):
                    r = i * stride[0] + a * dilation[0] - start[0]
                    for b in range(kernel[1]):
                        q = j * stride[1] + b * dilation[1] - start[1]
                        if not (0 <= r < height and 0 <= q < width):
                            continue
                        t = a * kernel[1] + b
                        for c in range(channels):
                            v, top = x[n, r, q, c], y[n, i, j, c]
                            larger = not found or v > top or (v != v and top == top)
                            y[n, i, j, c] = v if larger else top
                            tap[n, i, j, c] = t if larger else tap[n, i, j, c]
                        found = True


@compiled
def max_pool_grad(
    dy: Array, tap: Array, dx: Array, width: int, stride: Any, start: Any, dilation: Any
) -> None:
    """Every dy is added where its window has its maximum; width: of the kernel."""
    count, rows, columns, channels = dy.shape
    for n in range(count):
        for i in range(rows):
            for j in range(columns):
                for c in range(channels):
                    t = tap[n, i, j, c]
                    r = i * stride[0] + t // width * dilation[0] - start[0]
                    q = j * stride[1] + t % width * dilation[1] - start[1]
                    if 0 <= r < dx.shape[1] and 0 <= q < dx.shape[2]:
                        dx[n, r, q, c] += dy[n, i, j, c]


@compiled
def max_pool_grad_apart(dy: Array, tap: Array, dx: Array, kernel: Any) -> None:
    """`max_pool_grad` for windows that do not overlap: every pixel of a window is written once."""
    count, rows, columns, channels = dy.shape
    zero = dy.dtype.type(0)
    for n in range(count):
        for i in range(rows):
            for j in range(columns):
                for t in range(kernel[0] * kernel[1]):
                    out = dx[n, i * kernel[0] + t // kernel[1], j * kernel[1] + t % kernel[1]]
                    for c in range(channels):
                        v = dy[n, i, j, c]
                        out[c] = v if tap[n, i, j, c] == t else zero


@compiled
def column_products(a: Array, b: Array, shift: Array, out: Array, rows: int) -> None:
    """out = the sums down the columns of (a - shift) (b - shift), `rows` rows at a time, so that digits are kept."""
    part = np.zeros_like(out)
    out[:] = 0
    for i in range(len(a)):
        x, y = a[i], b[i]
        for j in range(len(out)):
            part[j] += (x[j] - shift[j]) * (y[j] - shift[j])
        if i % rows == rows - 1 or i == len(a) - 1:
            for j in range(len(out)):
                out[j] += part[j]
                part[j] = 0


@compiled
def normalize(
    x: Array, mean: Array, r: Array, gain: Array, bias: Array, relu: bool, n: Array, y: Array
) -> None:
    """n = (x - mean) r and y = gain n + bias, or with relu the larger of that and 0."""
    for i in range(len(x)):
        row, unit, out = x[i], n[i], y[i]
        for j in range(len(mean)):
            v = (row[j] - mean[j]) * r[j]
            unit[j] = v
            w = v * gain[j] + bias[j]
            out[j] = 0 if relu and w <= 0 else w


@compiled
def normalize_grad(dy: Array, n: Array, scale: Array, bias: Array, gain: Array, dx: Array) -> None:
    """dx = scale (dy - bias - gain n)."""
    for i in range(len(dy)):
        row, unit, out = dy[i], n[i], dx[i]
        for j in range(len(scale)):
            out[j] = scale[j] * (row[j] - bias[j] - gain[j] * unit[j])
