"""Batch normalization, forward and backward."""

import math

from xpnn.kernels.base import Array, Backend


def batch_norm(
    be: Backend, x: Array, gain: Array, bias: Array, eps: float, relu: bool = False
) -> tuple[Array, ...]:
    """y = gain n + bias, n = (x - mean) r, r = 1 / sqrt(var + eps), over all axes but the last.

    relu: the larger of that y and 0. -> y, n, r, mean, var: the first two like x, the rest (features,). var is the
    mean of (x - mean)^2: the mean of x^2 less mean^2 would cancel to nothing, or below it.
    """
    count = math.prod(x.shape[:-1])
    mean = be.column_sums(x) / count
    d = x - mean
    var = be.column_sums(d * d) / count
    r = 1 / be.xp.sqrt(var + eps)
    n = d * r
    y = n * gain + bias
    return be.relu(y) if relu else y, n, r, mean, var


def batch_norm_grad(be: Backend, dy: Array, n: Array, r: Array, gain: Array) -> tuple[Array, Array, Array]:
    """dx = r (dn - mean(dn) - n mean(dn n)) with dn = dy gain; dgain = sum dy n; dbias = sum dy. -> all three."""
    count, dn = math.prod(dy.shape[:-1]), dy * gain
    dx = r * (dn - be.column_sums(dn) / count - n * (be.column_sums(dn * n) / count))
    return dx, be.column_sums(dy * n), be.column_sums(dy)
