"""Loops compiled by numba: one pass over memory where NumPy's operations take several. Used by `numpy_fast`.

Each is the reference kernel of its name, element by element; `xpnn.kernels` holds the formulas. Compiled once and
cached on the disk by numba; they release the interpreter's lock and start no threads.
"""

from typing import Any

import numba
import numpy as np

Array = np.ndarray[Any, Any]


def compiled(f: Any) -> Any:
    """Compiled at its first call; kept on the disk, unless there is no folder that can be written."""
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(f)
    except (RuntimeError, OSError):
        return numba.njit(nogil=True, error_model="numpy")(f)


@compiled
def mask(x: Array, keep: Array, out: Array) -> None:
    """out = x where keep, else 0."""
    for i in range(x.size):
        out[i] = x[i] if keep[i] else 0


@compiled
def relu_grad(dy: Array, y: Array, out: Array) -> None:
    """out = dy where y > 0, else 0."""
    for i in range(dy.size):
        out[i] = dy[i] if y[i] > 0 else 0


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
def softmax_cross_entropy(z: Array, ids: Array, dz: Array) -> Any:
    """The mean loss; its gradient goes into dz."""
    n, classes = z.shape
    one, total = z.dtype.type(1), z.dtype.type(0)
    for i in range(n):
        top = z[i, 0]
        for j in range(1, classes):
            top = max(top, z[i, j])
        s = z.dtype.type(0)
        for j in range(classes):
            e = np.exp(z[i, j] - top)
            dz[i, j] = e
            s += e
        known = 0 <= ids[i] < classes  # any other id has a one-hot row of zeros, as in the reference
        total += np.log(s) - (z[i, ids[i]] - top if known else 0)
        scale = one / (s * z.dtype.type(n))
        for j in range(classes):
            dz[i, j] *= scale
        if known:
            dz[i, ids[i]] -= one / z.dtype.type(n)
    return total / z.dtype.type(n)


@compiled
def add_windows(cols: Array, out: Array, kernel: Any, stride: Any, start: Any, dilation: Any) -> None:
    """The adjoint: every column is added where it came from, tap after tap, as the reference adds them."""
    count, rows, columns, _, channels = cols.shape
    _, height, width, _ = out.shape
    for n in range(count):
        for a in range(kernel[0]):
            for b in range(kernel[1]):
                for i in range(rows):
                    r = i * stride[0] + a * dilation[0] - start[0]
                    if not 0 <= r < height:
                        continue
                    for j in range(columns):
                        q = j * stride[1] + b * dilation[1] - start[1]
                        if 0 <= q < width:
                            for c in range(channels):
                                out[n, r, q, c] += cols[n, i, j, a * kernel[1] + b, c]


@compiled
def max_pool(x: Array, y: Array, tap: Array, kernel: Any, stride: Any, start: Any, dilation: Any) -> None:
    """y: the largest value of each window, NaN above all; tap: the first place that holds it, never a pad."""
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
    """Every dy is added where its window found the maximum; `width` is that of the kernel."""
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
