"""ONNX's RotaryEmbedding: features in pairs, turned by tables of cosines and sines."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.attention_rows import partners
from xpnn.interchange.onnx_attention import HEADS, given_heads, rows
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Host, Layout, Refusal, Value, identity_order

EXACT = 2e-7
"""For each step, how far a table in float32 may be from cosines and sines of t base^(-2 i / size)."""
USUAL = 10000.0


def rotary(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """RotaryPositions, where the tables are those of positions 0, 1, ... and of one base."""
    x = b.value(inputs[0])
    if x.rank not in (3, 4):
        raise Refusal(f"samples of shape {x.shape[1:]}")
    heads = x.shape[1] if x.rank == 4 else int(a.get("num_heads", 0)) or 1
    steps = x.shape[2] if x.rank == 4 else x.shape[1]
    width = x.shape[3] if x.rank == 4 else x.shape[2] // heads
    size = int(a.get("rotary_embedding_dim", 0)) or width
    tables = [b.constant(name, what) for name, what in zip(inputs[1:3], ("cosines", "sines"), strict=True)]
    place = b.optional(inputs, 3, "the positions")
    cos, sin = (turns(table, place, steps, size // 2) for table in tables)
    layout = "interleaved" if a.get("interleaved", 0) else "half"
    layer = L.RotaryPositions(layout, heads, base_of(cos, sin), None if size == width else size)
    given = rows(b, x, heads)
    made = b.put("" if x.rank == 4 else outputs[0], layer, given, given.shape, Layout(identity_order(3)))
    if x.rank == 4:
        given_heads(b, outputs[0], made, heads)


def turns(table: Host, place: Host | None, steps: int, pairs: int) -> Host:
    """(steps, pairs) of a table, the same for all samples. Raises Refusal for others."""
    found = table if place is None else table[place]
    found = found.reshape(-1, *found.shape[-2:]) if found.ndim > 2 else found[None]
    if found.shape[1:] != (steps, pairs):
        raise Refusal(f"a table of shape {table.shape} for {steps} steps and {pairs} pairs")
    if not all(np.array_equal(one, found[0]) for one in found[1:]):
        raise Refusal("positions that differ from sample to sample")
    return np.asarray(found[0], np.float64)


def base_of(cos: Host, sin: Host) -> float:
    """The base whose tables these are. Raises Refusal where there is none."""
    steps, pairs = cos.shape
    known = steps > 1 and pairs > 1  # else no angle depends on the base
    speed = float(np.arctan2(sin[1, 1], cos[1, 1])) if known else USUAL ** (-1 / pairs)
    base = speed ** (-pairs) if 0 < speed < 1 else 0.0
    for one in (float(f"{base:.3g}"), base):
        if one <= 1:
            continue
        angle = np.arange(steps)[:, None] * one ** (-np.arange(pairs) / pairs)
        worst = max(np.abs(np.cos(angle) - cos).max(), np.abs(np.sin(angle) - sin).max())
        if worst <= EXACT * max(steps, 4):
            return one
    raise Refusal("tables other than the cosines and sines of positions 0, 1, ... in steps of one base")


def rotation(b: Builder, out: str, x: Value, y: Value) -> bool:
    """RotaryPositions written out: x cos + (x P) sin, where the matrix P puts the partner of each feature in its place.

    False for any other sum.
    """
    (one, source), (other, product) = b.node(x.name), b.node(y.name)
    if not isinstance(one, L.Scale) or not isinstance(other, L.Scale):
        return False
    if x.rank != 4 or x.layout.order != HEADS or y.layout.order != HEADS:
        return False
    _, heads, steps, width = x.shape
    dense, given = b.node(product)
    if not isinstance(dense, L.Dense) or dense.bias or given != source:
        return False
    P = b.parameters[f"{product}.W"]
    cos, sin = (np.broadcast_to(b.parameters[f"{v.name}.c"], (steps, 1, width))[:, 0] for v in (x, y))
    n = int(np.count_nonzero(P)) // 2
    for layout in ("half", "interleaved"):
        first, second = partners(layout, n)
        wanted = np.zeros((width, width))
        if n and second[-1] < width:
            wanted[second, first], wanted[first, second] = -1, 1
            if np.array_equal(P, wanted):
                break
    else:
        return False
    try:
        base = base_of(np.asarray(cos[:, first], np.float64), np.asarray(sin[:, first], np.float64))
    except Refusal:
        return False
    turned = L.RotaryPositions(layout, heads, base, None if 2 * n == width else 2 * n)
    row = rows(b, Value(source, x.shape, Layout(HEADS)), heads)
    given_heads(b, out, b.put("", turned, row, row.shape, Layout(identity_order(3))), heads)
    return True


RULES: dict[str, Rule] = {"RotaryEmbedding": rotary}
