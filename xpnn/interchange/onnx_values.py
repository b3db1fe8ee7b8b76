"""The values of an ONNX graph on their way to a network here: shapes, layouts, and the nodes made so far.

A layout says which axis of ONNX's array each axis of ours is: (0, 2, 3, 1) for images. Values tied together by
elementwise layers share one, which stays open until a layer wants a certain one. So convolutions get their channels
last without a single transpose.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnn.interchange.onnx_joining import before_joining, side_by_side, with_ones
from xpnn.layers import Flatten, Layer, Permute, Reshape, Sequential
from xpnn.losses import Loss

Host = np.ndarray[Any, Any]
Order = tuple[int, ...]


class Refusal(Exception):  # noqa: N818
    """Why a node cannot become a layer here."""


class Layout:
    """The order of the axes, shared by the values that were joined; None while nothing depends on it."""

    def __init__(self, order: Order | None = None) -> None:
        self._order, self._parent = order, self

    def root(self) -> "Layout":
        """The one that all of them point to."""
        found = self
        while found._parent is not found:
            found = found._parent
        return found

    @property
    def order(self) -> Order | None:
        """The axes, once they are resolved."""
        return self.root()._order

    def fix(self, order: Sequence[int]) -> None:
        """Resolve it. Raises Refusal where another order is resolved already."""
        root = self.root()
        if root._order is None:
            root._order = tuple(order)
        elif root._order != tuple(order):
            raise Refusal(
                f"its input would have to change its layout from {root._order} to {tuple(order)}, "
                "which moves the axis of the samples"
            )

    def join(self, other: "Layout") -> None:
        """Make both one. Raises Refusal where they are resolved differently."""
        first, second = self.root(), other.root()
        if first is second:
            return
        if second._order is None:
            second._parent = first
        elif first._order is None:
            first._parent = second
        elif first._order != second._order:
            raise Refusal(f"two layouts meet, {first._order} and {second._order}")


class Value:
    """An array that depends on the samples: its name in our graph, its shape in ONNX's, its layout.

    flat: of images flattened here, where each of our numbers is in ONNX's row.
    """

    def __init__(self, name: str, shape: Sequence[int], layout: Layout, flat: Host | None = None) -> None:
        self.name, self.shape, self.layout, self.flat = name, tuple(int(n) for n in shape), layout, flat

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)


def identity_order(rank: int) -> Order:
    """The axes as they are."""
    return tuple(range(rank))


def axis_of(n: Any, rank: int) -> int:
    """An axis counted from 0. Raises Refusal for one that is not there."""
    if not -rank <= int(n) < rank:
        raise Refusal(f"axis {int(n)} of an array of {rank} axes")
    return int(n) % rank


WINDOWED = {"Conv", "ConvTranspose", "MaxPool", "AveragePool"}
"""Operations that want channels last here."""


def has_windows(b: "Builder") -> bool:
    """Whether any node of the graph wants its channels last."""
    return any(kind in WINDOWED for kinds in b.users.values() for kind in kinds)


def last(rank: int, axis: int) -> Order:
    """That axis last, the others as they are."""
    axis = axis_of(axis, rank)
    return (*(i for i in range(rank) if i != axis), axis)


def channels_last(rank: int) -> Order:
    """(N, C, ...) with the channels last."""
    return last(rank, 1) if rank > 2 else identity_order(rank)


class Builder:
    """The network so far: nodes with their layers and parameters, and the values and constants by ONNX's names.

    marks: results that are no value of a layer alone, but a step on the way to one: see `onnx_patterns`.
    opened: which axes of an input, by its name here, have sizes that are open.
    pending: results whose layer is made by `makers` when something takes them: see `onnx_scores`.
    loss: what the graph ends in, where that is a loss. batched: whether the graph's arrays have an axis of samples.
    """

    def __init__(self, opset: int, folder: Any = None, *, batched: bool = True) -> None:
        self.opset, self.folder, self.batched = opset, folder, batched
        self.values: dict[str, Value] = {}
        self.constants: dict[str, Host] = {}
        self.nodes: list[tuple[str, Layer, Any]] = []
        self.parameters: dict[str, Host] = {}
        self.inputs: list[Value] = []
        self.opened: dict[str, set[int]] = {}
        self.notes: list[str] = []
        self.opposites: dict[str, Value] = {}
        self.marks: dict[str, tuple[Any, ...]] = {}
        self.pending: dict[str, Any] = {}
        self.makers: dict[str, Callable[[], None]] = {}
        self.names_of: dict[str, list[str]] = {}
        self.uses: dict[str, int] = {}
        self.users: dict[str, list[str]] = {}
        self.loss: Loss | None = None
        self.label = ""
        self._names: set[str] = set()
        self._places: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        """A name for a node: letters, digits and underscores of ONNX's, with a number where it is taken."""
        word = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_")[:40] or "node"
        found, n = word, 1
        while found in self._names:
            n += 1
            found = f"{word}_{n}"
        self._names.add(found)
        return found

    def constant(self, name: str, what: str) -> Host:
        """A constant. Raises Refusal for what is computed from the samples."""
        if name in self.constants:
            return self.constants[name]
        raise Refusal(f"{what} is computed from the samples, and has to be a constant")

    def optional(self, inputs: Sequence[str], i: int, what: str) -> Host | None:
        """The i-th input as a constant; None where it is left out."""
        return self.constant(inputs[i], what) if len(inputs) > i and inputs[i] else None

    def value(self, name: str) -> Value:
        """What depends on the samples. Raises Refusal for a constant."""
        if name in self.makers and name not in self.values:
            self.makers[name]()
        if name in self.values:
            return self.values[name]
        if name in self.constants:
            raise Refusal("a constant stands where a layer here takes the samples")
        if name in self.marks:
            raise Refusal(f"its input {name[:60]!r}, {self.marks[name][0]}, is no layer here by itself")
        raise Refusal(f"its input {name[:60]!r} is made by no node before it")

    def wants(self, x: Value, order: Sequence[int]) -> Value:
        """x in that layout, permuted where it has another. Raises Refusal where that would move the samples."""
        if x.flat is not None:
            raise Refusal("flattened images go on to something else than a Dense layer")
        now, order = x.layout.order, tuple(order)
        if now is None or now == order or now[0] != order[0]:
            x.layout.fix(order)
            return x
        return self.put("", Permute(tuple(now.index(i) for i in order[1:])), x, x.shape, Layout(order))

    def put(
        self, out: str, layer: Layer, inputs: Value | Sequence[Value], shape: Sequence[int], layout: Layout,
        parameters: dict[str, Any] | None = None, flat: Host | None = None,
    ) -> Value:  # fmt: skip
        """A node of our graph; its value is known by ONNX's name `out` where there is one."""
        name = self.name(self.label or out)
        given: Any = inputs.name if isinstance(inputs, Value) else tuple(x.name for x in inputs)
        self._places[name] = len(self.nodes)
        self.nodes.append((name, layer, given))
        for key, a in (parameters or {}).items():
            self.parameters[f"{name}.{key}"] = a
        made = Value(name, shape, layout, flat)
        if not 0 < math.prod(made.shape) < 2**40:
            raise Refusal(f"its result would have the shape {made.shape}")
        return self.same(out, made) if out else made

    def node(self, name: str) -> tuple[Any, Any]:
        """The layer that makes the value of that name, and what it takes; (None, "") for an input."""
        return self.nodes[self._places[name]][1:] if name in self._places else (None, "")

    def elementwise(
        self, out: str, layer: Layer, x: Value, parameters: dict[str, Any] | None = None
    ) -> Value:
        """A layer that keeps shape and layout."""
        return self.put(out, layer, x, x.shape, x.layout, parameters, x.flat)

    def same(self, out: str, x: Value) -> Value:
        """Another name for the same value."""
        self.values[out] = x
        self.names_of.setdefault(x.name, []).append(out)
        return x

    def used_once(self, x: Value) -> bool:
        """Whether one node takes what this node of ours gives, by whatever name, and it is no output."""
        return sum(self.uses.get(name, 0) for name in self.names_of[x.name]) == 1

    def taken_in(self, out: str, x: Value) -> None:
        """The one node that takes x has become part of the layer that makes it: from now on it is called `out`."""
        self.names_of[x.name] = []
        self.same(out, x)

    def flatten(self, out: str, x: Value) -> Value:
        """(N, ...) to (N, n). The channels vary fastest here: a Dense behind it has its rows reordered."""
        if x.rank == 2:
            return self.same(out, x)
        if x.flat is not None:
            raise Refusal("flattened images are reshaped again")
        if x.layout.order is None:
            x.layout.fix(identity_order(x.rank))
        order, size = x.layout.order or (), math.prod(x.shape[1:])
        if order[0] != 0:
            raise Refusal("the axis of the samples is not the first")
        there = np.arange(size).reshape(x.shape[1:]).transpose([i - 1 for i in order[1:]]).reshape(-1)
        flat = there if (there != np.arange(size)).any() else None
        return self.put(out, Flatten(), x, (x.shape[0], size), Layout(identity_order(2)), flat=flat)

    def reshape(self, out: str, x: Value, shape: Sequence[int], batch: int | None = None) -> Value:
        """The same numbers in another shape. batch: which of its axes is that of the samples, where it is known.

        Axes that are joined or cut have to lie side by side in our array, in ONNX's order; axes of 1 come and go.
        """
        shape = tuple(int(n) for n in shape)
        if math.prod(shape) != math.prod(x.shape) or len(shape) > 8 or not shape:
            raise Refusal(f"{x.shape} becomes {shape}")
        if shape == x.shape:
            return self.same(out, x)
        order = x.layout.order
        old = 0 if order is None else order[0]
        new = new_batch(x.shape, shape, old) if batch is None else batch
        if old == new == 0 and len(shape) == 2:
            return self.flatten(out, x)
        if x.flat is not None:
            raise Refusal("flattened images are reshaped again")
        if order is None:
            order = identity_order(x.rank)
            x.layout.fix(order)
        joined = groups(x.shape, shape, old, new)
        if old == 0 and not side_by_side(joined, [i for i in order[1:] if x.shape[i] > 1]):
            end = channels_last(len(shape)) if has_windows(self) else identity_order(len(shape))
            order = before_joining(joined, end, x.rank)
            axes = tuple((x.layout.order or ()).index(i) for i in order[1:])
            x = self.put("", Permute(axes), x, x.shape, Layout(order))
        left: list[int] = []
        ours = [i for i in order[1:] if x.shape[i] > 1]
        while ours:
            before, after = next(pair for pair in joined if ours[0] in pair[0])
            if ours[: len(before)] != before:
                raise Refusal(f"{x.shape} becomes {shape}, which joins axes that are not side by side here")
            ours, left = ours[len(before) :], left + after
        usual = [identity_order(len(shape)), channels_last(len(shape))]
        prefer_last = order == channels_last(x.rank) and x.rank > 2
        made = with_ones(shape, new, left, usual[::-1] if prefer_last else usual)
        inner = tuple(shape[i] for i in made[1:])
        return self.put(out, Reshape(inner), x, shape, Layout(made))


def new_batch(old: Sequence[int], new: Sequence[int], at: int) -> int:
    """Which axis of the new shape is that of the samples. Raises Refusal where there is none."""
    for i, n in enumerate(new):
        if n == old[at] and math.prod(new[:i]) == math.prod(old[:at]):
            return i
    raise Refusal(f"{tuple(old)} becomes {tuple(new)}, which moves the axis of the samples")


def groups(
    old: Sequence[int], new: Sequence[int], old_at: int, new_at: int
) -> list[tuple[list[int], list[int]]]:
    """Which axes of the old shape become which of the new, in pairs of as many numbers; axes of 1 are left out."""
    found = []
    for before, after in (
        (range(old_at), range(new_at)),
        (range(old_at + 1, len(old)), range(new_at + 1, len(new))),
    ):
        a, b = [i for i in before if old[i] > 1], [i for i in after if new[i] > 1]
        while a or b:
            one, other = [a.pop(0)] if a else [], [b.pop(0)] if b else []
            while math.prod(old[i] for i in one) != math.prod(new[i] for i in other):
                shorter = math.prod(old[i] for i in one) < math.prod(new[i] for i in other)
                source, target = (a, one) if shorter else (b, other)
                if not source:
                    raise Refusal(f"{tuple(old)} becomes {tuple(new)}, which moves the axis of the samples")
                target.append(source.pop(0))
            found.append((one, other))
    return found


def chained(*layers: Layer) -> Layer:
    """One layer as it is, several as a chain."""
    return layers[0] if len(layers) == 1 else Sequential(layers)
