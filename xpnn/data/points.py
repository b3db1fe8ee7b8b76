"""Points in the plane that are generated: half-moons, rings and blobs. The same seed gives the same points.

All return `x, y`: points float64 (classes * samples, 2), class numbers int64, class by class; `samples` counts the
points of one class and `noise` is the standard deviation of what is added to each coordinate.
"""

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import UsageError
from xpnn.random import host_rng

Points = tuple[NDArray[np.float64], NDArray[np.int64]]


def moons(samples: int = 1000, noise: float = 0.1, seed: int = 0) -> Points:
    """Two half-circles of radius 1 that reach into each other.

    x_0 = (cos t, sin t), x_1 = (1 - cos t, 1/2 - sin t), t from 0 to pi in equal steps. Raises UsageError for fewer
    than 2 samples or a noise that is not a number of 0 or more. Source: scikit-learn's make_moons.
    """
    _check("moons", samples, 2, noise)
    t = np.linspace(0, np.pi, samples)
    upper, lower = np.stack([np.cos(t), np.sin(t)], 1), np.stack([1 - np.cos(t), 0.5 - np.sin(t)], 1)
    return _labelled([upper, lower], noise, seed, "moons")


def rings(samples: int = 1000, classes: int = 3, noise: float = 0.05, seed: int = 0) -> Points:
    """Circles about 0 of the radii 1 / classes, 2 / classes, ..., 1, at equal steps of the angle.

    Raises UsageError for fewer than 2 samples, no class or a noise that is not a number of 0 or more.
    """
    _check("rings", samples, classes, noise)
    t = np.linspace(0, 2 * np.pi, samples, endpoint=False)
    circle = np.stack([np.cos(t), np.sin(t)], 1)
    return _labelled([circle * k / classes for k in range(1, classes + 1)], noise, seed, "rings")


def blobs(samples: int = 1000, classes: int = 3, noise: float = 0.3, seed: int = 0) -> Points:
    """Normal clouds about points evenly spaced on the circle of radius 1.

    Raises UsageError for fewer than 2 samples, no class or a noise that is not a number of 0 or more.
    """
    _check("blobs", samples, classes, noise)
    angles = 2 * np.pi * np.arange(classes) / classes
    centres = np.stack([np.cos(angles), np.sin(angles)], 1)
    return _labelled([np.tile(centre, (samples, 1)) for centre in centres], noise, seed, "blobs")


def _labelled(parts: list[NDArray[np.float64]], noise: float, seed: int, name: str) -> Points:
    x = np.concatenate(parts)
    x = x + noise * host_rng(seed, name).standard_normal(x.shape)
    return x, np.repeat(np.arange(len(parts), dtype=np.int64), len(parts[0]))


def _check(name: str, samples: int, classes: int, noise: float) -> None:
    if samples < 2 or classes < 1 or not 0 <= noise < np.inf:
        raise UsageError(
            f"no {name} have samples={samples}, classes={classes}, noise={noise}",
            why="it takes 2 samples or more, 1 class or more and a finite noise of 0 or more",
        )
