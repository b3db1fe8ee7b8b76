"""A chain of layers, computed group by group."""

import functools
from typing import Any, NamedTuple

from xpnn.fusion.rule import Rule
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.batchnorm import BatchNorm
from xpnn.layers.containers import Layers
from xpnn.layers.pool import AvgPool1D, AvgPool2D, AvgPool3D, MaxPool1D, MaxPool2D, MaxPool3D
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape
from xpnn.settings import frozen

RETURNS_NEW = (BatchNorm, MaxPool1D, MaxPool2D, MaxPool3D, AvgPool1D, AvgPool2D, AvgPool3D)
"""Layers whose dx is a new array without other references."""
MOVES = (Flatten, Reshape)
"""Layers whose dx is dy, in another shape."""


class Group(NamedTuple):
    """Layers start, ..., stop - 1 of a chain: computed together by `rule`, or one layer by itself."""

    start: int
    stop: int
    rule: Rule | None = None


def groups_of(layers: tuple[Layer, ...], rules: tuple[type[Rule], ...]) -> tuple[Group, ...]:
    """The chain cut into groups: at each layer the first rule that matches, or none."""
    found, i = [], 0
    while i < len(layers):
        matches = ((rule, rule.match(layers[i:])) for rule in rules)
        rule, n = next(((rule, n) for rule, n in matches if n), (None, 1))
        found.append(Group(i, i + n, None if rule is None else rule(layers[i : i + n], i)))
        i += n
    return tuple(found)


@frozen
class FusedSequential(Sequential, abstract=True):
    """The Sequential of the same layers, with the same parameters and paths, computed by the rules that match."""

    layers: Layers  # once more: mypy would give a subclass the type that `__init__` takes
    rules: tuple[type[Rule], ...] = ()

    @functools.cached_property
    def groups(self) -> tuple[Group, ...]:
        """The groups, found once."""
        return groups_of(self.layers, self.rules)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        caches = []
        for start, stop, rule in self.groups:
            if rule is None:
                x, cache = self.layers[start].forward(cx.child(start), p[start], x)
            else:
                x, cache = rule.forward(cx, p[start:stop], x)
            caches.append(cache)
        return x, tuple(caches)

    def backward(
        self,
        cx: Ctx,
        p: Tree,
        cache: tuple[Any, ...],
        dy: Array,
        out: Tree = None,
        may_overwrite: bool = False,
    ) -> tuple[Array | None, Tree]:
        """Right to left, to the group of the first layer to train. out, may_overwrite: as for a `Rule`."""
        first = 0 if cx.need_dx else self.first_trained
        grads: list[Tree] = [{}] * len(self.layers)
        dx: Array | None = dy
        for (start, stop, rule), kept in zip(reversed(self.groups), reversed(cache), strict=True):
            if dx is None or stop <= first:
                break
            need_dx, places = cx.need_dx or start > first, None if out is None else out[start:stop]
            if rule is not None:
                dx, grads[start:stop] = rule.backward(cx, kept, dx, need_dx, places, may_overwrite)
                may_overwrite = True
                continue
            layer, child = self.layers[start], cx.child(start, need_dx)
            if isinstance(layer, FusedSequential) and places is not None:
                dx, grads[start] = layer.backward(child, p[start], kept, dx, places[0], may_overwrite)
            else:
                dx, grads[start] = layer.backward(child, p[start], kept, dx)
            may_overwrite = type(layer) in RETURNS_NEW or (may_overwrite and type(layer) in MOVES)
        return (dx if cx.need_dx else None), tuple(grads)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        stats: tuple[Tree, ...] = ()
        for (start, stop, rule), kept in zip(self.groups, cache, strict=True):
            if rule is None:
                stats = (*stats, self.layers[start].update_stats(cx.child(start), p[start], kept))
            else:
                stats = (*stats, *rule.update_stats(cx, p[start:stop], kept))
        return stats
