"""A table of a model's layers."""

import math
from typing import TYPE_CHECKING

from xpnn.describe import brief
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


def _rows(net: Sequential, shape: tuple[int, ...], prefix: str) -> list[tuple[str, str, str, str]]:
    rows = []
    for i, layer in enumerate(net.layers):
        specs, out = layer.plan(shape)
        if isinstance(layer, Sequential):
            rows += _rows(layer, shape, f"{prefix}{i}.")
        else:
            count = sum(math.prod(spec.shape) for _, spec in leaves(specs))
            rows.append((f"{prefix}{i}", brief(layer), str(out), f"{count:,}" if count else ""))
        shape = out
    return rows
