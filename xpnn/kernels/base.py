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

    def relu(self, x: Array) -> Array:
        """y = max(x, 0). NaN stays NaN."""
        return self.xp.where(x <= 0, self.xp.zeros_like(x), x)

    def mask(self, x: Array, keep: Array) -> Array:
        """x where `keep` (bool, of the same shape), else 0, whatever x is there."""
        return self.xp.where(keep, x, self.xp.zeros_like(x))

    def take_rows(self, x: Array, rows: Array) -> Array:
        """x[rows]: the batch that the int64 `rows` name."""
        return self.xp.take(x, rows, axis=0)
