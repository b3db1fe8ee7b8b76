"""What all normalizations share: rows brought to mean 0 and variance 1, and the way back."""

from xpnn.initializers import ones, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Shape, Spec, Tree

Axes = int | tuple[int, ...]


def moments(cx: Ctx, x: Array, axis: Axes) -> tuple[Array, Array, Array]:
    """x - mean, mean, variance (divisor N), axes kept.

    The variance is the mean square of x - mean: a mean of x^2 less mean^2 would cancel to nothing, or below it.
    """
    xp = cx.be.xp
    mean = xp.mean(x, axis=axis, keepdims=True)
    d = x - mean
    return d, mean, xp.mean(d * d, axis=axis, keepdims=True)


def inverse_root(cx: Ctx, variance: Array, eps: float) -> Array:
    """1 / sqrt(variance + eps): eps inside the root, so that a constant input gives 0, and a finite gradient.

    As sqrt(s) / s, which is NaN where s is infinite, for squares overflow before their root: 0 would hide it.
    """
    square = variance + eps
    return cx.be.xp.sqrt(square) / square


def normalized_grad(cx: Ctx, dn: Array, n: Array, r: Array, axis: Axes) -> Array:
    """dx = r (dn - mean(dn) - n mean(dn n)), for n = r (x - mean(x)) with r = 1 / sqrt(var(x) + eps)."""
    mean, slope = (cx.be.xp.mean(a, axis=axis, keepdims=True) for a in (dn, dn * n))
    return r * (dn - mean - n * slope)


def scale_shift_specs(features: Shape, bias: bool) -> Tree:
    """A gain that begins at 1 for each feature, and a bias that begins at 0 if there is one."""
    gain = {"gain": Spec(features, ones, decay=False)}
    return gain | {"bias": Spec(features, zeros, decay=False)} if bias else gain


def scaled_and_shifted(n: Array, p: Tree) -> Array:
    """y = n gain + bias, or n gain."""
    y = n * p["gain"]
    return y + p["bias"] if "bias" in p else y


def scale_shift_grads(cx: Ctx, n: Array, dy: Array, p: Tree) -> dict[str, Array]:
    """Gradients of `scaled_and_shifted` for gain and bias on the last axis: sums of dy n and dy over all others."""
    gain = {"gain": cx.be.column_sums(dy * n)}
    return gain | {"bias": cx.be.column_sums(dy)} if "bias" in p else gain
