"""Noise while training, drawn from (seed, path of the layer, step): the same on every backend. Otherwise y = x."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.exponential import ALPHA, SCALE
from xpnn.settings import AtLeastZero, BelowOne, Share


@dataclass(frozen=True)
class GaussianNoise(Layer):
    """While training y = x + std z, with z of mean 0 and variance 1; dx = dy.

    z is `Kernels.normal`: the same numbers on every backend and in every dtype, within 6 standard deviations.
    Source: Bishop, "Training with noise is equivalent to Tikhonov regularization", Neural Computation 7 (1995).
    """

    role = "noise"
    std: AtLeastZero

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if not cx.train or self.std == 0:
            return x, ()
        return x + self.std * cx.normal(x.shape), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return dy, {}


@dataclass(frozen=True)
class SpatialDropout(Layer):
    """Dropout of whole channels: one draw per sample and channel, for all positions.

    While training y = x / (1 - rate) where u >= rate, else 0, with u uniform in [0, 1). Shapes: x (N, ..., channels).
    Source: Tompson, Goroshin, Jain, LeCun, Bregler, CVPR 2015.
    """

    role = "noise"
    rate: Share

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError without an axis of positions."""
        if len(shape) < 2:
            raise ShapeError(
                "wants positions and channels", why=f"got {shape}", fix="Dropout for single values"
            )
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if not cx.train or self.rate == 0:
            return x, ()
        one = (1,) * (x.ndim - 2)
        keep = cx.keep_mask((x.shape[0], *one, x.shape[-1]), self.rate)
        return self._mask(cx, keep, x), (keep,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return (self._mask(cx, cache[0], dy) if cache else dy), {}

    def _mask(self, cx: Ctx, keep: Array, x: Array) -> Array:
        scale = 0.0 if self.rate == 1 else 1 / (1 - self.rate)
        return cx.be.xp.where(keep, x * scale, cx.be.xp.zeros_like(x))


@dataclass(frozen=True)
class AlphaDropout(Layer):
    """Dropout for SELU: what is dropped becomes SELU's limit L = -1.7581, and mean 0, variance 1 stay as they are.

    While training y = a (x where u >= rate, else L) + b, with a = 1 / sqrt((1 - rate) (1 + rate L^2)), b = -a rate L.
    Source: Klambauer, Unterthiner, Mayr, Hochreiter, NIPS 2017.
    """

    role = "noise"
    rate: BelowOne

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if not cx.train or self.rate == 0:
            return x, ()
        keep, a = cx.keep_mask(x.shape, self.rate), self.gain()
        kept = cx.be.xp.where(keep, x, cx.be.xp.full_like(x, -SCALE * ALPHA))
        return a * kept + a * self.rate * SCALE * ALPHA, (keep,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return (cx.be.mask(self.gain() * dy, cache[0]) if cache else dy), {}

    def gain(self) -> float:
        """a, which keeps the variance at 1."""
        return 1 / math.sqrt((1 - self.rate) * (1 + self.rate * (SCALE * ALPHA) ** 2))
