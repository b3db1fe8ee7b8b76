"""Every operation worth accelerating, once, in pure Array API calls: the reference.

A backend inherits these and may override any of them; the tests hold each override equal to
`getattr(Kernels, name)(backend, ...)`. Nothing here assigns to an item, tests an array in an `if`, or
brings a number to the host.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

from xpnn.cody import FAR, MIDDLE, NEAR, ratio
from xpnn.random import Key, word_of
from xpnn.window import Window, taps

Array: TypeAlias = Any
"""An array of the backend's library. Its shape and dtype are the docstrings' business."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""A function of flat arrays that treats every element alone."""

WORD, WORD16 = 0xFFFFFFFF, 0xFFFF


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
def stream(key: Key) -> int:
    """The 32-bit word that a path of integers and names stands for."""
    word = 0x9E3779B9
    for part in map(word_of, key):
        for half in (part & WORD, (part >> 32) & WORD):
            word = mix(word ^ mix((half + 0x85EBCA6B) & WORD))
    return int(word)


def counters(key: Key, tick: Any) -> tuple[Any, Any]:
    """The words A (odd) and B of stream `key` at step `tick`, a Python integer or a 0-d int64 array."""
    word = mix((tick + stream((*key, 1))) & WORD)
    return mix(word ^ stream((*key, 2))) | 1, mix(word ^ stream((*key, 3)))


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

    def normal_cdf(self, x: Array) -> Array:
        """P(x) = (1 + erf(x / sqrt 2)) / 2: the distribution function of N(0, 1). Small values keep their digits.

        With u = |x| / sqrt 2, erfc(u) = 1 - erf(u) = e^(-u^2) S(u): P is half of it below 0, and 1 less half of it
        above; near 0, 1/2 + x R(x^2 / 2). R and S are quotients of polynomials (xpnn/cody.py); e^(-u^2) is taken from
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
        hot, e = self.one_hot(ids, classes), xp.exp(z)
        total = xp.sum(e, axis=1, keepdims=True)
        return xp.mean(xp.log(total[:, 0]) - xp.sum(z * hot, axis=1)), (e / total - hot) / n

    def uniform(self, key: Key, tick: Array, shape: tuple[int, ...]) -> Array:
        """Uniform numbers in [0, 1) with 24 random bits: the same bits on every backend.

        Element i of stream `key` at step `tick` is mix(A i + B), where A (odd) and B are words hashed from
        (key, tick): a counter-based generator, so there is no state to keep, and a replayed or compiled step
        draws fresh numbers from its own `tick`, a 0-d int64 array. At most 2^31 elements.
        """
        step, start = counters(key, tick)
        bits = mix((self.arange(math.prod(shape)) * step + start) & WORD) >> 8
        return self.xp.reshape(self.xp.astype(bits, self.dtype) * 2.0**-24, shape)

    def keep_mask(self, key: Key, tick: Array, shape: tuple[int, ...], rate: float) -> Array:
        """Bool: True where `uniform(key, tick, shape)` is at least `rate`, compared as integers: exact in any dtype."""
        step, start = counters(key, tick)
        bits = mix((self.arange(math.prod(shape)) * step + start) & WORD) >> 8
        return self.xp.reshape(bits >= math.ceil(rate * 2**24), shape)

    def normal(self, key: Key, tick: Array, shape: tuple[int, ...]) -> Array:
        """Numbers of mean 0 and variance 1, nearly normal: the same on every backend, and in every dtype.

        Each is a sum of twelve random words of 16 bits, less its mean, times 2^-16: whole numbers below 2^19, so
        nothing is ever rounded. It lies within 6 standard deviations, and its fourth moment is 2.9, not 3.
        Source: M. E. Muller, "A comparison of methods for generating normal deviates", J. ACM 6 (1959).
        """
        n, total = self.arange(math.prod(shape)), -6 * WORD16
        for part in range(6):
            step, start = counters((*key, part), tick)
            bits = mix((n * step + start) & WORD)
            total = (bits & WORD16) + (bits >> 16) + total
        return self.xp.reshape(self.xp.astype(total, self.dtype) * 2.0**-16, shape)

    def all_finite(self, x: Array) -> Array:
        """0-d bool: no NaN and no infinity in x."""
        return self.xp.all(self.xp.isfinite(x))

    def take_rows(self, x: Array, rows: Array) -> Array:
        """x[rows]: the batch that the int64 `rows` name."""
        return self.xp.take(x, rows, axis=0)

    def add_rows(self, ids: Array, rows: Array, n: int) -> Array:
        """(n, width): row i is the sum of those of the `rows` (N, width) whose id, one of (N,), is i.

        The adjoint of `take_rows`, as a product with a matrix of 0 and 1.
        """
        return self.one_hot(ids, n).T @ rows

    def elementwise(
        self,
        rule: Rule,
        given: tuple[Array, ...],
        vectors: tuple[Array, ...],
        named: tuple[str, tuple[Any, ...]] | None = None,
    ) -> tuple[Array, ...]:
        """rule(*given, *vectors) -> new vectors, where `rule` treats every element alone.

        The caller gives `vectors` away: an override may work in blocks and write the results into them. named: what
        the rule is called, and the numbers in it, for an override that has a loop of that name.
        """
        return rule(*given, *vectors)

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """then(tree) if `ok` (0-d bool) else tree, without asking the device: both are computed, one is kept."""
        new = then(tree)
        return {name: self.xp.where(ok, new[name], tree[name]) for name in tree}

    def pad2d(self, x: Array, pads: tuple[tuple[int, int], tuple[int, int]], fill: float = 0.0) -> Array:
        """x (N, H, W, C) with rows and columns of `fill` around it: ((top, bottom), (left, right))."""
        for axis, ends in enumerate(pads, 1):
            shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in ends]
            top, bottom = (self.xp.full(shape, fill, dtype=x.dtype, device=self.device) for shape in shapes)
            x = self.xp.concat([top, x, bottom], axis=axis) if any(ends) else x
        return x

    def im2col(self, x: Array, window: Window, fill: float = 0.0) -> Array:
        """The windows of x (N, H, W, C), side by side: (N, rows, columns, taps, C). Padding is `fill`."""
        padded = self.pad2d(x, window.pads, fill)
        return self.xp.stack([padded[:, i, j, :] for i, j in taps(x.shape, window)], axis=3)

    def col2im(self, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
        """The adjoint of im2col: every value of `cols` added to the place in (N, H, W, C) that it came from."""
        (top, bottom), (left, right) = window.pads
        height, width = shape[1] + top + bottom, shape[2] + left + right
        total = self.xp.zeros((shape[0], height, width, shape[3]), dtype=cols.dtype, device=self.device)
        for t, (i, j) in enumerate(taps(shape, window)):
            part = self._spread(cols[:, :, :, t, :], window.stride)
            total = total + self.pad2d(part, ((i.start, height - i.stop), (j.start, width - j.stop)))
        return total[:, top : height - bottom, left : width - right, :]

    def _spread(self, x: Array, stride: tuple[int, int]) -> Array:
        """x (N, H, W, C) with stride - 1 zeros between neighbours."""
        for axis, s in enumerate(stride, 1):
            if s > 1:
                gaps = [self.xp.zeros_like(x)] * (s - 1)
                wide = self.xp.stack([x, *gaps], axis=axis + 1)
                n = x.shape[axis]
                wide = self.xp.reshape(wide, (*x.shape[:axis], n * s, *x.shape[axis + 1 :]))
                x = wide[:, : (n - 1) * s + 1, :, :] if axis == 1 else wide[:, :, : (n - 1) * s + 1, :]
        return x

    def _by_group(self, x: Array, groups: int) -> Array:
        """(..., a, c) to (groups, rows, a c / groups): the channels of each group, all taps together."""
        rows, a, c = math.prod(x.shape[:-2]), x.shape[-2], x.shape[-1]
        split = self.xp.reshape(x, (rows, a, groups, c // groups))
        return self.xp.reshape(self.xp.permute_dims(split, (2, 0, 1, 3)), (groups, rows, a * c // groups))

    def conv2d(self, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1) -> Array:
        """y = im2col(x) W + b. x (N, H, W, c_in), W (kh, kw, c_in / groups, filters), y (N, rows, columns, filters)."""
        xp, cols = self.xp, self.im2col(x, window)
        per, filters = math.prod(W.shape[:3]), W.shape[3]
        kernels = self._by_group(xp.reshape(W, (per, 1, filters)), groups)
        y = xp.permute_dims(self._by_group(cols, groups) @ kernels, (1, 0, 2))
        y = xp.reshape(y, (*cols.shape[:3], filters))
        return y if b is None else y + b

    def conv2d_dx(
        self, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
    ) -> Array:
        """dx = col2im(dy W^T), of that shape: the adjoint of conv2d in x."""
        xp, per = self.xp, math.prod(W.shape[:3])
        kernels = self._by_group(xp.reshape(W, (per, 1, W.shape[3])), groups)
        rows = self._by_group(xp.expand_dims(dy, axis=3), groups) @ xp.matrix_transpose(kernels)
        n = W.shape[0] * W.shape[1]
        cols = xp.permute_dims(xp.reshape(rows, (groups, rows.shape[1], n, W.shape[2])), (1, 2, 0, 3))
        return self.col2im(xp.reshape(cols, (*dy.shape[:3], n, shape[3])), shape, window)

    def conv2d_dw(self, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
        """dW = im2col(x)^T dy, of shape (kh, kw, c_in / groups, filters): the adjoint of conv2d in W."""
        xp, filters = self.xp, dy.shape[3]
        rows = self._by_group(self.im2col(x, window), groups)
        dW = xp.matrix_transpose(rows) @ self._by_group(xp.expand_dims(dy, axis=3), groups)
        return xp.reshape(xp.permute_dims(dW, (1, 0, 2)), (*window.kernel, x.shape[3] // groups, filters))

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """The largest value of each window, and the first tap that holds it, as bytes where they can count so far.

        NaN counts as the largest. A pad is never chosen, not even beside -inf.
        """
        xp, cols = self.xp, self.im2col(x, window, -math.inf)
        y = xp.max(cols, axis=3)
        inside = self.im2col(xp.ones_like(x[:1, :, :, :1]), window) > 0
        top = xp.expand_dims(y, axis=3)
        chosen = ((cols == top) | ((cols != cols) & (top != top))) & inside
        return y, xp.astype(xp.argmax(xp.astype(chosen, xp.int8), axis=3), self.tap_dtype(window))

    def tap_dtype(self, window: Window) -> Any:
        """Of the numbers of a window's taps: 0, 1, ..., from the top left on, row by row."""
        return self.xp.uint8 if math.prod(window.kernel) <= 256 else self.xp.int64

    def max_pool_grad(self, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
        """dx: each dy, added where its window found the maximum."""
        xp, n = self.xp, window.kernel[0] * window.kernel[1]
        which = xp.astype(xp.reshape(self.arange(n), (n, 1)), tap.dtype)
        hit = xp.expand_dims(tap, axis=3) == which
        cols = self.mask(xp.broadcast_to(xp.expand_dims(dy, axis=3), hit.shape), hit)
        return self.col2im(cols, shape, window)

    def sum_pool(self, x: Array, window: Window) -> Array:
        """The sum of each window."""
        return self.xp.sum(self.im2col(x, window), axis=3)

    def sum_pool_grad(self, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
        """dx: each dy, added to every place in its window. The adjoint of sum_pool."""
        many = (*dy.shape[:3], window.kernel[0] * window.kernel[1], dy.shape[3])
        cols = self.xp.broadcast_to(self.xp.expand_dims(dy, axis=3), many)
        return self.col2im(cols, shape, window)

    def bilinear(self, x: Array, v: Array, u: Array) -> Array:
        """y[n, i, j] = x[n] at row v[n, i, j] and column u[n, i, j], between its four nearest pixels; 0 outside.

        With v = V + a and u = U + b, V and U whole: (1 - a) ((1 - b) x[V, U] + b x[V, U + 1]) + a (the same of row
        V + 1). Shapes: x (N, H, W, C), v and u (N, rows, columns), y (N, rows, columns, C).
        """
        xp, (n, height, width, channels) = self.xp, x.shape
        row = width + 3
        pixels = xp.reshape(self.pad2d(x, ((1, 2), (1, 2))), (-1, channels))
        (V, a), (U, b) = self._whole_and_rest(v, height), self._whole_and_rest(u, width)
        image = xp.reshape(self.arange(n) * ((height + 3) * row), (n, 1, 1))
        first = xp.reshape(image + V * row + U, (-1,))
        at, right, below, across = (
            xp.reshape(self.take_rows(pixels, first + step), (*v.shape, channels))
            for step in (0, 1, row, row + 1)
        )
        upper, lower = at + b * (right - at), below + b * (across - below)
        return upper + a * (lower - upper)

    def _whole_and_rest(self, v: Array, size: int) -> tuple[Array, Array]:
        """Of coordinates, held to [-1, size]: the pixel before them in an image with one pixel of padding, the rest."""
        xp = self.xp
        v = xp.where(v < -1, xp.full_like(v, -1.0), xp.where(v > size, xp.full_like(v, 1.0 * size), v))
        whole = xp.floor(v)
        return xp.astype(whole, xp.int64) + 1, xp.expand_dims(v - whole, axis=-1)

    def bilinear_grad(self, dy: Array, v: Array, u: Array, shape: tuple[int, ...]) -> Array:
        """dx[n, k, l] = sum over i, j of t(v - k) t(u - l) dy[n, i, j], t(s) = max(1 - |s|, 0): bilinear's adjoint.

        As a product of matrices for each sample, so that nothing is scattered and the order of the sum is fixed.
        """
        xp, (n, height, width, channels) = self.xp, shape
        places = [
            self.relu(1 - xp.abs(xp.reshape(at, (n, -1, 1)) - xp.astype(self.arange(size), at.dtype)))
            for at, size in ((v, height), (u, width))
        ]
        dy = xp.reshape(dy, (n, -1, 1, channels)) * xp.expand_dims(places[1], axis=-1)
        spread = xp.reshape(dy, (n, -1, width * channels))
        return xp.reshape(xp.matrix_transpose(places[0]) @ spread, shape)
