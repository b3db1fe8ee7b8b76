"""Upsampling: each pixel becomes a block."""

from dataclasses import dataclass
from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.window import Pair, at_least, check_positions, per_axis


@dataclass(frozen=True)
class UpSampling2D(Layer):
    """Each pixel becomes a block of size pixels of its value (nearest neighbour): y[i, j] = x[i // s, j // t].

    Shapes: x (N, H, W, C), y (N, s H, t W, C). Backward: dx is the sum of dy over each block.
    """

    size: int | Pair = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, size=self.size)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        check_positions(shape, 2)
        s, t = per_axis(self.size, 2)
        return {}, (s * shape[0], t * shape[1], shape[2])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        sizes = per_axis(self.size, 2)
        blocks = cx.be.xp.reshape(x, beside(x.shape, (1,) * len(sizes)))
        blocks = cx.be.xp.broadcast_to(blocks, beside(x.shape, sizes))
        grown = (size * n for size, n in zip(sizes, x.shape[1:-1], strict=True))
        return cx.be.xp.reshape(blocks, (x.shape[0], *grown, x.shape[-1])), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        sizes = per_axis(self.size, 2)
        places = (n // size for size, n in zip(sizes, dy.shape[1:-1], strict=True))
        blocks = cx.be.xp.reshape(dy, beside((dy.shape[0], *places, dy.shape[-1]), sizes))
        return cx.be.xp.sum(blocks, axis=tuple(range(2, blocks.ndim, 2))), {}


def beside(shape: Shape, sizes: Shape) -> Shape:
    """(N, n1, n2, ..., C) with the size of a block behind each axis of positions: (N, n1, s1, n2, s2, ..., C)."""
    pairs = zip(shape[1:-1], sizes, strict=True)
    return (shape[0], *(n for pair in pairs for n in pair), shape[-1])
