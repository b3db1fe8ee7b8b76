"""ONNX's operations over images and sequences in NumPy, as `operations` has the others."""

import math
from typing import Any

import numpy as np


def pad(x: Any, ends: Any, value: Any = 0.0, mode: Any = "constant") -> Any:
    """More around it: a number, the edge, what is inside backwards, or from the other end on."""
    more = {"constant_values": float(value)} if mode == "constant" else {}
    return np.pad(x, list(zip(ends[: x.ndim], ends[x.ndim :], strict=True)), mode, **more)


def resize(x: Any, scales: Any) -> Any:
    """Each pixel becomes a block."""
    for axis, n in enumerate(scales):
        x = np.repeat(x, int(n), axis)
    return x


def windows(x: Any, kernel_shape: Any, strides: Any, pads: Any, dilations: Any, filler: Any) -> Any:
    """(N, C, positions..., taps...) of x (N, C, ...), padded with the filler."""
    r = len(kernel_shape)
    x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:r], pads[r:], strict=True)], constant_values=filler)
    spans = [(k - 1) * d + 1 for k, d in zip(kernel_shape, dilations, strict=True)]
    views = np.lib.stride_tricks.sliding_window_view(x, spans, tuple(range(2, 2 + r)))
    steps = [slice(None, None, s) for s in strides]
    return views[(slice(None), slice(None), *steps, *(slice(None, None, d) for d in dilations))]


def conv(
    x: Any, W: Any, b: Any, kernel_shape: Any, strides: Any, pads: Any, dilations: Any, group: Any
) -> Any:
    """The cross-correlation of x (N, C, ...) with the kernels W (filters, C / group, ...)."""
    r = len(kernel_shape)
    taken = windows(x, kernel_shape, strides, pads, dilations, 0)
    n, c, filters = x.shape[0], x.shape[1] // group, W.shape[0] // group
    places = taken.shape[2 : 2 + r]
    parts = []
    for g in range(group):
        rows = np.moveaxis(taken[:, g * c : (g + 1) * c], 1, 1 + r).reshape(n, math.prod(places), -1)
        y = rows @ W[g * filters : (g + 1) * filters].reshape(filters, -1).T
        parts.append(np.moveaxis(y, 2, 1).reshape(n, filters, *places))
    return np.concatenate(parts, 1) + b.reshape(-1, *[1] * r)


def conv_transpose(
    x: Any,
    W: Any,
    b: Any,
    kernel_shape: Any,
    strides: Any,
    pads: Any,
    dilations: Any,
    group: Any,
    output_padding: Any,
) -> Any:
    """The transposed convolution of x (N, C, ...) with W (C, filters / group, ...)."""
    r = len(kernel_shape)
    n, c, filters = x.shape[0], x.shape[1] // group, W.shape[1]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel_shape, dilations, strict=True)]
    sizes = [
        (m - 1) * s + e + o for m, s, e, o in zip(x.shape[2:], strides, spans, output_padding, strict=True)
    ]
    y = np.zeros((n, filters * group, *sizes), x.dtype)
    for g in range(group):
        part = x[:, g * c : (g + 1) * c]
        for tap in np.ndindex(*kernel_shape):
            kernel = W[(slice(g * c, (g + 1) * c), slice(None), *tap)]
            to = [
                slice(t * d, t * d + (m - 1) * s + 1, s)
                for t, d, m, s in zip(tap, dilations, x.shape[2:], strides, strict=True)
            ]
            place = (slice(None), slice(g * filters, (g + 1) * filters), *to)
            y[place] += np.einsum("nc...,cf->nf...", part, kernel)
    kept = [slice(p, m - q) for p, q, m in zip(pads[:r], pads[r:], sizes, strict=True)]
    return y[(slice(None), slice(None), *kept)] + b.reshape(-1, *[1] * r)


def max_pool(x: Any, kernel_shape: Any, strides: Any, pads: Any, dilations: Any = None) -> Any:
    """The largest of each window."""
    r = len(kernel_shape)
    taken = windows(x, kernel_shape, strides, pads, dilations or [1] * r, -np.inf)
    return taken.max(tuple(range(2 + r, 2 + 2 * r)))


def average_pool(
    x: Any,
    kernel_shape: Any,
    strides: Any,
    pads: Any,
    dilations: Any = None,
    count_include_pad: Any = 0,
    ceil_mode: Any = 0,
) -> Any:
    """The mean of each window, pads left out or counted as zeros; what is beyond them never counts."""
    r, real = len(kernel_shape), np.ones_like(x[:1, :1])
    d = dilations or [1] * r
    if count_include_pad:
        ends = [(0, 0), (0, 0), *zip(pads[:r], pads[r:], strict=True)]
        x, real, pads = np.pad(x, ends), np.pad(real, ends, constant_values=1), [0] * (2 * r)
    if ceil_mode:
        pads = list(pads)
        for i in range(r):
            room = x.shape[2 + i] + pads[i] + pads[r + i] - (kernel_shape[i] - 1) * d[i] - 1
            pads[r + i] += -room % strides[i]
    axes = tuple(range(2 + r, 2 + 2 * r))
    total = windows(x, kernel_shape, strides, pads, d, 0).sum(axes)
    return total / windows(real, kernel_shape, strides, pads, d, 0).sum(axes)


def lrn(x: Any, alpha: Any, beta: Any, bias: Any, size: Any) -> Any:
    """x over a power of the sum of its neighbours' squares, from channel to channel."""
    squares = np.pad(x * x, [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (bias + alpha / size * total) ** beta
