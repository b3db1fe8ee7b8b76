"""Containers: they check their layers, and name the one that cannot take its input by its path."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from xpnn.config import short_repr
from xpnn.errors import ShapeError, UsageError
from xpnn.layers.base import Layer, LayerLike, Shape, Tree, is_multiple
from xpnn.layers.budget import CURRENT
from xpnn.layers.lengths import check_parameters, is_open
from xpnn.settings import Coerced

OneLayer: TypeAlias = Coerced[LayerLike | Sequence[LayerLike], Layer]
"""A layer; a list of layers is a chain."""
Layers: TypeAlias = Coerced[Sequence[LayerLike], tuple[Layer, ...]]
Branches: TypeAlias = Coerced[Sequence[LayerLike | Sequence[LayerLike]], tuple[Layer, ...]]


def checked_layers(name: str, layers: Any, chains: bool = False) -> tuple[Layer, ...]:
    """A tuple of layers; with `chains` an entry may be a list of them. Raises UsageError, naming one that is none."""
    if not isinstance(layers, Iterable):
        raise UsageError(f"{name}(layers={layers!r}): wanted a list of layers")
    found: tuple[Layer, ...] = tuple(as_layer(one, chains) for one in layers)
    for i, layer in enumerate(found):
        if not isinstance(layer, Layer):
            hint = f"{layer.__name__}()" if isinstance(layer, type) else "a layer such as Dense(10) or ReLU()"
            raise UsageError(f"entry {i} of {name} is not a layer: {short_repr(layer)}", fix=f"write {hint}")
    return found


def as_layer(given: Any, chains: bool) -> Any:
    """An object with forward and backward as a layer, with `chains` a list too; all else as it is."""
    if isinstance(given, Layer | type) or (isinstance(given, list | tuple) and not chains):
        return given
    return Layer.coerce(given) or given


def plan_child(
    i: int | str, layer: Layer, shape: Shape, trail: Sequence[str] | Callable[[], Sequence[str]]
) -> tuple[Tree, Shape]:
    """The plan of entry `i`. Raises ShapeError with the path of the layer that cannot take its input.

    `trail`: the shapes on the way there, or what finds them.
    """
    try:
        if is_multiple(shape) and not layer.multi_input:
            raise ShapeError(f"takes one input, got {len(shape)}", why=f"their shapes are {shape}")
        specs, out = layer.plan(shape)
        if is_open(shape):
            check_parameters(specs)
        if (budget := CURRENT.get()) is not None:  # the network is from a file
            budget.spend(out)
        return specs, out
    except ShapeError as error:
        path = f"{i}.{error.path}" if error.path else str(i)
        culprit = error.layer or short_repr(layer)
        inner = [f"{i}.{step}" for step in error.way[1:]] or [f"{i} {type(layer).__name__} (here)"]
        raise ShapeError(
            error.detail,
            why=error.why,
            path=path,
            layer=culprit,
            way=(*(trail() if callable(trail) else trail), *inner),
        ) from error


def of_inner(trait: str) -> Any:
    """The trait of that name of the layer in `layer`: `trained = of_inner("trained")`."""
    return functools.cached_property(lambda layer: getattr(layer.layer, trait))


def taken_by_all(layers: tuple[Layer, ...]) -> Any:
    """What layers take that all get the same input and whose results meet: one dtype, so never None."""
    kinds = {layer.input_kind for layer in layers}
    return next(iter(kinds)) or "float" if len(kinds) == 1 else "float"


def expects_ids(layer: Layer) -> bool:
    """Whether any of the layer's inputs are ids."""
    return "int" in layer.input_kind if isinstance(layer.input_kind, tuple) else layer.input_kind == "int"


def refuse_one(net: Layer, shape: Shape, prefix: str = "") -> None:
    """Raise ShapeError, with its path, for a layer that cannot be trained on a batch of one sample."""
    for name, layer, given in net.children(shape):
        if layer.min_batch_size(given) > 1:
            raise ShapeError(
                "cannot be trained on a batch of one sample",
                why="one value per feature has no variance",
                path=f"{prefix}{name}",
                layer=short_repr(layer),
                fix="a batch size that leaves no last batch of one",
            )
        refuse_one(layer, given, f"{prefix}{name}.")
