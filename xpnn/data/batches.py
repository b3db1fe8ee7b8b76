"""The order in which an epoch visits the samples, and where it is cut into batches.

    batch b of epoch e = order_e[b B : (b + 1) B]        the last one may be shorter

The order depends on the seed and the epoch alone, so a run that resumes in epoch 5 shuffles as epoch 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import DataError, UsageError
from xpnn.random import host_rng


def epoch_order(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The permutation of 0 ... n - 1 in which epoch `epoch` visits `n` samples."""
    return host_rng(seed, "shuffle", epoch).permutation(n)


@dataclass(frozen=True)
class Batches:
    """The slices that cut `n` samples into batches of `batch_size`, as often as it is iterated.

    Raises `DataError` when there are no samples and `UsageError` for a batch size below 1.
    """

    n: int
    batch_size: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise DataError("there are no samples", why="expected at least one, found none")
        if self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}", why="expected 1 or more", fix="batch_size=128")

    def __len__(self) -> int:
        return -(-self.n // self.batch_size)

    def __iter__(self) -> Iterator[slice]:
        for start in range(0, self.n, self.batch_size):
            yield slice(start, min(start + self.batch_size, self.n))
