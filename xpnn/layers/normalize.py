"""What all normalizations share: rows brought to mean 0 and variance 1, and the way back."""

from xpnn.kernels import Array
from xpnn.layers.base import Ctx

Axes = int | tuple[int, ...]


def moments(cx: Ctx, x: Array, axis: Axes) -> tuple[Array, Array, Array]:
    """x - mean, mean, variance (divisor N), axes kept.

    The variance is the mean square of x - mean: a mean of x^2 less mean^2 would cancel to nothing, or below it.
    """
    mean = cx.be.xp.mean(x, axis=axis, keepdims=True)
    d = x - mean
    return d, mean, cx.be.xp.mean(d * d, axis=axis, keepdims=True)


def inverse_root(cx: Ctx, variance: Array, eps: float) -> Array:
    """1 / sqrt(variance + eps): eps inside the root, so that a constant input gives 0, and a finite gradient."""
    return 1 / cx.be.xp.sqrt(variance + eps)


def normalized_grad(cx: Ctx, dn: Array, n: Array, r: Array, axis: Axes) -> Array:
    """dx = r (dn - mean(dn) - n mean(dn n)), for n = r (x - mean(x)) with r = 1 / sqrt(var(x) + eps)."""
    mean = cx.be.xp.mean
    return r * (dn - mean(dn, axis=axis, keepdims=True) - n * mean(dn * n, axis=axis, keepdims=True))


def affine_grads(cx: Ctx, n: Array, dy: Array) -> dict[str, Array]:
    """Gradients of y = n gain + bias for gain and bias on the last axis: sums of dy n and dy over all others."""
    xp, features = cx.be.xp, (-1, dy.shape[-1])
    return {
        "gain": xp.sum(xp.reshape(dy * n, features), axis=0),
        "bias": xp.sum(xp.reshape(dy, features), axis=0),
    }
