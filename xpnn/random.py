"""Random numbers drawn on the host: initial weights, shuffles, splits, synthetic data.

One root seed feeds every draw. Each purpose has its own child stream, so that adding one draw moves no other,
and every backend receives the same bits because the host draws them. Draws inside a training step
(dropout) are `Kernels.uniform` instead.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox).
"""

import hashlib
from typing import TypeAlias

import numpy as np

Key: TypeAlias = tuple[int | str, ...]
"""The path of a stream of random numbers: words and numbers."""


def host_rng(seed: int, *key: int | str) -> np.random.Generator:
    """The stream of `(seed, *key)`, such as `host_rng(0, "shuffle", epoch)`.

    Words are hashed, numbers are taken as they are; different keys give independent streams.
    """
    words = tuple(word_of(part) for part in key)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed, spawn_key=words)))


def word_of(part: int | str) -> int:
    """A number as it is, a name as 32 bits."""
    if isinstance(part, int):
        return part
    return int.from_bytes(
        hashlib.blake2b(part.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little"
    )
