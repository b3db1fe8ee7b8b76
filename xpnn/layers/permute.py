"""Axes in another order."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree


@dataclass(frozen=True)
class Permute(Layer):
    """Axis i of y is axis axes[i - 1] of x: Permute((2, 1)) takes (N, a, b) to (N, b, a).

    axes: 1, 2, ..., as many as a sample has, in the new order; axis 0, that of the samples, stays where it is.
    Backward: the axes of dy back in their places. Raises UsageError for anything else than such an order.
    """

    role = "shape"
    input_kind = None
    output_kind = None
    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if sorted(self.axes) != list(range(1, len(self.axes) + 1)):
            raise UsageError(
                f"Permute(axes={self.axes}): wanted 1 to {max(1, len(self.axes))}, each once",
                why="axis 0 is that of the samples",
            )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError for samples with another number of axes."""
        if len(shape) != len(self.axes):
            raise ShapeError(f"orders {len(self.axes)} axes", why=f"a sample is {shape}")
        return {}, tuple(shape[axis - 1] for axis in self.axes)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.permute_dims(x, (0, *self.axes)), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        inverse = (self.axes.index(axis) + 1 for axis in range(1, len(self.axes) + 1))
        return cx.be.xp.permute_dims(dy, (0, *inverse)), {}
