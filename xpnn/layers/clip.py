"""Clip, which limits values, and Hardmax, which picks the largest."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree


@dataclass(frozen=True)
class Clip(Layer):
    """y = x held between low and high; dx = dy where low <= x <= high, else 0, as PyTorch's `clamp`. NaN stays NaN.

    None: no limit on that side. Raises UsageError for a low above high.
    """

    role = "activation"
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise UsageError(f"Clip(low={self.low}, high={self.high}): wanted low at most as large as high")

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp, y, inside = cx.be.xp, x, x == x
        if self.low is not None:
            y, inside = xp.where(x < self.low, xp.full_like(x, self.low), y), inside & (x >= self.low)
        if self.high is not None:
            y, inside = xp.where(x > self.high, xp.full_like(x, self.high), y), inside & (x <= self.high)
        return y, (inside,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (inside,) = cache
        return cx.be.mask(dy, inside), {}


@dataclass(frozen=True)
class Hardmax(Layer):
    """y = 1 for the first of the largest x on the last axis, 0 for the others: softmax's decision, as a row.

    Its slope is 0 wherever it has one, so nothing can be learned through it: backward raises UsageError.
    """

    role = "activation"
    differentiable = False
    output_kind = "probabilities"

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError for an axis without values."""
        if not shape or shape[-1] == 0:
            raise ShapeError("wants at least one feature on the last axis", why=f"got {shape}")
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        first = cx.be.xp.expand_dims(cx.be.xp.argmax(x, axis=-1), axis=-1)
        return cx.be.xp.astype(first == cx.be.arange(x.shape[-1]), x.dtype), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        path = ".".join(map(str, cx.key[1:]))
        raise UsageError(
            f"layer {path} Hardmax cannot be trained through",
            why="its gradient is 0 everywhere, so no layer before it would ever learn",
            fix="train with Softmax(), and put Hardmax() in its place afterwards",
        )
