"""What all kernels rest on."""

from collections.abc import Callable
from typing import Any, TypeAlias

Array: TypeAlias = Any
"""An array of the backend's library. Its shape and dtype are the docstrings' business."""

Rule: TypeAlias = Callable[..., tuple[Array, ...]]
"""A function of flat arrays that treats every element alone."""


class BaseKernels:
    """`xp`, `dtype` and `device` are set by the backend that inherits the kernels."""

    xp: Any
    dtype: Any
    device: Any

    def arange(self, n: int) -> Array:
        """0, 1, ..., n - 1 as int64."""
        return self.xp.arange(n, dtype=self.xp.int64, device=self.device)

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """a b, of the last two axes.

        out: an array of the result's shape that an override may fill and give back; here as in `column_sums`.
        """
        return a @ b

    def column_sums(self, x: Array, out: Array | None = None) -> Array:
        """(..., C) to (C,): the sum over all axes but the last."""
        return self.xp.sum(x, axis=tuple(range(x.ndim - 1)))

    def relu(self, x: Array) -> Array:
        """y = max(x, 0). NaN stays NaN."""
        return self.xp.where(x <= 0, self.xp.zeros_like(x), x)

    def sigmoid(self, x: Array) -> Array:
        """y = 1 / (1 + e^-x), from e^-|x| so that nothing overflows and small values keep their digits."""
        e = self.xp.exp(-self.xp.abs(x))
        return self.xp.where(x >= 0, self.xp.ones_like(x), e) / (1 + e)

    def mask(self, x: Array, keep: Array) -> Array:
        """x where `keep` (bool, of the same shape), else 0, whatever x is there."""
        return self.xp.where(keep, x, self.xp.zeros_like(x))

    def take_rows(self, x: Array, rows: Array) -> Array:
        """x[rows]: the batch that the int64 `rows` name."""
        return self.xp.take(x, rows, axis=0)

    def take_rescaled(self, x: Array, rows: Array, scale: float, offset: float) -> Array:
        """scale x[rows] + offset in the model's dtype: bytes become numbers on the way."""
        y = self.xp.astype(self.take_rows(x, rows), self.dtype) * scale
        return y + offset if offset else y

    def rows_at(self, order: Array, cursor: Array, n: int) -> Array:
        """order[cursor], ..., order[cursor + n - 1], where the 0-d `cursor` stays on the device."""
        return self.xp.take(order, cursor + self.arange(n), axis=0)
