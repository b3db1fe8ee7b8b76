"""How layers made of layers, and those that join several values, become ONNX operations."""

from collections.abc import Iterable
from typing import Any

from xpnn.interchange.emit import emit
from xpnn.interchange.image_rows import folded
from xpnn.interchange.program import Program, Value
from xpnn.layers import BatchNorm, Conv1D, Conv2D, ConvTranspose2D, Dense, Recompute, Shared

LINEAR = (Dense, Conv1D, Conv2D, ConvTranspose2D)
"""Layers into whose weights the BatchNorm behind them can be folded."""


def in_one_layout(g: Program, xs: Iterable[Value]) -> list[Value]:
    """The values in one layout: that of all, else channels last."""
    found = list(xs)
    return found if all(x.first for x in found) else [g.last(x) for x in found]


def concatenate(g: Program, layer: Any, p: Any, x: Any) -> Value:
    """Side by side on the axis of the channels."""
    parts = in_one_layout(g, x)
    return parts[0]._replace(name=g.op("Concat", *(one.name for one in parts), axis=parts[0].channel_axis))


def merge(kind: str) -> Any:
    """A row for Sum, Sub or Mean."""

    def row(g: Program, layer: Any, p: Any, x: Any) -> Value:
        """Combine the inputs element by element."""
        parts = in_one_layout(g, x)
        return parts[0]._replace(name=g.op(kind, *(one.name for one in parts)))

    return row


def multiply(g: Program, layer: Any, p: Any, x: Any) -> Value:
    """Element by element, left to right."""
    first, *rest = in_one_layout(g, x)
    for one in rest:
        first = first._replace(name=g.op("Mul", first.name, one.name))
    return first


def select_output(g: Program, layer: Any, p: Any, x: Any) -> Value:
    """Take one of several values."""
    return x[layer.index]  # type: ignore[no-any-return]


MERGES = {
    "concatenate": concatenate,
    "add": merge("Sum"),
    "subtract": merge("Sub"),
    "average": merge("Mean"),
    "multiply": multiply,
}


def sequential(g: Program, layer: Any, p: Any, x: Any) -> Any:
    """One after the other; a BatchNorm right behind a linear layer is folded into it."""
    i = 0
    while i < len(layer.layers):
        one, q = layer.layers[i], p[i]
        behind = layer.layers[i + 1] if i + 1 < len(layer.layers) else None
        with g.inside(i):
            if type(one) in LINEAR and type(behind) is BatchNorm:
                q, i = folded(one, q, behind, p[i + 1]), i + 1
            x = emit(g, one, q, x)
        i += 1
    return x


def residual(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """x + f(x)."""
    with g.inside(0):
        y = emit(g, layer.layer, p[0], x)
    return merge("Sum")(g, layer, p, (x, y))  # type: ignore[no-any-return]


def parallel(g: Program, layer: Any, p: Any, x: Value) -> Any:
    """Every branch, then the merge."""
    found = []
    for i, (one, q) in enumerate(zip(layer.layers, p, strict=True)):
        with g.inside(i):
            found.append(emit(g, one, q, x))
    return MERGES[layer.merge](g, layer, p, found)


def recompute(g: Program, layer: Recompute, p: Any, x: Any) -> Any:
    """Emit the layer inside: recomputing changes no value."""
    return emit(g, layer.layer, p, x)


def graph(g: Program, layer: Any, p: Any, x: Any) -> Any:
    """The nodes in their order; a shared layer is written once for each use, with its parameters once."""
    inputs = layer.inputs if layer.multi_input else (layer.inputs,)
    values = dict(zip(inputs, x if layer.multi_input else (x,), strict=True))
    owners: dict[str, Any] = {}
    for name, one, input_kind in layer.nodes:
        owner = one.node if isinstance(one, Shared) else name
        used = owners.setdefault(owner, one)
        given = tuple(values[k] for k in input_kind) if isinstance(input_kind, tuple) else values[input_kind]
        with g.inside(owner):
            values[name] = emit(g, used, p[owner], given)
    if isinstance(layer.outputs, tuple):
        return tuple(values[k] for k in layer.outputs)
    return values[layer.outputs]
