"""Initial weights, drawn on the host: `(numpy Generator, shape) -> float64 array`, then moved to any backend.

fan_in is the number of inputs of one output, fan_out the number of outputs of one input: rows and columns of a
(n_in, n_out) matrix; for a kernel (..., c_in, c_out) both are multiplied by the kernel's window. A layer whose weights
are shared or turned otherwise, such as a grouped or transposed convolution, says its fans itself.
"""

import math
from typing import Any

import numpy as np

from xpnn.config import Config
from xpnn.errors import UsageError

__all__ = ["Initializer", "fans"]

Host = np.ndarray[Any, np.dtype[np.float64]]


class Initializer(Config, abstract=True):
    """A frozen description, called with a generator and a shape. A layer takes its name, too: `init="he_normal"`."""

    @classmethod
    def coerce(cls, value: Any) -> "Initializer | None":
        """The initializer of that name. Raises UsageError for an unknown one."""
        from xpnn.initializers import get_initializer

        return get_initializer(value) if isinstance(value, str) else None

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """A float64 array of that shape."""
        raise NotImplementedError

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], given: tuple[int, int] | None) -> Host:
        """The same for weights whose fans are given, where they do not follow from the shape."""
        return self(rng, shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of weights (..., n_in, n_out)."""
    if len(shape) < 2:
        raise UsageError(f"weights of shape {shape} have no fan", fix="use Normal or Constant")
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]
