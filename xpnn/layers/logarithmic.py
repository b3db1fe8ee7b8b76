"""Logarithms of Softmax and Sigmoid, which never pass through a probability that rounds to 0."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree


@dataclass(frozen=True)
class LogSoftmax(Layer):
    """y_i = x_i - max x - log sum_j e^(x_j - max x) on the last axis; dx = dy - softmax(x) sum_j dy_j.

    A row of -inf alone has no softmax: it gives NaN, as in PyTorch.
    """

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = cx.be.xp
        z = x - xp.max(x, axis=-1, keepdims=True)
        y = z - xp.log(xp.sum(xp.exp(z), axis=-1, keepdims=True))
        return y, (y,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """softmax(x) = e^y."""
        (y,) = cache
        return dy - cx.be.xp.exp(y) * cx.be.xp.sum(dy, axis=-1, keepdims=True), {}


@dataclass(frozen=True)
class LogSigmoid(Layer):
    """y = log sigmoid(x) = -softplus(-x); dx = dy sigmoid(-x)."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return -cx.be.softplus(-x), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x,) = cache
        return dy * cx.be.sigmoid(-x), {}
