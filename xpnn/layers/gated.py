"""Activations y = x g(x), where g goes from 0 to 1: smooth relatives of ReLU."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree

FAR = 40.0
"""Beyond it every g is 0 or 1 in float64, and powers of x, which may overflow, are left out."""
C = math.sqrt(8 / math.pi)


@dataclass(frozen=True)
class GELU(Layer):
    """y = x P(x), P(x) = (1 + erf(x / sqrt 2)) / 2, the distribution function of N(0, 1).

    approximate: P(x) = (1 + tanh u) / 2 = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3).
    Source: Hendrycks and Gimpel, "Gaussian error linear units", arXiv:1606.08415 (2016).
    """

    role = "activation"
    approximate: bool = False

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if self.approximate:
            near = cx.be.mask(x, cx.be.xp.abs(x) < FAR)
            P = cx.be.sigmoid(x + near * (C - 1 + C * 0.044715 * near * near))
        else:
            P = cx.be.normal_cdf(x)
        return x * P, (x, P)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = dy (P + x P'): P' = e^(-x^2 / 2) / sqrt(2 pi), or P (1 - P) 2 u'."""
        x, P = cache
        near = cx.be.mask(x, cx.be.xp.abs(x) < FAR)
        if self.approximate:
            slope = P * (1 - P) * C * (1 + 3 * 0.044715 * near * near)
        else:
            slope = cx.be.xp.exp(-0.5 * near * near) * math.sqrt(0.5 / math.pi)
        return dy * (P + near * slope), {}


@dataclass(frozen=True)
class SiLU(Layer):
    """y = x s, s = sigmoid(x); dx = dy s (1 + x (1 - s)). Also called Swish.

    Source: Elfwing, Uchibe, Doya, Neural Networks 107 (2018).
    """

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        s = cx.be.sigmoid(x)
        return x * s, (x, s)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        x, s = cache
        return dy * s * (1 + x * (1 - s)), {}


@dataclass(frozen=True)
class Mish(Layer):
    """y = x t, t = tanh(softplus(x)); dx = dy (t + x sigmoid(x) (1 - t^2)).

    With e = e^-|x|, t = n / (n + 2 m), where n, m = 1 + 2 e, e^2 for x >= 0 and e (e + 2), 1 below: no digits lost.
    Source: Misra, BMVC 2020.
    """

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = cx.be.xp
        e = xp.exp(-xp.abs(x))
        n = xp.where(x >= 0, 1 + 2 * e, e * (e + 2))
        t = n / (n + 2 * xp.where(x >= 0, e * e, xp.ones_like(e)))
        return x * t, (x, t)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        x, t = cache
        return dy * (t + x * cx.be.sigmoid(x) * (1 - t * t)), {}
