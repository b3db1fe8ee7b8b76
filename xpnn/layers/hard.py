"""Piecewise linear activations (and Softsign, a hyperbola): cheap versions of Sigmoid, SiLU and Tanh."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree


def clamp(cx: Ctx, x: Array, limit: float) -> Array:
    """x held between -limit and limit. NaN stays NaN."""
    xp = cx.be.xp
    return xp.where(xp.abs(x) > limit, limit * xp.sign(x), x)


@dataclass(frozen=True)
class HardSigmoid(Layer):
    """y = x / 6 + 1/2, held between 0 and 1; dx = dy / 6 where -3 < x < 3, else 0.

    Source: Courbariaux, Bengio, David, NIPS 2015; with the slope 1/6 Howard et al., ICCV 2019.
    """

    role = "activation"
    output_kind = "probabilities"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return (clamp(cx, x, 3.0) + 3) / 6, (cx.be.xp.abs(x) < 3,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (inside,) = cache
        return cx.be.mask(dy / 6, inside), {}


@dataclass(frozen=True)
class HardSwish(Layer):
    """y = x h, h = x / 6 + 1/2 held between 0 and 1. Source: Howard et al., "MobileNetV3", ICCV 2019."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x * ((clamp(cx, x, 3.0) + 3) / 6), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = dy (h + x / 6) where -3 < x < 3, else dy h."""
        (x,) = cache
        h = (clamp(cx, x, 3.0) + 3) / 6
        return dy * (h + cx.be.mask(x / 6, cx.be.xp.abs(x) < 3)), {}


@dataclass(frozen=True)
class HardTanh(Layer):
    """y = x held between -1 and 1; dx = dy where -1 < x < 1, else 0. Source: Collobert, thesis, Paris 6 (2004)."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return clamp(cx, x, 1.0), (cx.be.xp.abs(x) < 1,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (inside,) = cache
        return cx.be.mask(dy, inside), {}


@dataclass(frozen=True)
class Softsign(Layer):
    """y = x / (1 + |x|); dx = dy / (1 + |x|)^2. Source: Turian, Bergstra, Bengio, NAACL 2009."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        d = 1 + cx.be.xp.abs(x)
        return x / d, (d,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Divided twice: the square may overflow."""
        (d,) = cache
        return dy / d / d, {}
