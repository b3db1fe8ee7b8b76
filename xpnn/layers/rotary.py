"""Rotary positions: features in pairs, each pair rotated by an angle that grows with the position."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.recurrent import check_sequence
from xpnn.settings import Count, Limits, one_of

Layout: TypeAlias = Annotated[str, one_of("half", "interleaved")]
Base: TypeAlias = Annotated[float, Limits("a number above 1", lambda base: base > 1)]


@dataclass(frozen=True)
class RotaryPositions(Layer):
    """(a, b) becomes (a cos - b sin, b cos + a sin) of the angle t base^(-2 i / size), for pair i at position t.

    So the product of two vectors that are rotated at positions s and t depends on t - s alone. layout says which
    features make pair i: "half", features i and i + size / 2, as in GPT-NeoX and Llama; "interleaved", features 2 i and
    2 i + 1, as in the paper and GPT-J. heads: the features are those of so many heads side by side, each rotated.
    size: how many features of each head are rotated, the first ones; all by default.
    Shapes: x and y (time, features), any time. Backward: the same turn by the opposite angle.
    Source: Su, Lu, Pan, Murtadha, Wen, Liu, "RoFormer: enhanced transformer with rotary position embedding", 2021.
    """

    layout: Layout = "half"
    heads: Count = 1
    base: Base = 10000.0
    size: Count | None = None

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError for no sequence, and where heads or pairs do not divide the features."""
        check_sequence(shape)
        width, rest = divmod(shape[1], self.heads)
        size = width if self.size is None else self.size
        if rest or size % 2 or size > width:
            raise ShapeError(
                f"turns pairs of {size} features in each of {self.heads} heads", why=f"got {shape}"
            )
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self._rotated(cx, x), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """By the opposite angle."""
        return (self._rotated(cx, dy, back=True) if cx.need_dx else None), {}

    def _rotated(self, cx: Ctx, x: Array, back: bool = False) -> Array:
        xp, (n, time, features) = cx.be.xp, x.shape
        width = features // self.heads
        size = width if self.size is None else self.size
        heads = xp.permute_dims(xp.reshape(x, (n, time, self.heads, width)), (0, 2, 1, 3))
        y = rotated(cx, heads[..., :size], self.layout, self.base, back)
        y = y if size == width else xp.concat([y, heads[..., size:]], axis=-1)
        return xp.reshape(xp.permute_dims(y, (0, 2, 1, 3)), x.shape)


def rotated(cx: Ctx, x: Array, layout: str, base: float, back: bool = False) -> Array:
    """x (..., time, size) with every pair rotated by its angle; back: by the opposite angle."""
    xp, n = cx.be.xp, x.shape[-1] // 2
    speed = xp.exp(xp.astype(cx.be.arange(n), cx.be.dtype) * (-math.log(base) / n))
    angle = xp.astype(cx.be.arange(x.shape[-2]), cx.be.dtype)[:, None] * speed
    cos, sin = xp.cos(angle), xp.sin(-angle if back else angle)
    if layout == "half":
        a, b = x[..., :n], x[..., n:]
        return xp.concat([a * cos - b * sin, b * cos + a * sin], axis=-1)
    a, b = x[..., 0::2], x[..., 1::2]
    return xp.reshape(xp.stack([a * cos - b * sin, b * cos + a * sin], axis=-1), x.shape)
