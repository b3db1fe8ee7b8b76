"""Positional encoding: adds the position in the sequence to inputs of layers that are blind to order."""

import functools
import math
from dataclasses import dataclass
from typing import Annotated, Any

from xpnn.initializers import Initializer, Normal, Sinusoidal
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.lengths import is_open
from xpnn.layers.recurrent import check_sequence
from xpnn.settings import one_of

near_zero = Normal(0.02)
BASE = Sinusoidal().base


@dataclass(frozen=True)
class PositionalEncoding(Layer):
    """y = x + P: each position of a sequence gets a vector of its own added.

    kind "sinusoidal": P is fixed, sin and cos of falling frequencies (`initializers.Sinusoidal`); kept in phi: saved,
    not trained. "learned": P is trained, and begins as `init` says. Shapes: x and y (N, time, features), P (time,
    features): the input shape fixes the time. Where it leaves the time open, sinusoidal positions are computed in each
    pass, and nothing is kept. Backward: dx = dy; dP = sum of dy over the samples.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; learned: Gehring, Auli, Grangier, Yarats,
    Dauphin, "Convolutional sequence to sequence learning", ICML 2017.
    """

    kind: Annotated[str, one_of("sinusoidal", "learned")] = "sinusoidal"
    init: Initializer = near_zero

    @functools.cached_property
    def trained(self) -> bool:
        return self.kind == "learned"

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """P. Raises ShapeError for what is no sequence."""
        check_sequence(shape)
        if is_open(shape) and not self.trained:
            return {}, shape
        return {"P": Spec(shape, self.init if self.trained else Sinusoidal(), trainable=self.trained)}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x + (p["P"] if "P" in p else waves(cx, *x.shape[1:])), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        grads = {"P": cx.be.xp.sum(dy, axis=0)} if self.trained else {}
        return (dy if cx.need_dx else None), grads


def waves(cx: Ctx, time: int, features: int) -> Array:
    """What `initializers.Sinusoidal` gives for a shape (time, features), computed on the device."""
    be, xp = cx.be, cx.be.xp
    place = be.arange(features)
    pair = xp.astype(place // 2, be.dtype)
    speed = xp.exp(pair * (-2 * math.log(BASE) / features))
    angle = xp.astype(be.arange(time), be.dtype)[:, None] * speed
    return xp.where(place % 2 == 0, xp.sin(angle), xp.cos(angle))
