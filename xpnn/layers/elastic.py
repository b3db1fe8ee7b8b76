"""Elastic distortion of images while training: as if written by another hand. Otherwise y = x."""

import math
from dataclasses import dataclass
from typing import Annotated

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.layers.base import Ctx
from xpnn.layers.warp import STILL, Field, Geometric, Transform
from xpnn.settings import AtLeastZero, at_least


@dataclass(frozen=True)
class RandomElastic(Geometric):
    """y[q] = x[q + d(q)], d a smooth random field: each of its two parts is strength sum_k w(q - k) z_k.

    z_k: independent, uniform, of mean 0 and variance 1, on a grid of points k `smoothness` pixels apart; w: a Gaussian
    of that standard deviation, scaled so that sum_k w^2 = 1. So d has standard deviation `strength`, in pixels.
    Source: Simard, Steinkraus, Platt, ICDAR 2003, who draw a z for every pixel; theirs is strength 1.4, smoothness 4.
    """

    strength: AtLeastZero = 1.0
    smoothness: Annotated[float, at_least(1)] = 4.0

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        """z_k is smoothed along the columns, then along the rows: w is a product of two Gaussians."""
        xp, be = cx.be.xp, cx.be
        rows, columns = (gaussians(be, side, self.smoothness) for side in size)
        count = rows.shape[1], columns.shape[1]
        z = math.sqrt(3) * (2 * cx.uniform((2, n, *count), axis=1) - 1)
        smooth = xp.reshape(be.matmul(xp.reshape(z, (-1, count[1])), columns.T), (2 * n, count[0], size[1]))
        d = xp.reshape(self.strength * be.matmul(rows, smooth), (2, n, *size))
        return STILL, (d[0, ...], d[1, ...])


def gaussians(be: Backend, side: int, sigma: float) -> Array:
    """(side, points): of each pixel the weights of the grid's points, which begin one before the first pixel."""
    xp, points = be.xp, math.ceil((side - 1) / sigma) + 3
    pixels = xp.astype(be.arange(side), be.dtype) / sigma
    grid = xp.astype(be.arange(points), be.dtype) - 1
    w = xp.exp(-0.5 * (pixels[:, None] - grid) ** 2)
    return w / xp.sqrt(xp.sum(w * w, axis=1, keepdims=True))
