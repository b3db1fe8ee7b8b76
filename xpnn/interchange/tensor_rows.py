"""How layers that move, cut, reduce or limit become ONNX operations."""

from typing import Any

import numpy as np

from xpnn.interchange.program import Program, Value
from xpnn.layers.axes import axes_of, axis_of


def largest(g: Program) -> float:
    """The largest number there is: a limit for Clip where none is wanted."""
    return float(np.finfo(g.real).max)


def permute(g: Program, layer: Any, p: Any, x: Value) -> str:
    """Axes in another order."""
    return str(g.op("Transpose", g.last(x).name, perm=[0, *layer.axes]))


def part(g: Program, x: Value, axis: int, places: range) -> str:
    """Some places of one axis."""
    stop = places[-1] + places.step
    stop = stop if stop >= 0 else -(2**31)  # -1 would be the last place
    ends = [g.ints([n]) for n in (places[0], stop, axis, places.step)]
    return str(g.op("Slice", x.name, *ends))


def slice_(g: Program, layer: Any, p: Any, x: Value) -> str:
    """Part of an axis."""
    x, axis = g.last(x), axis_of(layer.axis, x.shape)
    return part(g, x, axis, range(*slice(layer.start, layer.stop, layer.step).indices(x.shape[axis - 1])))


def split(g: Program, layer: Any, p: Any, x: Value) -> tuple[Value, ...]:
    """Each part by itself."""
    x, axis = g.last(x), axis_of(layer.axis, x.shape)
    found, start = [], 0
    for shape in layer.plan(x.shape)[1]:
        stop = start + shape[axis - 1]
        found.append(Value(part(g, x, axis, range(start, stop)), shape))
        start = stop
    return tuple(found)


def reduction(kind: str) -> Any:
    """A row for a reduction."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> str:
        """Over the same axes."""
        axes = g.ints(list(axes_of(layer.axes, x.shape)))
        return str(g.op(kind, g.last(x).name, axes, keepdims=int(layer.keepdims)))

    return row


def masked_mean(g: Program, layer: Any, p: Any, x: Any) -> str:
    """The sum of what is real, divided by how much that is, or by 1."""
    sequence, mask = g.last(x[0]), x[1]
    time = g.ints([1])
    weight = g.reshape(mask.name, [-1, mask.shape[0], *(1 for _ in sequence.shape[1:])])
    total = g.op("ReduceSum", g.op("Mul", sequence.name, weight), time, keepdims=0)
    real = g.op("ReduceSum", weight, time, keepdims=0)
    return str(g.op("Div", total, g.op("Clip", real, g.constant(1.0), g.constant(largest(g)))))


def clip(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Held between two numbers."""
    low = g.constant(-largest(g) if layer.low is None else layer.low)
    return x._replace(
        name=g.op("Clip", x.name, low, g.constant(largest(g) if layer.high is None else layer.high))
    )


def lp_normalize(g: Program, layer: Any, p: Any, x: Value) -> str:
    """x / max(|x|_p, eps)."""
    x, axes = g.last(x), g.ints([axis_of(layer.axis, x.shape)])
    if layer.p == 1:
        n = g.op("ReduceSum", g.op("Abs", x.name), axes, keepdims=1)
    else:
        n = g.op("Sqrt", g.op("ReduceSum", g.op("Mul", x.name, x.name), axes, keepdims=1))
    return str(g.op("Div", x.name, g.op("Clip", n, g.constant(layer.eps), g.constant(largest(g)))))


def offset(g: Program, layer: Any, p: Any, x: Value) -> str:
    """x + c."""
    return str(g.op("Add", g.last(x).name, g.parameter("c", p["c"])))


def scale(g: Program, layer: Any, p: Any, x: Value) -> str:
    """c x."""
    return str(g.op("Mul", g.last(x).name, g.parameter("c", p["c"])))
