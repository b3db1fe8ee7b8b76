"""Truncated normal initial weights."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from xpnn.initializers.base import Host, Initializer
from xpnn.settings import AtLeastZero, at_least


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """N(0, std^2) given |w| <= limit std: what falls outside is drawn again.

    With limit = 2 the standard deviation of what is left is 0.87962566 std.
    """

    std: AtLeastZero = 0.01
    limit: Annotated[float, at_least(0.1)] = 2.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return independent draws."""
        w = np.asarray(rng.standard_normal(shape))
        while (outside := np.abs(w) > self.limit).any():
            w[outside] = rng.standard_normal(np.count_nonzero(outside))
        return self.std * w
