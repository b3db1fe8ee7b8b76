"""Sinusoidal position encodings."""

from dataclasses import dataclass

import numpy as np

from xpnn.errors import UsageError
from xpnn.initializers.base import Host, Initializer
from xpnn.settings import Positive


@dataclass(frozen=True)
class Sinusoidal(Initializer):
    """P[t, 2i] = sin(t / base^(2i / features)), P[t, 2i + 1] = cos of the same, for P (time, features).

    The wavelengths grow from 2 pi to nearly 2 pi base; of an odd number of features, the last is a sine. Draws nothing.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017.
    """

    base: Positive = 10000.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Raises UsageError unless the shape is (time, features)."""
        if len(shape) != 2:
            raise UsageError(f"Sinusoidal needs a shape (time, features), got {shape}")
        time, features = shape
        even = np.arange(features) // 2 * 2
        angle = np.arange(time)[:, None] / self.base ** (even / max(features, 1))
        return np.where(np.arange(features) == even, np.sin(angle), np.cos(angle))
