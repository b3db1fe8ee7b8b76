"""Activations with an exponential branch below 0: relatives of ELU."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.settings import Positive

ALPHA = 1.6732632423543772848170429916717
SCALE = 1.0507009873554804934193349852946


def negative(cx: Ctx, x: Array) -> Array:
    """min(x, 0): where the branch below 0 is computed, so that it is finite also where it is not used."""
    return cx.be.xp.where(x > 0, cx.be.xp.zeros_like(x), x)


@dataclass(frozen=True)
class SELU(Layer):
    """y = scale x where x > 0, else scale alpha (e^x - 1), with alpha 1.67326... and scale 1.05070...

    The constants make mean 0 and variance 1 the fixed point of a deep chain of layers whose weights are drawn by
    `lecun_normal`; its dropout is AlphaDropout. Source: Klambauer, Unterthiner, Mayr, Hochreiter, NIPS 2017.
    """

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        low = SCALE * ALPHA * cx.be.xp.expm1(negative(cx, x))
        return cx.be.xp.where(x > 0, SCALE * x, low), (x, low)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = scale dy where x > 0, else dy scale alpha e^x = dy (y + scale alpha)."""
        x, low = cache
        return cx.be.xp.where(x > 0, SCALE * dy, dy * (low + SCALE * ALPHA)), {}


@dataclass(frozen=True)
class CELU(Layer):
    """y = x where x > 0, else alpha (e^(x / alpha) - 1): its slope is 1 at 0 for every alpha.

    Source: Barron, "Continuously differentiable exponential linear units", arXiv:1704.07483 (2017).
    """

    role = "activation"
    alpha: Positive = 1.0

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        low = cx.be.xp.expm1(negative(cx, x) / self.alpha)
        return cx.be.xp.where(x > 0, x, self.alpha * low), (x, low)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = dy where x > 0, else dy e^(x / alpha)."""
        x, low = cache
        return cx.be.xp.where(x > 0, dy, dy * (low + 1)), {}
