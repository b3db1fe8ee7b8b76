"""Every operation worth accelerating, once, in pure Array API calls: the reference.

A backend inherits these and may override any of them; the tests hold each override equal to
`getattr(Kernels, name)(backend, ...)`. Nothing here assigns to an item, tests an array in an `if`, or
brings a number to the host.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

from xpnn.kernels.affine import AffineKernels
from xpnn.kernels.base import Array, Rule
from xpnn.kernels.cody import FAR, MIDDLE, NEAR, ratio
from xpnn.kernels.counter import CounterKernels
from xpnn.kernels.gates import GateKernels
from xpnn.kernels.sampling import SamplingKernels

__all__ = ["Array", "Kernels", "Rule"]


class Kernels(AffineKernels, CounterKernels, GateKernels, SamplingKernels):
    """All of them: those below, products with weights, random draws, gates, windows, sampling."""

    def softplus(self, x: Array) -> Array:
        """y = log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
        return self.relu(x) + self.xp.log1p(self.xp.exp(-self.xp.abs(x)))

    def softmax(self, z: Array) -> Array:
        """p = e^(z - max z) / sum e^(z - max z) on the last axis."""
        e = self.xp.exp(z - self.xp.max(z, axis=-1, keepdims=True))
        return e / self.xp.sum(e, axis=-1, keepdims=True)

    def normal_cdf(self, x: Array) -> Array:
        """P(x) = (1 + erf(x / sqrt 2)) / 2: the distribution function of N(0, 1). Small values keep their digits.

        With u = |x| / sqrt 2, erfc(u) = 1 - erf(u) = e^(-u^2) S(u): P is half of that below 0, and 1 less half of that
        above; near 0, 1/2 + x R(x^2 / 2). R and S are quotients of polynomials (cody.py); e^(-u^2) is taken from
        x itself, for the rounding of u would count u^2 times over.
        """
        xp, size = self.xp, self.xp.abs(x)
        size = xp.where(size > 40, xp.full_like(x, 40.0), size)  # where e^(-x^2 / 2) is 0 in float64 too
        u, four = size * math.sqrt(0.5), xp.full_like(x, 4.0)
        v = 1 / xp.where(u > 4, u, four)
        far = v * (math.sqrt(1 / math.pi) - v * v * ratio(FAR, v * v))
        tail = xp.where(u > 4, far, ratio(MIDDLE, xp.where(u > 4, four, u)))
        tail = 0.5 * xp.exp(-0.5 * size * size) * tail
        inner = self.mask(x, u <= 0.46875)
        near = 0.5 + inner * math.sqrt(0.125) * ratio(NEAR, 0.5 * inner * inner)
        return xp.where(u <= 0.46875, near, xp.where(x < 0, tail, 1 - tail))

    def one_hot(self, ids: Array, classes: int) -> Array:
        """(N,) class ids to (N, classes) rows of the model's dtype."""
        return self.xp.astype(ids[:, None] == self.arange(classes)[None, :], self.dtype)

    def softmax_cross_entropy(self, z: Array, ids: Array) -> tuple[Array, Array]:
        """Mean of -log softmax(z)[id] over (N, C) logits and N ids, and its gradient (softmax(z) - onehot) / N."""
        xp, (n, classes) = self.xp, z.shape
        z = z - xp.max(z, axis=1, keepdims=True)
        own, e = ids[:, None] == self.arange(classes)[None, :], xp.exp(z)
        total, hot = xp.sum(e, axis=1, keepdims=True), xp.astype(own, self.dtype)
        own = xp.sum(self.mask(z, own), axis=1)  # z * hot would be NaN where a logit is -inf
        return xp.mean(xp.log(total[:, 0]) - own), (e / total - hot) / n

    def softmax_cross_entropy_and_correct(self, z: Array, ids: Array) -> tuple[Array, Array]:
        """The loss of `softmax_cross_entropy`, and in how many rows (0-d int64) the first largest logit is the id's."""
        xp, hits = self.xp, self.xp.astype(self.xp.argmax(z, axis=1) == ids, self.xp.int64)
        z = z - xp.max(z, axis=1, keepdims=True)
        own = xp.sum(self.mask(z, ids[:, None] == self.arange(z.shape[1])[None, :]), axis=1)
        return xp.mean(xp.log(xp.sum(xp.exp(z), axis=1)) - own), xp.sum(hits)

    def all_finite(self, *arrays: Array) -> Array:
        """0-d bool: no NaN and no infinity in any of them."""
        xp = self.xp
        return xp.all(xp.stack([xp.all(xp.isfinite(x)) for x in arrays]))

    def add_rows(self, ids: Array, rows: Array, n: int) -> Array:
        """(n, width): row i is the sum of those of the `rows` (N, width) whose id, one of (N,), is i.

        The adjoint of `take_rows`, as a product with a matrix of 0 and 1.
        """
        return self.matmul(self.one_hot(ids, n).T, rows)

    def elementwise(
        self,
        rule: Rule,
        given: tuple[Array, ...],
        vectors: tuple[Array, ...],
        loop: tuple[str, tuple[float, ...], tuple[Array, ...]] | None = None,
    ) -> tuple[Array, ...]:
        """rule(*given, *vectors) -> new vectors, where `rule` treats every element alone.

        The caller gives `vectors` away: an override may work in blocks and write the results into them. loop:
        the name of the rule, the numbers in it, and the 0-d arrays that it reads, for an override that has a loop of
        that name.
        """
        return rule(*given, *vectors)

    def batch_norm(
        self, x: Array, gain: Array, bias: Array, eps: float, relu: bool = False
    ) -> tuple[Array, ...]:
        """y = gain n + bias, n = (x - mean) r, r = 1 / sqrt(var + eps), over all axes but the last.

        relu: the larger of that y and 0. -> y, n, r, mean, var: the first two like x, the rest (features,). var is the
        mean of (x - mean)^2: the mean of x^2 less mean^2 would cancel to nothing, or below it.
        """
        count = math.prod(x.shape[:-1])
        mean = self.column_sums(x) / count
        d = x - mean
        var = self.column_sums(d * d) / count
        r = 1 / self.xp.sqrt(var + eps)
        n = d * r
        y = n * gain + bias
        return self.relu(y) if relu else y, n, r, mean, var

    def batch_norm_grad(self, dy: Array, n: Array, r: Array, gain: Array) -> tuple[Array, Array, Array]:
        """dx = r (dn - mean(dn) - n mean(dn n)) with dn = dy gain; dgain = sum dy n; dbias = sum dy. -> all three."""
        count, dn = math.prod(dy.shape[:-1]), dy * gain
        dx = r * (dn - self.column_sums(dn) / count - n * (self.column_sums(dn * n) / count))
        return dx, self.column_sums(dy * n), self.column_sums(dy)

    def concat_flat(self, out: Array | None, parts: Sequence[Array], places: Sequence[Array]) -> Array:
        """All parts, end to end, as one vector.

        flat, places: an empty vector of their length and its views, of the parts' shapes, where there is one: an
        override fills it with those parts that are not their places themselves.
        """
        return self.xp.concat([self.xp.reshape(part, (-1,)) for part in parts])

    def all_reduce(self, a: Array) -> Array:
        """The sum of `a` over all processes that share a run; a itself of one alone. The caller gives `a` away."""
        return a

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """then(tree) if `ok` (0-d bool) else tree, without asking the device: both are computed, one is kept."""
        new = then(tree)
        return {name: self.xp.where(ok, new[name], tree[name]) for name in tree}
