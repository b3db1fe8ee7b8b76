"""Recomputation of activations (gradient checkpointing): less memory for more time."""

from typing import Any

from xpnn.kernels import Array
from xpnn.layers.base import Child, Ctx, Layer, Shape, Tree
from xpnn.layers.containers import OneLayer, of_inner
from xpnn.settings import frozen


@frozen
class Recompute(Layer):
    """y = f(x), keeping x: the backward pass runs f forward again, on the same x, masks and parameters.

    Parameters keep the paths and random streams they have without it, so it changes neither the results nor a saved
    model's values. A step's peak memory falls by what f keeps; it pays a second forward pass.
    Source: Griewank, Walther, "Algorithm 799: Revolve", ACM TOMS 26 (2000); Chen, Xu, Zhang, Guestrin (2016).
    """

    role = "container"
    layer: OneLayer
    multi_input = of_inner("multi_input")
    input_kind = of_inner("input_kind")
    trained = of_inner("trained")
    output_kind = of_inner("output_kind")
    differentiable = of_inner("differentiable")
    vocab_size = of_inner("vocab_size")

    def children(self, shape: Shape) -> list[Child]:
        """The children of f, which has no path of its own."""
        return self.layer.children(shape)

    def min_batch_size(self, shape: Shape) -> int:
        return self.layer.min_batch_size(shape)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        return self.layer.plan(shape)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, and f's new statistics."""
        y, cache = self.layer.forward(cx, p, x)
        return y, (x, self.layer.update_stats(cx, p, cache) if cx.train else {})

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return self.layer.backward(cx, p, self.layer.forward(cx, p, cache[0])[1], dy)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """f's new statistics, from the first pass."""
        return cache[1]
