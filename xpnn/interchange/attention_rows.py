"""How attention and rotary positions become ONNX operations."""

from typing import Any

import numpy as np

from xpnn.initializers import Sinusoidal
from xpnn.interchange.pointwise_rows import FLOAT, affine
from xpnn.interchange.program import Host, Program, Value
from xpnn.layers.lengths import Length, is_open


def attention(g: Program, layer: Any, p: Any, x: Any) -> str:
    """softmax(q k^T / sqrt(size)) v in every head, and the product with Wo."""
    inputs = x if layer.multi_input else (x,)
    query, memory = g.last(inputs[0]), g.last(inputs[1 if layer.cross else 0])
    size, value = p["Wq"].shape[1] // layer.heads, p["Wv"].shape[1] // layer.shared_heads

    def heads(a: str, time: int, n: int, width: int) -> str:
        """(N, time, n width) to (N, n, time, width)."""
        return str(g.op("Transpose", g.reshape(a, [0, time, n, width]), perm=[0, 2, 1, 3]))

    def grouped(a: str) -> str:
        """The queries of one head of k and v in a row, where several heads share one."""
        return a if layer.shared_heads == layer.heads else g.reshape(a, [0, layer.shared_heads, -1, 0])

    def apart(a: str) -> str:
        """The inverse of `grouped`."""
        return a if layer.shared_heads == layer.heads else g.reshape(a, [0, layer.heads, -1, 0])

    time, steps = query.shape[0], memory.shape[0]
    q = affine(g, query, p["Wq"], p.get("bq"), "q")
    q = heads(g.op("Mul", q, g.constant(size**-0.5)), time, layer.heads, size)
    k = heads(g.op("MatMul", memory.name, g.parameter("Wk", p["Wk"])), steps, layer.shared_heads, size)
    v = heads(affine(g, memory, p["Wv"], p.get("bv"), "v"), steps, layer.shared_heads, value)
    if layer.rotary:
        q, k = (rotated(g, a, time, size, size, layer.rotary, layer.rotary_base) for a in (q, k))
    z = apart(g.op("MatMul", grouped(q), g.op("Transpose", k, perm=[0, 1, 3, 2])))
    seen = visible(g, layer, p, query, memory, inputs[-1] if layer.masked else None)
    if seen:
        z = g.op("Where", seen, z, g.constant(-3e38))
    a = g.op("Softmax", z, axis=-1)
    if seen:  # a query that may see nothing gets 0
        a = g.op("Where", seen, a, g.constant(0.0))
    o = apart(g.op("MatMul", grouped(a), v))
    o = g.reshape(g.op("Transpose", o, perm=[0, 2, 1, 3]), [0, time, layer.heads * value])
    return affine(g, Value(o, query.shape), p["Wo"], p.get("bo"), "o")


def visible(g: Program, layer: Any, p: Any, query: Value, memory: Value, mask: Value | None) -> str:
    """What a query may see, as booleans that broadcast against the scores; "" for everything."""
    seen = []
    if mask is not None:
        axes = [1, 2] if len(mask.shape) == 1 else [1]
        seen.append(g.op("Greater", g.op("Unsqueeze", mask.name, g.ints(axes)), g.constant(0.0)))
    if layer.causal and is_open(query.shape):
        place = positions(g, query.name, 1)
        later = g.op("Greater", g.op("Unsqueeze", place, g.ints([0])), g.op("Unsqueeze", place, g.ints([1])))
        seen.append(g.op("Not", later))
    elif layer.causal:
        seen.append(g.constant(np.tril(np.ones((query.shape[0], memory.shape[0]))), np.bool_))
    if layer.attention_mask is not None:
        seen.append(g.constant(np.asarray(p["mask"]) > 0, np.bool_))
    for one in seen[1:]:
        seen[0] = g.op("And", seen[0], one)
    return seen[0] if seen else ""


def rotary_positions(g: Program, layer: Any, p: Any, x: Value) -> str:
    """Rotate every head by the same angles."""
    time, features = x.shape
    width = features // layer.heads
    heads = g.reshape(g.last(x).name, [0, time, layer.heads, width])
    heads = g.op("Transpose", heads, perm=[0, 2, 1, 3])
    y = rotated(g, heads, time, width, layer.size or width, layer.layout, layer.base)
    return g.reshape(g.op("Transpose", y, perm=[0, 2, 1, 3]), [0, time, features])


def rotated(g: Program, x: str, time: int, width: int, size: int, layout: str, base: float) -> str:
    """x (N, heads, time, width) as x cos + (x P) sin, where P puts every feature's partner, signed, in its place."""
    n = size // 2
    first, second = partners(layout, n)
    P, speed = np.zeros((width, width)), np.zeros(width)
    P[second, first], P[first, second] = -1, 1
    speed[first] = speed[second] = base ** (-np.arange(n) / n)
    cos, sin = waves(g, x, time, speed)
    partner = g.op("MatMul", x, g.constant(P))
    return str(g.op("Add", g.op("Mul", x, cos), g.op("Mul", partner, sin)))


def partners(layout: str, n: int) -> tuple[Host, Host]:
    """The first and the second feature of each of n pairs."""
    first = np.arange(n) if layout == "half" else 2 * np.arange(n)
    return first, first + (n if layout == "half" else 1)


def waves(g: Program, x: str, time: int, speed: Host) -> tuple[str, str]:
    """cos and sin of t speed, (time, features), for x (N, heads, time, features)."""
    if isinstance(time, Length):
        place = g.op("Unsqueeze", positions(g, x, 2), g.ints([1]))
        angle = g.op("Mul", place, g.constant(speed))
        return g.op("Cos", angle), g.op("Sin", angle)
    turn = np.arange(time)[:, None] * speed
    return g.constant(np.cos(turn)), g.constant(np.sin(turn))


def positions(g: Program, x: str, axis: int) -> str:
    """0, 1, ..., as floats: so many as x has on that axis."""
    size = g.op("Squeeze", g.op("Shape", x, start=axis, end=axis + 1), g.ints([0]))
    return str(g.op("Cast", g.op("Range", g.constant(0, np.int64), size, g.constant(1, np.int64)), to=FLOAT))


def positional(g: Program, layer: Any, p: Any, x: Value) -> str:
    """x + P; of an open length P is computed."""
    if "P" in p:
        return str(g.op("Add", g.last(x).name, g.parameter("P", p["P"])))
    place, x = np.arange(x.shape[1]), g.last(x)
    speed = Sinusoidal().base ** (-(place // 2 * 2) / len(place))
    angle = g.op("Mul", g.op("Unsqueeze", positions(g, x.name, 1), g.ints([1])), g.constant(speed))
    P = g.op("Where", g.constant(place % 2 == 0, np.bool_), g.op("Sin", angle), g.op("Cos", angle))
    return str(g.op("Add", x.name, P))
