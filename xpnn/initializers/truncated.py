"""Truncated normal initial weights."""

from dataclasses import dataclass

import numpy as np

from xpnn.errors import UsageError
from xpnn.initializers.base import Host, Initializer


@dataclass(frozen=True)
class TruncatedNormal(Initializer):
    """N(0, std^2) given |w| <= limit std: what falls outside is drawn again.

    With limit = 2 the standard deviation of what is left is 0.87962566 std.
    """

    std: float = 0.01
    limit: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.std >= 0:
            raise UsageError(f"TruncatedNormal(std={self.std}): wanted 0 or more")
        if not self.limit >= 0.1:
            raise UsageError(
                f"TruncatedNormal(limit={self.limit}): wanted at least 0.1 standard deviations",
                why="draws are repeated until they lie inside",
            )

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return independent draws."""
        w = np.asarray(rng.standard_normal(shape))
        while (outside := np.abs(w) > self.limit).any():
            w[outside] = rng.standard_normal(np.count_nonzero(outside))
        return self.std * w
