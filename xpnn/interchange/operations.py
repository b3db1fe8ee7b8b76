"""ONNX's operations in NumPy, as far as `interchange.table` uses them: what an exported Python file is made of.

The text of each function is copied into the file, with those that it NEEDS; `np` and `math` are all they may use.
"""

import math
from typing import Any

import numpy as np


def identity(x: Any) -> Any:
    """x."""
    return x


def cast(x: Any, to: Any) -> Any:
    """x in another type."""
    return x.astype({1: np.float32, 7: np.int64, 9: np.bool_}[to])


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return np.maximum(x, 0)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return np.where(x >= 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def softplus(x: Any) -> Any:
    """log(1 + e^x)."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def softsign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return x / (1 + np.abs(x))


def leaky_relu(x: Any, alpha: Any) -> Any:
    """x above 0, alpha x below."""
    return np.where(x > 0, x, alpha * x)


def prelu(x: Any, slope: Any) -> Any:
    """x above 0, slope x below."""
    return np.where(x > 0, x, slope * x)


def elu(x: Any, alpha: Any) -> Any:
    """x above 0, alpha (e^x - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def celu(x: Any, alpha: Any) -> Any:
    """x above 0, alpha (e^(x / alpha) - 1) below."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha))


def selu(x: Any) -> Any:
    """A scaled ELU with the constants of Klambauer et al. (2017)."""
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


def erf(x: Any) -> Any:
    """The error function."""
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def gelu(x: Any, approximate: Any) -> Any:
    """x times the distribution function of N(0, 1), or its approximation by tanh."""
    if approximate == "tanh":
        return x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))) / 2
    return x * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x * 0.7071067811865476)) / 2


def mish(x: Any) -> Any:
    """x tanh(softplus(x))."""
    return x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def hard_sigmoid(x: Any, alpha: Any, beta: Any) -> Any:
    """alpha x + beta, held between 0 and 1."""
    return np.clip(alpha * x + beta, 0, 1)


def hard_swish(x: Any) -> Any:
    """x (x / 6 + 1/2), the second held between 0 and 1."""
    return x * np.clip(x / 6 + 0.5, 0, 1)


def clip(x: Any, low: Any, high: Any) -> Any:
    """x held between low and high."""
    return np.clip(x, low, high)


def softmax(x: Any, axis: Any) -> Any:
    """e^x / sum of e^x."""
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: Any, axis: Any) -> Any:
    """x - log sum of e^x."""
    z = x - x.max(axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis, keepdims=True))


def gemm(x: Any, W: Any, b: Any) -> Any:
    """x W + b."""
    return x @ W + b


def reduce_mean(x: Any, axes: Any, keepdims: Any = 1) -> Any:
    """The mean over some axes."""
    return x.mean(tuple(axes), keepdims=bool(keepdims))


def reduce_max(x: Any, axes: Any, keepdims: Any = 1) -> Any:
    """The largest over some axes."""
    return x.max(tuple(axes), keepdims=bool(keepdims))


def reshape(x: Any, sizes: Any) -> Any:
    """The same numbers in another shape; 0 keeps a size."""
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(sizes)])


def transpose(x: Any, perm: Any) -> Any:
    """Axes in another order."""
    return x.transpose(perm)


def concat(*parts: Any, axis: Any) -> Any:
    """Side by side."""
    return np.concatenate(parts, axis)


def split(x: Any, axis: Any, num_outputs: Any) -> Any:
    """Equal parts."""
    return np.split(x, num_outputs, axis)


def total(*parts: Any) -> Any:
    """The sum of all."""
    return sum(parts[1:], start=parts[0])


def mean(*parts: Any) -> Any:
    """The mean of all."""
    return sum(parts[1:], start=parts[0]) / len(parts)


def unsqueeze(x: Any, axes: Any) -> Any:
    """With axes of 1."""
    return np.expand_dims(x, tuple(axes))


def expand(x: Any, sizes: Any) -> Any:
    """Repeated to a shape."""
    return np.broadcast_to(np.float32(x), tuple(int(n) for n in sizes))


def shape(x: Any, start: Any, end: Any) -> Any:
    """Some of the sizes."""
    return np.array(x.shape[start:end])


def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y."""
    return np.where(condition, x, y)


def gather(table: Any, ids: Any) -> Any:
    """Rows of a table."""
    return table[ids]


def pad(x: Any, ends: Any) -> Any:
    """Zeros around it."""
    return np.pad(x, list(zip(ends[: x.ndim], ends[x.ndim :], strict=True)))


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


def max_pool(x: Any, kernel_shape: Any, strides: Any, pads: Any) -> Any:
    """The largest of each window."""
    r = len(kernel_shape)
    taken = windows(x, kernel_shape, strides, pads, [1] * r, -np.inf)
    return taken.max(tuple(range(2 + r, 2 + 2 * r)))


def average_pool(x: Any, kernel_shape: Any, strides: Any, pads: Any) -> Any:
    """The mean of each window, pads left out."""
    r = len(kernel_shape)
    axes = tuple(range(2 + r, 2 + 2 * r))
    taken = windows(x, kernel_shape, strides, pads, [1] * r, 0)
    real = windows(np.ones_like(x[:1, :1]), kernel_shape, strides, pads, [1] * r, 0)
    return taken.sum(axes) / real.sum(axes)


def layer_normalization(x: Any, gain: Any, bias: Any, axis: Any, epsilon: Any) -> Any:
    """Mean 0 and variance 1 on the last axis, then gain and bias."""
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + epsilon) * gain + bias


def instance_normalization(x: Any, gain: Any, bias: Any, epsilon: Any) -> Any:
    """Mean 0 and variance 1 over the positions, then gain and bias."""
    axes = tuple(range(2, x.ndim))
    d = x - x.mean(axes, keepdims=True)
    n = d / np.sqrt((d * d).mean(axes, keepdims=True) + epsilon)
    return n * gain.reshape(-1, *[1] * len(axes)) + bias.reshape(-1, *[1] * len(axes))


def directions(step: Any, x: Any, W: Any, R: Any, B: Any, hidden_size: Any) -> Any:
    """All states (time, directions, N, units) and the last (directions, N, units) of a step."""
    every, ends = [], []
    for i in range(len(W)):
        steps = range(len(x)) if i == 0 else range(len(x))[::-1]
        b = B[i][: len(B[i]) // 2], B[i][len(B[i]) // 2 :]
        h = c = np.zeros((x.shape[1], hidden_size), x.dtype)
        states = [None] * len(x)
        for t in steps:
            h, c = step(x[t] @ W[i].T + b[0], h @ R[i].T + b[1], h, c)
            states[t] = h
        every.append(states)
        ends.append(h)
    return np.moveaxis(np.array(every), 0, 1), np.array(ends)


def lstm(x: Any, W: Any, R: Any, B: Any, hidden_size: Any, direction: Any) -> Any:
    """Gates in ONNX's order i, o, f, c."""

    def step(a: Any, u: Any, h: Any, c: Any) -> Any:
        """One step."""
        i, o, f, g = np.split(a + u, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    return directions(step, x, W, R, B, hidden_size)


def gru(x: Any, W: Any, R: Any, B: Any, hidden_size: Any, direction: Any, linear_before_reset: Any) -> Any:
    """Gates in ONNX's order z, r, h."""

    def step(a: Any, u: Any, h: Any, c: Any) -> Any:
        """One step."""
        (az, ar, an), (uz, ur, un) = np.split(a, 3, -1), np.split(u, 3, -1)
        z, n = sigmoid(az + uz), np.tanh(an + sigmoid(ar + ur) * un)
        return (1 - z) * n + z * h, c

    return directions(step, x, W, R, B, hidden_size)


def rnn(x: Any, W: Any, R: Any, B: Any, hidden_size: Any, direction: Any) -> Any:
    """tanh(x W + h R + b)."""
    return directions(lambda a, u, h, c: (np.tanh(a + u), c), x, W, R, B, hidden_size)


def scan(step: Any, states: Any, inputs: Any, reverse: Any) -> Any:
    """The states after the last step, and what each step gave beside them."""
    times = range(len(inputs[0]))
    given = [None] * len(inputs[0])
    for t in times[::-1] if reverse else times:
        *states, given[t] = step(*states, *(a[t] for a in inputs))
    return (*states, np.array(given))


NEEDS = {
    "conv": ["windows"],
    "max_pool": ["windows"],
    "average_pool": ["windows"],
    "lstm": ["sigmoid", "directions"],
    "gru": ["sigmoid", "directions"],
    "rnn": ["directions"],
}
"""What else a function calls."""
