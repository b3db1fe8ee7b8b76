"""Where queries, keys and values come from: a Dense of one sequence, scaled and rotated, which attention takes in."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_values import Builder, Host, Value, identity_order

MOST_STEPS = 20
"""From a Dense to the rows: many times what exporters write."""


class Projected(NamedTuple):
    """The sequences that queries, and keys and values, are made of; the parameters of that; rotary positions."""

    x: Value
    memory: Value
    parameters: dict[str, Host]
    rotary: str | None
    base: float

    @property
    def cross(self) -> bool:
        """Whether keys and values come from another array than the queries."""
        return self.x.name != self.memory.name


class Traced(NamedTuple):
    """A Dense of x, (scale W, scale b), and the rotation behind it."""

    x: Value
    W: Host
    b: Host | None
    turn: L.RotaryPositions | None


def projected(b: Builder, rows: Sequence[Value], heads: tuple[int, int]) -> Projected | None:
    """Of the rows of queries, keys and values; None where they are anything else. heads: of queries, and of keys."""
    found = [traced(b, one) for one in rows]
    if any(one is None for one in found):
        return None
    q, k, v = (one for one in found if one is not None)
    if k.x.name != v.x.name or v.turn is not None or (q.turn is None) != (k.turn is None):
        return None
    if q.turn is not None and k.turn is not None:
        same_rotation = (
            replace(q.turn, heads=1) == replace(k.turn, heads=1) and (q.turn.heads, k.turn.heads) == heads
        )
        biased = k.b is not None and np.any(k.b)  # of keys that are rotated it counts
        if not same_rotation or biased or q.turn.size is not None or q.x.name != k.x.name:
            return None
    parameters = {"Wq": q.W, "Wk": k.W, "Wv": v.W}
    if q.b is not None or v.b is not None:
        for word, one in (("q", q), ("v", v)):
            parameters[f"b{word}"] = np.zeros(one.W.shape[1]) if one.b is None else one.b
    rotary, base = (None, 10000.0) if q.turn is None else (q.turn.layout, q.turn.base)
    return Projected(q.x, k.x, parameters, rotary, base)


def traced(b: Builder, rows: Value) -> Traced | None:
    """From rows (samples, time, features) back to a Dense, or part of one, through scales and one rotation."""
    name, scale, turn, columns = rows.name, 1.0, None, None
    for _ in range(MOST_STEPS):
        layer, given = b.node(name)
        if isinstance(layer, L.Dense):
            x = known(b, given)
            W, bias = b.parameters[f"{name}.W"], b.parameters.get(f"{name}.b")
            if columns is not None:
                W, bias = W[:, columns], None if bias is None else bias[columns]
            if x is None or x.shape[1] != rows.shape[1] or W.shape[1] != rows.shape[2]:
                return None
            return Traced(x, scale * W, None if bias is None else scale * bias, turn)
        if isinstance(layer, L.RotaryPositions) and turn is None:
            turn = layer
        elif isinstance(layer, L.Rescale) and layer.offset == 0:
            scale *= float(layer.scale)
        elif isinstance(layer, L.Slice) and columns is None:
            columns = columns_of(b, layer, given)
            if columns is None:
                return None
        elif not isinstance(layer, L.Reshape):
            return None
        name = given
    return None


def columns_of(b: Builder, part: L.Slice, given: str) -> Host | None:
    """Which outputs of a Dense, whole or in parts, this Slice takes; None for a Slice of anything else."""
    layer, source = b.node(given)
    shape = layer.shape[1:] if isinstance(layer, L.Reshape) else None
    dense = layer if shape is None else b.node(source)[0]
    if not isinstance(dense, L.Dense):
        return None
    shape = (dense.units,) if shape is None else shape
    if part.axis < 2 or np.prod(shape) != dense.units:
        return None
    where = (slice(None),) * (part.axis - 2) + (slice(part.start, part.stop, part.step),)
    return np.arange(dense.units).reshape(shape)[where].reshape(-1)


def known(b: Builder, name: str) -> Value | None:
    """The value of that name here, where it is a sequence with its axes in ONNX's order."""
    found = [b.values[other] for other in b.names_of.get(name, ()) if other in b.values]
    found = [x for x in found if x.rank == 3 and x.layout.order == identity_order(3) and x.flat is None]
    return found[0] if found else None
