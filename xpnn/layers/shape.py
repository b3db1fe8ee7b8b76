"""Layers that only move elements: they take any dtype, and their backward is the inverse move."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree


@dataclass(frozen=True)
class Flatten(Layer):
    """(N, a, b, ...) -> (N, a b ...), the last axis fastest."""

    role = "shape"
    input_kind = None
    output_kind = None

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        return {}, (math.prod(shape),)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.reshape(x, (x.shape[0], math.prod(x.shape[1:]))), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        return cx.be.xp.reshape(dy, shape), {}


@dataclass(frozen=True)
class Reshape(Layer):
    """(N, ...) -> (N, *shape), the same elements in the same order."""

    role = "shape"
    input_kind = None
    output_kind = None
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(n > 0 for n in self.shape):
            raise UsageError(
                f"Reshape(shape={self.shape}): wanted whole numbers of at least 1",
                fix="write the sizes out; the axis of the samples is not one of them",
            )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError when the numbers of elements differ."""
        if math.prod(shape) != math.prod(self.shape):
            raise ShapeError(
                f"cannot make {self.shape} ({math.prod(self.shape)} numbers)",
                why=f"got {shape} ({math.prod(shape)} numbers)",
            )
        return {}, self.shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.reshape(x, (x.shape[0], *self.shape)), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        return cx.be.xp.reshape(dy, shape), {}
