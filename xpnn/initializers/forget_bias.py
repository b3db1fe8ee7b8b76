"""The bias of an LSTM's gates."""

from dataclasses import dataclass

import numpy as np

from xpnn.initializers.base import Host, Initializer


@dataclass(frozen=True)
class ForgetBias(Initializer):
    """b = 1 for the forget gate, the second of four, so that a new network remembers; 0 for the others.

    Source: Gers, Schmidhuber, Cummins, "Learning to forget: continual prediction with LSTM", ICANN 1999.
    """

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """1 in the second quarter of the last axis, (4 units,)."""
        gate = 4 * np.arange(shape[-1]) // shape[-1]
        return np.array(np.broadcast_to(gate == 1, shape), np.float64)
