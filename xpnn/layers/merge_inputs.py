"""Layers of several inputs that become one."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree, is_multiple
from xpnn.layers.merge_operations import merged, merged_shape, parts


class Merge(Layer, abstract=True):
    """The base class of layers that join several inputs into one.

    All but Concatenate take shapes that agree, or have 1 where another has more: (1, 1, C) beside (H, W, C) is repeated
    for each pixel, and its gradient is the sum over them.
    """

    multi_input = True
    merge: ClassVar[str]

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError for one input alone, and when the shapes cannot be merged."""
        if not is_multiple(shape):
            raise ShapeError("wants several inputs, a tuple of shapes", why=f"got {shape}")
        return {}, merged_shape(self.merge, shape)

    def forward(self, cx: Ctx, p: Tree, x: tuple[Array, ...]) -> tuple[Array, tuple[Any, ...]]:
        y, kept = merged(cx, self.merge, x)
        return y, (len(x), kept)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        _, kept = cache
        return (tuple(parts(cx, self.merge, kept, dy)) if cx.need_dx else None), {}


@dataclass(frozen=True)
class Concatenate(Merge):
    """y = (x_0, x_1, ...) side by side on the last axis; dx_i = dy on the part of x_i.

    Shapes: (..., n_0), (..., n_1), ... to (..., n_0 + n_1 + ...): they agree but for the last axis.
    """

    merge = "concatenate"


@dataclass(frozen=True)
class Add(Merge):
    """y = x_0 + x_1 + ..., element by element, where axes of 1 are repeated; dx_i = dy, summed over those."""

    merge = "add"


@dataclass(frozen=True)
class Subtract(Merge):
    """y = x_0 - x_1, where axes of 1 are repeated; dx_0 = dy, dx_1 = -dy, summed over those."""

    merge = "subtract"


@dataclass(frozen=True)
class Multiply(Merge):
    """y = x_0 x_1 ..., where axes of 1 are repeated; dx_i = dy prod_{j != i} x_j, summed over those."""

    merge = "multiply"


@dataclass(frozen=True)
class Average(Merge):
    """y = (x_0 + x_1 + ...) / n, where axes of 1 are repeated; dx_i = dy / n, summed over those."""

    merge = "average"
