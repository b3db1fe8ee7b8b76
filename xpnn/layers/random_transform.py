"""Random affine motions of images while training, one draw for each image, about its centre. Otherwise y = x."""

import math
from dataclasses import dataclass
from typing import Annotated

from xpnn.kernels import Array
from xpnn.layers.base import Ctx
from xpnn.layers.warp import Field, Geometric, Transform
from xpnn.settings import BelowOne, Share, within


def spread(cx: Ctx, n: int, index: int = 0) -> Array:
    """Uniform in [-1, 1): column `index` of two draws for each of n images."""
    return 2 * cx.uniform((n, 2))[:, index] - 1


@dataclass(frozen=True)
class RandomShift(Geometric):
    """y[v, u] = x[v - s H, u - t W], s and t uniform in [-share, share): moved by up to that share of each side."""

    share: Share = 0.1

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        height, width = size
        s, t = (self.share * spread(cx, n, i) for i in (0, 1))
        return (1.0, 0.0, -height * s, 0.0, 1.0, -width * t), None


@dataclass(frozen=True)
class RandomRotation(Geometric):
    """y[q] = x[R(-t) q], R a rotation by t degrees, t uniform in [-degrees, degrees), counter-clockwise as seen."""

    degrees: Annotated[float, within(0, 180)] = 10.0

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        """One draw for each image. Rows count downwards, so a turn to the left reads from further right above."""
        t = math.radians(self.degrees) * spread(cx, n)
        cos, sin = cx.be.xp.cos(t), cx.be.xp.sin(t)
        return (cos, sin, 0.0, -sin, cos, 0.0), None


@dataclass(frozen=True)
class RandomZoom(Geometric):
    """y[q] = x[q / z], z uniform in [1 - share, 1 + share): larger above 1, smaller below."""

    share: BelowOne = 0.1

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        smaller = 1 / (1 + self.share * spread(cx, n))
        return (smaller, 0.0, 0.0, 0.0, smaller, 0.0), None


@dataclass(frozen=True)
class RandomShear(Geometric):
    """y[v, u] = x[v, u + v tan t], t uniform in [-degrees, degrees): uprights lean by t, rows stay rows."""

    degrees: Annotated[float, within(0, 80)] = 10.0

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        slope = cx.be.xp.tan(math.radians(self.degrees) * spread(cx, n))
        return (1.0, 0.0, 0.0, slope, 1.0, 0.0), None
