"""Every operation worth accelerating, once, in pure Array API calls: the reference.

A backend inherits these and may override any of them; the tests hold each override equal to
`getattr(Kernels, name)(backend, ...)`. Nothing here assigns to an item, tests an array in an `if`, or
brings a number to the host.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of the backend's library. Its shape and dtype are the docstrings' business."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""A function of flat arrays that treats every element alone."""

WORD = 0xFFFFFFFF


def mix(x: Any) -> Any:
    """Scramble 32-bit words held in 64-bit integers: three xor-shifts, two multiplications.

    Every product stays below 2^63, so it is exact on every library. Works on Python integers and on arrays.
    Source: C. Wellons, hash-prospector (2018), the two-round function of lowest measured bias.
    """
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & WORD
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & WORD
    return x ^ (x >> 15)


@functools.lru_cache(maxsize=4096)
def stream(key: tuple[int, ...]) -> int:
    """The 32-bit word that a path of integers names."""
    word = 0x9E3779B9
    for part in key:
        for half in (part & WORD, (part >> 32) & WORD):
            word = mix(word ^ mix((half + 0x85EBCA6B) & WORD))
    return int(word)


def counters(key: tuple[int, ...], tick: Any) -> tuple[Any, Any]:
    """The words A (odd) and B of stream `key` at step `tick`, a Python integer or a 0-d int64 array."""
    word = mix((tick + stream((*key, 1))) & WORD)
    return mix(word ^ stream((*key, 2))) | 1, mix(word ^ stream((*key, 3)))


ERF_SMALL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
ERF_LARGE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e0,
        6.61191906371416295e1,
        2.98635138197400131e2,
        8.81952221241769090e2,
        1.71204761263407058e3,
        2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0,
        1.57449261107098347e1,
        1.17693950891312499e2,
        5.37181101862009858e2,
        1.62138957456669019e3,
        3.29079923573345963e3,
        4.36261909014324716e3,
        3.43936767414372164e3,
        1.23033935480374942e3,
    ),
)
"""Numerators and denominators of Cody's rational functions, highest power first."""


def ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    """The quotient of two polynomials, by Horner's rule."""
    upper, lower = (functools.reduce(lambda sum, c: sum * x + c, row[1:], row[0]) for row in coefficients)
    return upper / lower


class Kernels:
    """The reference kernels. `xp`, `dtype` and `device` are set by the backend that inherits them."""

    xp: Any
    dtype: Any
    device: Any

    def arange(self, n: int) -> Array:
        """0, 1, ..., n - 1 as int64."""
        return self.xp.arange(n, dtype=self.xp.int64, device=self.device)

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """y = x W + b on the last axis."""
        return x @ W + b

    def relu(self, x: Array) -> Array:
        """y = max(x, 0). NaN stays NaN."""
        return self.xp.where(x <= 0, self.xp.zeros_like(x), x)

    def relu_grad(self, dy: Array, y: Array) -> Array:
        """dx = dy where y > 0, else 0 (so the slope at 0 is 0)."""
        return self.mask(dy, y > 0)

    def mask(self, x: Array, keep: Array) -> Array:
        """x where `keep` (bool, of the same shape), else 0, whatever x is there."""
        return self.xp.where(keep, x, self.xp.zeros_like(x))

    def sigmoid(self, x: Array) -> Array:
        """y = 1 / (1 + e^-x), from e^-|x| so that nothing overflows and small values keep their digits."""
        e = self.xp.exp(-self.xp.abs(x))
        return self.xp.where(x >= 0, self.xp.ones_like(x), e) / (1 + e)

    def softplus(self, x: Array) -> Array:
        """y = log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
        return self.relu(x) + self.xp.log1p(self.xp.exp(-self.xp.abs(x)))

    def softmax(self, z: Array) -> Array:
        """p = e^(z - max z) / sum e^(z - max z) on the last axis."""
        e = self.xp.exp(z - self.xp.max(z, axis=-1, keepdims=True))
        return e / self.xp.sum(e, axis=-1, keepdims=True)

    def erf(self, x: Array) -> Array:
        """2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x, to a few units in the last place of the dtype.

        x R(x^2) where |x| <= 0.46875, else 1 - e^(-x^2) S(|x|) with the sign of x, R and S quotients of polynomials.
        S was fitted up to 4; beyond, 1 - erf is below 2e-8, and its first digits are all that counts.
        Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969).
        """
        xp, size = self.xp, self.xp.abs(x)
        inner = self.mask(x, size <= 0.46875)
        size = xp.where(size > 6, xp.full_like(x, 6.0), size)
        outer = xp.sign(x) * (1 - xp.exp(-size * size) * ratio(ERF_LARGE, size))
        return xp.where(size <= 0.46875, inner * ratio(ERF_SMALL, inner * inner), outer)

    def one_hot(self, ids: Array, classes: int) -> Array:
        """(N,) class ids to (N, classes) rows of the model's dtype."""
        return self.xp.astype(ids[:, None] == self.arange(classes)[None, :], self.dtype)

    def softmax_cross_entropy(self, z: Array, ids: Array) -> tuple[Array, Array]:
        """Mean of -log softmax(z)[id] over (N, C) logits and N ids, and its gradient (softmax(z) - onehot) / N."""
        xp, (n, classes) = self.xp, z.shape
        z = z - xp.max(z, axis=1, keepdims=True)
        hot, e = self.one_hot(ids, classes), xp.exp(z)
        total = xp.sum(e, axis=1, keepdims=True)
        return xp.mean(xp.log(total[:, 0]) - xp.sum(z * hot, axis=1)), (e / total - hot) / n

    def uniform(self, key: tuple[int, ...], tick: Array, shape: tuple[int, ...]) -> Array:
        """Uniform numbers in [0, 1) with 24 random bits: the same bits on every backend.

        Element i of stream `key` at step `tick` is mix(A i + B), where A (odd) and B are words hashed from
        (key, tick): a counter-based generator, so there is no state to keep, and a replayed or compiled step
        draws fresh numbers from its own `tick`, a 0-d int64 array. At most 2^31 elements.
        """
        step, start = counters(key, tick)
        bits = mix((self.arange(math.prod(shape)) * step + start) & WORD) >> 8
        return self.xp.reshape(self.xp.astype(bits, self.dtype) * 2.0**-24, shape)

    def keep_mask(self, key: tuple[int, ...], tick: Array, shape: tuple[int, ...], rate: float) -> Array:
        """Bool: True where `uniform(key, tick, shape)` is at least `rate`, compared as integers: exact in any dtype."""
        step, start = counters(key, tick)
        bits = mix((self.arange(math.prod(shape)) * step + start) & WORD) >> 8
        return self.xp.reshape(bits >= math.ceil(rate * 2**24), shape)

    def all_finite(self, x: Array) -> Array:
        """0-d bool: no NaN and no infinity in x."""
        return self.xp.all(self.xp.isfinite(x))

    def take_rows(self, x: Array, rows: Array) -> Array:
        """x[rows]: the batch that the int64 `rows` name."""
        return self.xp.take(x, rows, axis=0)

    def elementwise(
        self, rule: Rule, given: tuple[Array, ...], vectors: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """rule(*given, *vectors) -> new vectors, where `rule` treats every element alone.

        The caller gives `vectors` away: an override may work in blocks and write the results into them.
        """
        return rule(*given, *vectors)

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """then(tree) if `ok` (0-d bool) else tree, without asking the device: both are computed, one is kept."""
        new = then(tree)
        return {name: self.xp.where(ok, new[name], tree[name]) for name in tree}
