"""A table of a model's layers: shapes, parameters, bytes and operations."""

import math

from xpnn.config import short_repr
from xpnn.diagnostics.flops import flops
from xpnn.diagnostics.table import table
from xpnn.html import html_table
from xpnn.layers.base import Layer, Shape
from xpnn.layers.lengths import is_open, planned
from xpnn.layers.sequential import Sequential
from xpnn.network import Network
from xpnn.trees import leaves


class Summary(str):
    """The table as text. A shell shows it as it is, a notebook as a table; print it in a program."""

    head: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The same cells, none cut short."""
        return html_table(self.head, self.rows, note=self.note)


def summary(model: Network) -> Summary:
    """One line per layer: path, layer, shape of one sample out, parameters, their bytes, FLOPs; then the totals.

    Settings are cut where they do not fit into 80 columns. FLOPs: of the forward pass of one sample; a multiply-add
    counts 2; see `xpnn.diagnostics.flops`. Where input_shape leaves a size open, they are left out.
    """
    size, be = model.layout.size, model.backend
    width = be.xp.finfo(be.dtype).bits // 8
    rows: list[tuple[str, ...]] = [("", "input", str(model.input_shape), "", "", "")]
    shape = planned(model.input_shape)
    rows += _rows(model.net, shape, "", width)
    head = ("path", "layer", "output", "parameters", "bytes", "FLOPs")
    fixed = f" + {size['phi']:,} fixed" if size["phi"] else ""
    total = f"{size['theta']:,} parameters{fixed}, {sum(size.values()) * width:,} bytes, " + (
        "FLOPs by length" if is_open(shape) else f"{flops(model.net, shape):,} FLOPs per sample"
    )
    where = f"{be.dtype_name} on {be.name}/{be.device_name}, seed {model.seed}"
    others = sum(max(len(row[k]) for row in (head, *rows)) + 2 for k in range(len(head)) if k != 1)
    text = Summary("\n".join([table(head, rows, "<<<>>>", (80, max(20, 80 - others))), total, where]))
    text.head, text.rows, text.note = head, rows, f"{total}\n{where}"
    return text


def _rows(net: Layer, shape: Shape, prefix: str, width: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for i, layer, given in net.children(shape):
        specs, out = layer.plan(given)
        below = _rows(layer, given, f"{prefix}{i}.", width)
        if not isinstance(layer, Sequential):
            count = 0 if below else sum(math.prod(spec.shape) for _, spec in leaves(specs))
            name = type(layer).__name__ if below else short_repr(layer)
            held = (f"{count:,}", f"{count * width:,}") if count else ("", "")
            cost = "" if below or is_open(given) else f"{flops(layer, given):,}"
            rows.append((f"{prefix}{i}", name, str(out), *held, cost))
        rows += below
    return rows
