"""Synthetic digits: strokes, bent and moved at random. Small, free of any licence, and of MNIST's form.

    pixel = 255 max(0, min(1, 1/2 + w - d))        d: its distance from the nearest stroke, w: half the pen's width
    a stroke's points: R q + s + e                 R: a random linear map, s: a shift, e: a little noise for each point

Each digit is one or more chains of straight strokes on a field from -1 to 1, here in columns and rows.
"""

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import UsageError
from xpnn.random import host_rng

SIDE, REACH = 28, 8.5
"""Pixels of a side; pixels from the middle to the edge of the field."""
BLOCK = 256
CHAINS: tuple[tuple[tuple[tuple[float, float], ...], ...], ...] = (
    (((0, -1), (-0.5, -0.6), (-0.55, 0.5), (0, 1), (0.5, 0.6), (0.55, -0.5), (0, -1)),),
    (((-0.3, -0.6), (0.1, -1), (0.1, 1)),),
    (((-0.5, -0.6), (0, -1), (0.5, -0.6), (0.3, 0), (-0.55, 1), (0.6, 1)),),
    (((-0.5, -0.8), (0.1, -1), (0.45, -0.5), (0, -0.05), (0.55, 0.5), (0.1, 1), (-0.5, 0.8)),),
    (((0.3, 1), (0.3, -1), (-0.6, 0.35), (0.6, 0.35)),),
    (((0.5, -1), (-0.4, -1), (-0.45, -0.1), (0.2, -0.2), (0.5, 0.4), (0.1, 1), (-0.5, 0.8)),),
    (((0.4, -1), (-0.3, -0.4), (-0.5, 0.5), (0, 1), (0.5, 0.5), (0.1, 0), (-0.45, 0.3)),),
    (((-0.55, -1), (0.55, -1), (-0.1, 1)),),
    (((0, 0), (-0.45, -0.5), (0, -1), (0.45, -0.5), (0, 0), (-0.5, 0.5), (0, 1), (0.5, 0.5), (0, 0)),),
    (((0.45, -0.4), (0, 0), (-0.45, -0.5), (0, -1), (0.45, -0.4), (0.3, 1)),),
)


def strokes(samples: int = 500, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """`x, y`: images uint8 (10 * samples, 28, 28, 1), white on black, and their digits int64, digit by digit.

    `samples` counts the images of one digit. The same seed gives the same images. Raises UsageError below 1.
    """
    if samples < 1:
        raise UsageError(f"strokes(samples={samples})", why="it takes 1 image of each digit or more")
    rng = host_rng(seed, "strokes")
    images = [_draw(chains, samples, rng) for chains in CHAINS]
    return np.concatenate(images)[..., np.newaxis], np.repeat(np.arange(len(CHAINS), dtype=np.int64), samples)


def _draw(
    chains: tuple[tuple[tuple[float, float], ...], ...], samples: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    turn, slant = rng.normal(0, 0.12, samples), rng.normal(0, 0.2, samples)
    size = rng.uniform(0.8, 1.1, (samples, 2))
    shift, pen = rng.uniform(-2, 2, (samples, 1, 2)), rng.uniform(0.8, 1.6, samples)
    cos, sin = np.cos(turn), np.sin(turn)
    maps = np.stack([cos, -sin + slant, sin, cos], -1).reshape(-1, 2, 2) * size[:, np.newaxis] * REACH
    distance = np.full((samples, SIDE, SIDE), np.inf)
    for chain in chains:
        points = np.asarray(chain) + rng.normal(0, 0.06, (samples, len(chain), 2))
        points = points @ maps.transpose(0, 2, 1) + shift
        for k in range(len(chain) - 1):
            for start in range(0, samples, BLOCK):  # a few at a time, so that the distances stay in cache
                block = slice(start, start + BLOCK)
                near = _distance(points[block, k], points[block, k + 1])
                distance[block] = np.minimum(distance[block], near)
    ink = np.minimum(np.maximum(0.5 + pen[:, np.newaxis, np.newaxis] - distance, 0), 1)
    pixels: NDArray[np.uint8] = np.rint(255 * ink).astype(np.uint8)
    return pixels


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The distance of each pixel from the straight strokes a to b (N, 2)."""
    at = np.arange(SIDE) - (SIDE - 1) / 2
    along, (dx, dy) = b - a, (at - a[:, :1], at - a[:, 1:])
    x, y = dx[:, np.newaxis, :], dy[:, :, np.newaxis]
    length = np.maximum((along**2).sum(-1), 1e-12)[:, np.newaxis, np.newaxis]
    part = (x * along[:, :1, np.newaxis] + y * along[:, 1:, np.newaxis]) / length
    part = np.minimum(np.maximum(part, 0), 1)
    found: NDArray[np.float64] = np.hypot(
        x - part * along[:, :1, np.newaxis], y - part * along[:, 1:, np.newaxis]
    )
    return found
