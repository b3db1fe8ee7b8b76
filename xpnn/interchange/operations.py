"""ONNX's operations in NumPy, as far as `interchange.table` uses them: what an exported Python file is made of.

The text of each function is copied into the file, with those that it NEEDS; `np` and `math` are all they may use.
"""

import math
from typing import Any

import numpy as np


def identity(x: Any) -> Any:
    """x itself."""
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


def reduce_sum(x: Any, axes: Any, keepdims: Any = 1) -> Any:
    """The sum over some axes."""
    return x.sum(tuple(axes), keepdims=bool(keepdims))


def hardmax(x: Any, axis: Any) -> Any:
    """1 for the first of the largest, else 0."""
    places = np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return (places == np.expand_dims(x.argmax(axis), axis)).astype(x.dtype)


def slice(x: Any, start: Any, stop: Any, axis: Any, step: Any) -> Any:
    """Some places of one axis."""
    last = stop[0] if stop[0] >= 0 else None
    return np.moveaxis(np.moveaxis(x, axis[0], 0)[start[0] : last : step[0]], 0, axis[0])


def reshape(x: Any, sizes: Any) -> Any:
    """The same numbers in another shape; 0 keeps a size."""
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(sizes)])


def transpose(x: Any, perm: Any) -> Any:
    """Axes in another order."""
    return x.transpose(perm)


def concat(*parts: Any, axis: Any) -> Any:
    """Concatenate along an axis."""
    return np.concatenate(parts, axis)


def split(x: Any, axis: Any, num_outputs: Any) -> Any:
    """Split into equal parts along an axis."""
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


def squeeze(x: Any, axes: Any) -> Any:
    """Without axes of 1."""
    return np.squeeze(x, tuple(axes))


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


def layer_normalization(x: Any, gain: Any, bias: Any = 0.0, *, axis: Any, epsilon: Any) -> Any:
    """Mean 0 and variance 1 on the last axis, then gain and bias."""
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + epsilon) * gain + bias


def instance_normalization(x: Any, gain: Any, bias: Any, epsilon: Any) -> Any:
    """Mean 0 and variance 1 over the positions, then gain and bias."""
    axes = tuple(range(2, x.ndim))
    d = x - x.mean(axes, keepdims=True)
    n = d / np.sqrt((d * d).mean(axes, keepdims=True) + epsilon)
    return n * gain.reshape(-1, *[1] * len(axes)) + bias.reshape(-1, *[1] * len(axes))
