"""All trainable parameters are one flat vector theta, all statistics another, phi; names are views into them.

Offsets follow definition order: W1 (row-major), b1, W2, b2, ...
"""

import functools
import math
from collections.abc import Iterator
from operator import getitem
from typing import Any, NamedTuple

import numpy as np

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.random import host_rng
from xpnn.renamed import old_attributes, old_members
from xpnn.trees import Tree, leaves, tree_map


class ParamInfo(NamedTuple):
    """Where one trainable parameter lies in theta, and how an optimizer treats it."""

    path: str
    start: int
    stop: int
    shape: tuple[int, ...]
    weight: bool = True
    """False: a bias or a gain."""
    decay: float = 1.0
    """A factor of every penalty."""
    lr: float = 1.0
    """A factor of the learning rate; at 0 the parameter is frozen."""


class Slot(NamedTuple):
    """Where a parameter lies, and its shape: a leaf of `Layout.plan`."""

    vector: str
    start: int
    stop: int
    shape: tuple[int, ...]


def views(be: Backend, plan: Tree, vectors: dict[str, Array | None]) -> Tree:
    """The plan with each slot's part of its vector; None where that vector is missing."""
    if isinstance(plan, Slot):
        vector = vectors[plan.vector]
        if vector is None:
            return None
        part = vector[plan.start : plan.stop]
        return part if len(plan.shape) == 1 else be.xp.reshape(part, plan.shape)
    if isinstance(plan, dict):
        return {key: views(be, branch, vectors) for key, branch in plan.items()}
    return tuple([views(be, branch, vectors) for branch in plan])


def theta_ways(plan: Tree, way: tuple[int | str, ...] = ()) -> Iterator[tuple[int | str, ...]]:
    """The keys that lead to each slot of theta in the plan, in theta's order."""
    for key, branch in plan.items() if isinstance(plan, dict) else enumerate(plan):
        if not isinstance(branch, Slot):
            yield from theta_ways(branch, (*way, key))
        elif branch.vector == "theta":
            yield (*way, key)


class GradientBuffer(NamedTuple):
    """An empty vector like theta for the gradient, its views by name (None for phi's), and those in theta's order."""

    vector: Array | None = None
    tree: Tree = None
    parts: tuple[Array, ...] = ()


def count(samples: Tree) -> int:
    """How many samples there are: the length of an array, or of the first in a tuple."""
    first = samples[0] if isinstance(samples, tuple) else samples
    return int(first.shape[0])


def rows_of(samples: Tree, start: int, stop: int) -> Tree:
    """Rows start, ..., stop - 1 of every array."""
    return tree_map(lambda _, a: a[start:stop, ...], samples)


def gather(be: Backend, samples: Tree, rows: Array) -> Tree:
    """Those `rows` of every array in nested tuples, on the device; None stays None."""

    def some(_: str, a: Any) -> Any:
        if a is None:
            return None
        return be.take_rows(a, rows) if be.owns(a) else be.asarray(a[be.to_numpy(rows)])

    return tree_map(some, samples)


def on_device(be: Backend, samples: Tree) -> Tree:
    """Every array on the device: as it is, unless it has stayed on the host."""
    return tree_map(lambda _, a: a if be.owns(a) else be.asarray(a), samples)


@old_members
class Layout:
    """Where each named parameter lies in theta or phi. Holds sizes only, no array."""

    def __init__(self, specs: Tree) -> None:
        self.specs = specs
        self.named = dict(leaves(specs))
        self.slots: dict[str, tuple[str, int, int]] = {}
        self.size = {"theta": 0, "phi": 0}
        for path, spec in self.named.items():
            vector = "theta" if spec.trainable else "phi"
            start = self.size[vector]
            self.size[vector] = stop = start + math.prod(spec.shape)
            self.slots[path] = (vector, start, stop)
        self.plan = tree_map(lambda path, spec: Slot(*self.slots[path], tuple(spec.shape)), specs)
        self.ways = tuple(theta_ways(self.plan))

    def split(self, be: Backend, theta: Array, phi: Array) -> Tree:
        """The parameter tree: views where the library has views, slices fused away under jit."""
        return views(be, self.plan, {"theta": theta, "phi": phi})

    def gradient_buffer(self, be: Backend, vector: Array | None = None) -> GradientBuffer:
        """Where the backend can write gradients, if it can. vector: memory for them, where there is some."""
        vector = be.buffer(self.size["theta"]) if vector is None else vector
        if vector is None:
            return GradientBuffer()
        tree = views(be, self.plan, {"theta": vector, "phi": None})
        return GradientBuffer(vector, tree, tuple(self.in_order(tree)))

    def in_order(self, tree: Tree) -> list[Array]:
        """The leaves of a tree like the plan where the plan has slots of theta, in theta's order."""
        return [functools.reduce(getitem, way, tree) for way in self.ways]

    def join(self, be: Backend, grads: Tree, out: GradientBuffer = GradientBuffer()) -> Array:  # noqa: B008 - it never changes
        """Gradients, shaped like the trainable parameters, as one vector in theta's order.

        out: where some of them may be already.
        """
        parts = self.in_order(grads)
        return be.concat_flat(out.vector, parts, out.parts) if parts else be.zeros((0,))

    def update_stats(self, be: Backend, phi: Array, news: Tree) -> Array:
        """phi with the statistics in `news` put in place of the old ones."""
        parts = dict(leaves(news))
        if not parts:
            return phi
        slots = {path: slot for path, slot in self.slots.items() if slot[0] == "phi"}
        pick = [be.xp.reshape(parts[k], (-1,)) if k in parts else phi[a:b] for k, (_, a, b) in slots.items()]
        return be.xp.concat(pick)

    def initialize(self, be: Backend, seed: int) -> tuple[Array, Array]:
        """Initial theta and phi: drawn on the host, one stream per path, so that every backend gets the same bits."""
        vectors = {name: np.zeros(size, be.dtype_name) for name, size in self.size.items()}
        for path, (vector, start, stop) in self.slots.items():
            spec = self.named[path]
            vectors[vector][start:stop] = spec.initialize(host_rng(seed, "init", path)).reshape(-1)
        return self.load(be, vectors)

    def load(self, be: Backend, vectors: dict[str, np.ndarray[Any, Any]]) -> tuple[Array, Array]:
        """Host vectors, moved to the backend as arrays without other references."""
        theta, phi = (be.asarray(np.array(vectors[name], be.dtype_name)) for name in ("theta", "phi"))
        return theta, phi

    @property
    def params(self) -> tuple[ParamInfo, ...]:
        """Every trainable parameter in theta's order. Weights are penalised; biases and gains are not."""
        return tuple(
            ParamInfo(path, start, stop, tuple(self.named[path].shape), decays, float(decays))
            for path, (vector, start, stop) in self.slots.items()
            for decays in [self.named[path].decay]
            if vector == "theta"
        )


__getattr__ = old_attributes("parameters")
