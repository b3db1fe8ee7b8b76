"""A chain of layers is a layer."""

import functools
from typing import Any

from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Child, Ctx, Layer, Shape, Tree
from xpnn.layers.containers import Layers, checked_layers, expects_ids, plan_child
from xpnn.settings import frozen


@frozen
class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))). Parameters, caches and gradients are tuples in layer order."""

    role = "container"
    layers: Layers

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_layers("Sequential", self.layers))
        for i, layer in enumerate(self.layers):
            if expects_ids(layer) and any(before.input_kind is not None for before in self.layers[:i]):
                raise UsageError(
                    f"entry {i} of Sequential takes ids: {short_repr(layer)}",
                    why="a layer before it gives real numbers",
                    fix="put it first",
                )

    @functools.cached_property
    def multi_input(self) -> bool:
        return bool(self.layers) and self.layers[0].multi_input

    @functools.cached_property
    def input_kind(self) -> Any:
        """The input_kind of the first layer that does not pass on whatever comes."""
        kinds = (
            layer.input_kind for layer in self.layers
        )  # asked once each: a chain of chains would double the work per level
        return next((kind for kind in kinds if kind is not None), None)

    @functools.cached_property
    def trained(self) -> bool:
        return any(layer.trained for layer in self.layers)

    @functools.cached_property
    def output_kind(self) -> Any:
        """What the last layer gives that does not pass on what it got."""
        kinds = (layer.output_kind for layer in reversed(self.layers))
        return next((kind for kind in kinds if kind is not None), None)

    @functools.cached_property
    def vocab_size(self) -> Any:
        """That of the layer that takes the ids."""
        return next((layer.vocab_size for layer in self.layers if layer.input_kind is not None), 0)

    def children(self, shape: Shape) -> list[Child]:
        found = []
        for i, layer in enumerate(self.layers):
            found.append(Child(str(i), layer, shape))
            shape = layer.plan(shape)[1]
        return found

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError with the path of the layer that cannot take its input, and the shapes on the way there."""
        specs, trail = [], [str(shape)]
        for i, layer in enumerate(self.layers):
            spec, out = plan_child(i, layer, shape, trail)
            specs.append(spec)
            shape = out
            trail.append(f"{i} {type(layer).__name__} {shape}")
        return tuple(specs), shape

    @functools.cached_property
    def first_trained(self) -> int:
        """The first layer with parameters to train: unless dx is wanted, the backward pass ends there."""
        return next((i for i, layer in enumerate(self.layers) if layer.trained), len(self.layers))

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        caches = []
        for i, layer in enumerate(self.layers):
            x, cache = layer.forward(cx.child(i), p[i], x)
            caches.append(cache)
        return x, tuple(caches)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Right to left: the chain rule."""
        first = 0 if cx.need_dx else self.first_trained
        grads: list[Tree] = [{}] * len(self.layers)
        dx: Array | None = dy
        for i in reversed(range(first, len(self.layers))):
            if dx is None:  # a layer on ids has no gradient for what comes before it
                break
            dx, grads[i] = self.layers[i].backward(cx.child(i, cx.need_dx or i > first), p[i], cache[i], dx)
        return (dx if cx.need_dx else None), tuple(grads)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        return tuple(layer.update_stats(cx.child(i), p[i], cache[i]) for i, layer in enumerate(self.layers))
