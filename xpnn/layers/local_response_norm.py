"""Local response normalization."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.settings import Count
from xpnn.window import Window


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """y = x / s^beta with s = k + alpha / size * (sum of x^2 over `size` neighbouring channels).

    The channels c - floor((size - 1) / 2), ..., c + floor(size / 2), as far as there are. Shapes: x and y (..., C).
    Backward: dx = dy s^-beta - 2 alpha beta / size x (sum of dy x s^(-beta - 1) over the channels that have it in their
    sum). Source: Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks",
    NIPS 2012; alpha is divided by the size as in Caffe, ONNX and PyTorch.
    """

    size: Count = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        rows = cx.be.xp.reshape(x, (-1, x.shape[-1], 1))
        s = self.k + self.alpha / self.size * cx.be.sum_pool(rows * rows, self._window())
        s = cx.be.xp.reshape(s, x.shape)
        return x * s**-self.beta, (x, s)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        x, s = cache
        rows = cx.be.xp.reshape(dy * x * s ** (-self.beta - 1), (-1, x.shape[-1], 1))
        through = cx.be.xp.reshape(cx.be.sum_pool_grad(rows, rows.shape, self._window()), x.shape)
        return dy * s**-self.beta - 2 * self.alpha * self.beta / self.size * x * through, {}

    def _window(self) -> Window:
        return Window((self.size,), pads=(((self.size - 1) // 2, self.size // 2),))
