"""Recomputation of activations (gradient checkpointing): less memory for more time."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xpnn.kernels import Array
from xpnn.layers.base import Child, Ctx, Layer, LayerLike, Shape, Tree


@dataclass(frozen=True)
class Recompute(Layer):
    """y = f(x), keeping x: the backward pass runs f forward again, on the same x, masks and parameters.

    Parameters keep the paths and random streams they have without it, so it changes neither the results nor a saved
    model's values. A step's peak memory falls by what f keeps; it pays a second forward pass.
    Source: Griewank, Walther, "Algorithm 799: Revolve", ACM TOMS 26 (2000); Chen, Xu, Zhang, Guestrin (2016).
    """

    role = "container"
    layer: Layer

    if TYPE_CHECKING:  # a list is as good as a tuple

        def __init__(self, layer: LayerLike | Sequence[LayerLike]) -> None: ...

    @functools.cached_property
    def multi_input(self) -> bool:
        """Whether f takes several inputs."""
        return self.layer.multi_input

    @functools.cached_property
    def input_kind(self) -> Any:
        """The kind of input that f takes."""
        return self.layer.input_kind

    @functools.cached_property
    def trained(self) -> bool:
        """Whether f has parameters to train."""
        return self.layer.trained

    @functools.cached_property
    def output_kind(self) -> Any:
        """The kind of output that f returns."""
        return self.layer.output_kind

    @functools.cached_property
    def differentiable(self) -> bool:
        """Whether f is differentiable."""
        return self.layer.differentiable

    @functools.cached_property
    def vocab_size(self) -> Any:
        """How many ids f knows."""
        return self.layer.vocab_size

    def children(self, shape: Shape) -> list[Child]:
        """What is in f: f has no path of its own."""
        return self.layer.children(shape)

    def min_batch_size(self, shape: Shape) -> int:
        """The smallest batch that f accepts while training."""
        return self.layer.min_batch_size(shape)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """The plan of f."""
        return self.layer.plan(shape)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, and f's new statistics."""
        y, cache = self.layer.forward(cx, p, x)
        return y, (x, self.layer.update_stats(cx, p, cache) if cx.train else {})

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Forward again, for the cache."""
        return self.layer.backward(cx, p, self.layer.forward(cx, p, cache[0])[1], dy)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """f's new statistics, from the first pass."""
        return cache[1]
