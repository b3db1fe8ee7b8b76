"""A table of a model's layers."""

import math
from typing import TYPE_CHECKING

from xpnn.describe import brief
from xpnn.layers.base import Layer
from xpnn.layers.sequential import Sequential
from xpnn.parameters import leaves

if TYPE_CHECKING:
    from xpnn.model import Model


def summary(model: "Model") -> str:
    """One line per layer: path, layer, shape of one sample out, number of parameters; then the totals."""
    rows = [("", "input", str(model.input_shape), "")]
    rows += _rows(model.net, model.input_shape, "")
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{path:<{widths[0]}}  {layer:<{widths[1]}}  {shape:<{widths[2]}}  {count:>{widths[3]}}".rstrip()
        for path, layer, shape, count in rows
    ]
    size, be = model.layout.size, model.backend
    width = 4 if be.dtype_name == "float32" else 8
    fixed = f" + {size['phi']:,} fixed" if size["phi"] else ""
    lines.append(
        f"{size['theta']:,} parameters{fixed}, {sum(size.values()) * width / 1e6:.2f} MB, "
        f"{be.dtype_name} on {be.name}/{be.device_name}, seed {model.seed}"
    )
    return "\n".join(lines)


def _rows(net: Layer, shape: tuple[int, ...], prefix: str) -> list[tuple[str, str, str, str]]:
    rows = []
    for i, layer, given in net.branches(shape):
        specs, out = layer.plan(given)
        below = _rows(layer, given, f"{prefix}{i}.")
        if not isinstance(layer, Sequential):
            count = 0 if below else sum(math.prod(spec.shape) for _, spec in leaves(specs))
            name = type(layer).__name__ if below else brief(layer)
            rows.append((f"{prefix}{i}", name, str(out), f"{count:,}" if count else ""))
        rows += below
    return rows
