"""Dropout: random zeros while training, identity afterwards."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.settings import Share


@dataclass(frozen=True)
class Dropout(Layer):
    """While training y = x / (1 - rate) where u >= rate, else 0, with u uniform in [0, 1); otherwise y = x.

    u is drawn from (seed, path of the layer, step): the same mask on every backend.
    Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, JMLR 15 (2014).
    """

    role = "noise"
    output_kind = None
    rate: Share

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if not cx.train or self.rate == 0:
            return x, ()
        keep = cx.keep_mask(x.shape, self.rate)
        return self._mask(cx, keep, x), (keep,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return (self._mask(cx, cache[0], dy) if cache else dy), {}

    def _mask(self, cx: Ctx, keep: Array, x: Array) -> Array:
        scale = 0.0 if self.rate == 1 else 1 / (1 - self.rate)
        return cx.be.scaled_mask(x, keep, scale)
