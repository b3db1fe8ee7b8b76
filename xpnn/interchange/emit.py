"""The table of rows, and the one place that looks a layer up in it: `table.py` fills it, rows of containers use it."""

from collections.abc import Callable
from typing import Any

from xpnn.errors import UsageError
from xpnn.interchange.program import Program, Value
from xpnn.layers import base

Row = Callable[[Program, Any, Any, Any], Any]

TABLE: dict[type[base.Layer], Row] = {}


def emit(g: Program, layer: base.Layer, p: Any, x: Any) -> Any:
    """The values that `layer` gives for the values x. Raises UsageError for a layer without a row."""
    row = TABLE.get(type(layer))
    if row is None:
        raise UsageError(
            f"layer {g.path or '0'} {type(layer).__name__} cannot be exported",
            why="no row of xpnn.interchange.table says which operations of ONNX it is",
            fix="replace it by layers that have one, or add a row: table.TABLE[MyLayer] = my_row",
        )
    result = row(g, layer, p, x)
    if isinstance(result, tuple) and not isinstance(result, Value):
        return result
    shape = layer.plan(tuple(one.shape for one in x) if layer.multi_input else x.shape)[1]
    if isinstance(result, Value):
        return result._replace(shape=shape)
    return Value(result, shape)
