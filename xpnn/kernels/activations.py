"""Activations, and the masks that they and dropout take: each element alone, but for softmax."""

import math

from xpnn.kernels.base import Array, Backend
from xpnn.kernels.erf import FAR, MIDDLE, NEAR, ratio
from xpnn.random import Key


def relu(be: Backend, x: Array) -> Array:
    """y = max(x, 0). NaN stays NaN."""
    return be.xp.where(x <= 0, be.xp.zeros_like(x), x)


def relu_grad(be: Backend, dy: Array, y: Array, may_overwrite: bool = False) -> Array:
    """dx = dy where y > 0, else 0 (so the slope at 0 is 0). may_overwrite: dx may be written over dy."""
    return be.mask(dy, y > 0)


def sigmoid(be: Backend, x: Array) -> Array:
    """y = 1 / (1 + e^-x), from e^-|x| so that nothing overflows and small values keep their digits."""
    e = be.xp.exp(-be.xp.abs(x))
    return be.xp.where(x >= 0, be.xp.ones_like(x), e) / (1 + e)


def softplus(be: Backend, x: Array) -> Array:
    """y = log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
    return be.relu(x) + be.xp.log1p(be.xp.exp(-be.xp.abs(x)))


def softmax(be: Backend, z: Array) -> Array:
    """p = e^(z - max z) / sum e^(z - max z) on the last axis."""
    e = be.xp.exp(z - be.xp.max(z, axis=-1, keepdims=True))
    return e / be.xp.sum(e, axis=-1, keepdims=True)


def normal_cdf(be: Backend, x: Array) -> Array:
    """P(x) = (1 + erf(x / sqrt 2)) / 2: the distribution function of N(0, 1). Small values keep their digits.

    With u = |x| / sqrt 2, erfc(u) = 1 - erf(u) = e^(-u^2) S(u): P is half of that below 0, and 1 less half of that
    above; near 0, 1/2 + x R(x^2 / 2). R and S are quotients of polynomials (erf.py); e^(-u^2) is taken from
    x itself, for the rounding of u would count u^2 times over.
    """
    xp, size = be.xp, be.xp.abs(x)
    size = xp.where(size > 40, xp.full_like(x, 40.0), size)  # where e^(-x^2 / 2) is 0 in float64 too
    u, four = size * math.sqrt(0.5), xp.full_like(x, 4.0)
    v = 1 / xp.where(u > 4, u, four)
    far = v * (math.sqrt(1 / math.pi) - v * v * ratio(FAR, v * v))
    tail = xp.where(u > 4, far, ratio(MIDDLE, xp.where(u > 4, four, u)))
    tail = 0.5 * xp.exp(-0.5 * size * size) * tail
    inner = be.mask(x, u <= 0.46875)
    near = 0.5 + inner * math.sqrt(0.125) * ratio(NEAR, 0.5 * inner * inner)
    return xp.where(u <= 0.46875, near, xp.where(x < 0, tail, 1 - tail))


def mask(be: Backend, x: Array, keep: Array) -> Array:
    """x where `keep` (bool, of the same shape), else 0, whatever x is there."""
    return be.xp.where(keep, x, be.xp.zeros_like(x))


def scaled_mask(be: Backend, x: Array, keep: Array, scale: float) -> Array:
    """scale x where keep, else 0: a NaN that is not kept is 0, too."""
    return be.mask(x * scale, keep)


def dropout(be: Backend, x: Array, key: Key, tick: Array, rate: float) -> Array:
    """x / (1 - rate) where `keep_mask` of (key, tick) keeps it, else 0. rate < 1."""
    return be.scaled_mask(x, be.keep_mask(key, tick, x.shape, rate), 1 / (1 - rate))


def bias_relu_dropout(be: Backend, y: Array, b: Array, key: Key, tick: Array, rate: float) -> Array:
    """`dropout` of max(y + b, 0), b on the last axis. The caller gives y away: it may be written to."""
    return be.dropout(be.add_bias(y, b, relu=True), key, tick, rate)


def relu_dropout_grad(be: Backend, dy: Array, y: Array, rate: float, may_overwrite: bool = False) -> Array:
    """dx = dy / (1 - rate) where y > 0, else 0: y, made by `bias_relu_dropout`, is 0 where either factor is 0.

    may_overwrite: dx may be written over dy.
    """
    return be.scaled_mask(dy, y > 0, 1 / (1 - rate))
