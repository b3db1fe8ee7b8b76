"""A chain of layers is a layer."""

import functools
from dataclasses import dataclass
from typing import Any

from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.conv import Conv2D
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.nested import checked_layers, expects_ids, plan_child
from xpnn.layers.shape import Flatten, Reshape

RELU_INSIDE = Dense, Conv2D
"""Layers with a `forward_relu`, which gives what a ReLU after it would, in fewer passes over memory."""


@dataclass(frozen=True)
class Sequential(Layer):
    """y = f_n(... f_2(f_1(x))). Parameters, caches and gradients are tuples in layer order."""

    layers: tuple[Layer, ...]

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
    def relu_follows(self) -> tuple[bool, ...]:
        """Of each layer: is it one of those, with a ReLU behind it? Subclasses may have another `forward`.

        Who watches a layer sets its `forward_relu` to None.
        """
        behind = (*self.layers[1:], None)
        return tuple(
            type(layer) in RELU_INSIDE and type(after) is ReLU
            for layer, after in zip(self.layers, behind, strict=True)
        )

    @functools.cached_property
    def relu_between(self) -> tuple[bool, ...]:
        """Of each layer: is it a Dense behind the ReLU of another? Going back, it takes that ReLU along."""
        return tuple(
            i > 1 and self.relu_follows[i - 2] and type(self.layers[i - 2]) is type(layer) is Dense
            for i, layer in enumerate(self.layers)
        )

    @functools.cached_property
    def multi_input(self) -> bool:  # type: ignore[override]
        """Whether the first layer takes several inputs."""
        return bool(self.layers) and self.layers[0].multi_input

    @functools.cached_property
    def input_kind(self) -> Any:  # type: ignore[override]
        """What the first layer that cares takes."""
        kinds = (
            layer.input_kind for layer in self.layers
        )  # asked once each: a chain of chains would double the work per level
        return next((kind for kind in kinds if kind is not None), None)

    @functools.cached_property
    def trained(self) -> bool:  # type: ignore[override]
        """Whether any layer in the chain has parameters to train."""
        return any(layer.trained for layer in self.layers)

    @functools.cached_property
    def output_kind(self) -> Any:  # type: ignore[override]
        """What the last layer gives, but for layers that only move or drop values."""
        last = (
            layer for layer in reversed(self.layers) if not isinstance(layer, Flatten | Reshape | Dropout)
        )
        return next((layer.output_kind for layer in last), "")

    def vocab_size(self) -> Any:
        """That of the layer that takes the ids."""
        return next((layer.vocab_size() for layer in self.layers if layer.input_kind is not None), 0)

    def inner(self, shape: Shape) -> list[tuple[Layer, Shape]]:
        """Every layer, with what it gets."""
        found = []
        for layer in self.layers:
            found.append((layer, shape))
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

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Left to right; keeps every layer's cache."""
        caches: list[tuple[Any, ...]] = []
        done = False
        for i, layer in enumerate(self.layers):
            if done:  # x is this ReLU's output already
                caches.append((x,))
                done = False
                continue
            forward = layer.forward
            if self.relu_follows[i] and layer.forward_relu is not None:  # type: ignore[attr-defined]
                forward, done = layer.forward_relu, True  # type: ignore[attr-defined]
            x, cache = forward(cx.child(i), p[i], x)
            caches.append(cache)
        return x, tuple(caches)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Right to left (the chain rule). Unless dx is wanted, it ends at the first layer with parameters to train."""
        trained = (i for i, layer in enumerate(self.layers) if layer.trained)
        first = 0 if cx.need_dx else next(trained, len(self.layers))
        grads: list[Tree] = [{}] * len(self.layers)
        dx, own = dy, cx.own
        taken = -1  # the ReLU whose gradient the layer behind it took along
        for i in reversed(range(first, len(self.layers))):
            if dx is None:  # a layer on ids has no gradient for what comes before it
                break
            if i == taken:
                continue
            layer, need = self.layers[i], cx.need_dx or i > first
            child = cx.child(i, need, None if cx.into is None else cx.into[i], own)
            if i - 2 >= first and self.relu_between[i] and layer.forward_relu is not None:  # type: ignore[attr-defined]
                dx, grads[i] = layer.backward_relu(child, cache[i], dx, cache[i - 2])  # type: ignore[attr-defined]
                taken = i - 1
            else:
                dx, grads[i] = layer.backward(child, p[i], cache[i], dx)
            own = own if layer.fresh is None else layer.fresh
        return (dx if cx.need_dx else None), tuple(grads)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """Every layer's new statistics."""
        return tuple(layer.update_stats(cx.child(i), p[i], cache[i]) for i, layer in enumerate(self.layers))
