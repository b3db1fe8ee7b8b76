"""What treats every element alone: one pass over memory each."""

import math
from collections.abc import Callable
from typing import Any

from xpnn.backends.cuda.fused.launch import LIMIT, Launching
from xpnn.kernels import Array
from xpnn.kernels.counter import stream
from xpnn.random import Key


class PointwiseKernels(Launching):
    """Activations, masks, biases; random numbers, whose hash is computed where they are needed."""

    def relu(self, x: Array) -> Array:
        """NaN stays NaN."""
        return self._each("relu", x) if self._fits(x) else super().relu(x)

    def sigmoid(self, x: Array) -> Array:
        """With one exponential."""
        return self._each("sigmoid", x) if self._fits(x) else super().sigmoid(x)

    def softplus(self, x: Array) -> Array:
        """One pass."""
        return self._each("softplus", x) if self._fits(x) else super().softplus(x)

    def relu_grad(self, dy: Array, y: Array, may_overwrite: bool = False) -> Array:
        """Into dy where it may."""
        if not self._fits(dy, y) or dy.shape != y.shape:
            return super().relu_grad(dy, y, may_overwrite)
        dy = self._whole(dy)
        return self._each("relu_grad", dy, self._whole(y), out=dy if may_overwrite else None)

    def mask(self, x: Array, keep: Array) -> Array:
        """Without an array of zeros."""
        if not self._fits(x) or keep.dtype != self.xp.bool or keep.shape != x.shape:
            return super().mask(x, keep)
        return self._each("mask", x, self._whole(keep))

    def _each(self, name: str, x: Array, *more: Any, out: Array | None = None) -> Array:
        y = self.empty(x.shape, self.dtype) if out is None else out
        self._over(name, x.size, self._whole(x), *more, y, x.size)
        return y

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """The bias is added in place."""
        return self._add_bias(self.matmul(x, W), b)

    def affine_relu(self, x: Array, W: Array, b: Array) -> Array:
        """The bias and the ReLU in one pass, in place."""
        return self._add_bias(self.matmul(x, W), b, rectified=True)

    def _add_bias(self, y: Array, b: Array, rectified: bool = False) -> Array:
        """y + b, or the larger of that and 0, written into y, which has no other references."""
        if not self._fits(y, b) or not y.flags.c_contiguous:
            return self.relu(y + b) if rectified else y + b
        self._over("add_bias", y.size, y, self._whole(b), y.size, b.size, int(rectified))
        return y

    def lstm_step(self, a: Array, u: Array, c: Array) -> tuple[Array, Array, Array, Array]:
        """All gates of a unit by one thread."""
        if not self._fits(a, u, c) or not a.shape == u.shape == (len(c), 4 * c.shape[1]):
            return super().lstm_step(a, u, c)
        h, new, squashed = (self.empty(c.shape, self.dtype) for _ in range(3))
        gates, given = self.empty(a.shape, self.dtype), map(self._whole, (a, u, c))
        self._over("lstm_step", c.size, *given, c.size, c.shape[1], h, new, gates, squashed)
        return h, new, gates, squashed

    def lstm_step_grad(
        self, dh: Array, dc: Array, c: Array, gates: Array, squashed: Array
    ) -> tuple[Array, Array]:
        """All gates of a unit by one thread."""
        arrays = dh, dc, c, gates, squashed
        if not self._fits(*arrays) or not dh.shape == dc.shape == c.shape == squashed.shape:
            return super().lstm_step_grad(*arrays)
        dz, old = self.empty(gates.shape, self.dtype), self.empty(c.shape, self.dtype)
        self._over("lstm_step_grad", c.size, *map(self._whole, arrays), c.size, c.shape[1], dz, old)
        return dz, old

    def uniform(self, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
        """Bit for bit the reference's."""
        return self._draw("uniform", super().uniform, key, tick, shape, first)

    def normal(self, key: Key, tick: Array, shape: tuple[int, ...], first: int = 0) -> Array:
        """Bit for bit the reference's."""
        return self._draw("normal", super().normal, key, tick, shape, first)

    def _draw(
        self,
        name: str,
        reference: Callable[..., Array],
        key: Key,
        tick: Array,
        shape: tuple[int, ...],
        first: int,
    ) -> Array:
        n = math.prod(shape)
        if not 0 < n < LIMIT:
            return reference(key, tick, shape, first)
        out = self.empty(shape, self.dtype)
        self._over(name, n, stream(key), tick, first, n, out)
        return out

    def keep_mask(self, key: Key, tick: Array, shape: tuple[int, ...], rate: float, first: int = 0) -> Array:
        """Bytes, four to a thread."""
        n = math.prod(shape)
        if not 0 < n < LIMIT:
            return super().keep_mask(key, tick, shape, rate, first)
        out = self.empty(shape, self.xp.bool)
        self._over("keep_mask", -(-n // 4), stream(key), tick, math.ceil(rate * 2**24), first, n, out)
        return out
