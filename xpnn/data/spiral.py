"""The spiral: the classic two-dimensional data that no straight line separates.

    arm k, point i of n:   r = i / (n - 1)                          radius, 0 to 1
                           t = 2 pi k / arms + 4 r + noise z        angle in radians, z standard normal
                           x = (r sin t, r cos t)                   y = k

The arms start evenly spaced in angle, so that all gaps are equal for any number of arms; the source
starts them 4 radians apart.

Source: A. Karpathy, CS231n notes, "Putting it together: minimal neural network case study", 2015.
"""

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import UsageError
from xpnn.random import host_rng


def spiral(
    samples: int = 1000, arms: int = 3, noise: float = 0.2, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """`x, y`: points float64 (arms * samples, 2), arm numbers int64 (arms * samples,), arm by arm.

    `samples` counts the points of one arm, `noise` is in radians. The same seed gives the same points.
    Raises `UsageError` for fewer than 2 samples, no arm or a noise that is not a number of 0 or more.
    """
    if samples < 2 or arms < 1 or not 0 <= noise < np.inf:
        raise UsageError(
            f"no spiral has samples={samples}, arms={arms}, noise={noise}",
            why="it takes 2 samples or more, 1 arm or more and a finite noise of 0 or more",
            fix="spiral(samples=1000, arms=3, noise=0.2)",
        )
    z = host_rng(seed, "spiral").standard_normal((arms, samples))
    k = np.arange(arms)[:, np.newaxis]
    r = np.linspace(0.0, 1.0, samples)
    t = 2 * np.pi * k / arms + 4 * r + noise * z
    x = np.stack([r * np.sin(t), r * np.cos(t)], axis=-1)
    return x.reshape(-1, 2), np.repeat(np.arange(arms, dtype=np.int64), samples)
