"""How recurrent layers and attention become ONNX operations."""

from typing import Any

import numpy as np

from xpnn.interchange.pointwise_rows import affine
from xpnn.interchange.program import Host, Node, Program, Value

ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "SimpleRNN": (0,)}
"""Which of our gates stand where in ONNX: i, f, g, o become i, o, f, c; r, z, n become z, r, h."""


def in_order(a: Host, order: tuple[int, ...]) -> Host:
    """The gates on the last axis, put in that order."""
    parts = np.split(a, len(order), axis=-1)
    return np.concatenate([parts[i] for i in order], axis=-1)


def weights(layer: Any, p: Any) -> tuple[Host, Host, Host]:
    """W, R and B of one direction."""
    order = ORDER[type(layer).__name__]
    b = in_order(p["b"], order)
    recurrent = np.zeros_like(b)
    if "c" in p:
        recurrent[2 * layer.units :] = p["c"]
    return in_order(p["W"], order).T, in_order(p["U"], order).T, np.concatenate([b, recurrent])


def recurrent(g: Program, layer: Any, p: Any, x: Any) -> str:
    """LSTM, GRU or RNN; one with a mask is a loop of its own, because its states stay where the mask is 0."""
    one, ps = (layer.layer, p) if hasattr(layer, "layer") else (layer, (p,))
    if one.masked:
        return masked(g, one, ps, *x)
    kind = type(one).__name__.removeprefix("Simple")
    W, R, B = (
        g.parameter(name, np.stack(part))
        for name, part in zip("WRB", zip(*(weights(one, q) for q in ps), strict=True), strict=True)
    )
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    direction = "bidirectional" if len(ps) == 2 else "forward"
    by_time = g.op("Transpose", g.last(x).name, perm=[1, 0, 2])
    states, end = g.op(
        kind, by_time, W, R, B, outputs=2, hidden_size=one.units, direction=direction, **more
    )  # fmt: skip
    width = one.units * len(ps)
    if one.sequences:
        return g.reshape(g.op("Transpose", states, perm=[2, 0, 1, 3]), [0, 0, width])
    return g.reshape(g.op("Transpose", end, perm=[1, 0, 2]), [0, width])


def masked(g: Program, layer: Any, ps: tuple[Any, ...], x: Value, mask: Value) -> str:
    """Scan, once for each direction."""
    by_time = Value(g.op("Transpose", g.last(x).name, perm=[1, 0, 2]), x.shape)
    real = g.op("Transpose", g.op("Unsqueeze", mask.name, g.ints([2])), perm=[1, 0, 2])
    real = g.op("Greater", real, g.constant(0.0))
    size = g.op("Concat", g.op("Shape", x.name, start=0, end=1), g.ints([layer.units]), axis=0)
    start = g.op("Expand", g.constant(0.0), size)
    results = []
    for i, q in enumerate(ps):
        with g.inside(i) if len(ps) > 1 else g.inside(""):
            results.append(scan(g, layer, q, by_time, real, start, reverse=i == 1))
    if len(results) == 1:
        return results[0]
    return str(g.op("Concat", *results, axis=-1))


def scan(g: Program, layer: Any, p: Any, x: Value, real: str, start: str, *, reverse: bool) -> str:
    """All states (N, time, units), or the last (N, units), of one direction."""
    a = affine(g, x, p["W"], p["b"])
    U = g.parameter("U", p["U"])
    c = g.parameter("c", p["c"]) if "c" in p else ""
    outer, g.nodes = g.nodes, []
    step, keep, *olds = (g.name(f"{g.path}/{word}") for word in ("step", "real", "h", "c"))
    olds = olds[: 2 if type(layer).__name__ == "LSTM" else 1]
    product = g.op("MatMul", olds[0], U)
    news = STEP[type(layer).__name__](g, step, product, olds, c)
    kept = [g.op("Where", keep, new, old) for new, old in zip(news, olds, strict=True)]
    seen = g.op("Identity", kept[0])
    body, g.nodes = g.nodes, outer
    n = len(olds)
    *ends, states = g.op(
        "Scan", *[start] * n, a, real, outputs=n + 1,
        num_scan_inputs=2, scan_input_directions=[int(reverse)] * 2, scan_output_directions=[int(reverse)],
        body=Body(body, [*olds, step, keep], [*kept, seen]),
    )  # fmt: skip
    return str(g.op("Transpose", states, perm=[1, 0, 2])) if layer.sequences else str(ends[0])


class Body:
    """The nodes inside a Scan: states and slices in, states and what is collected out."""

    def __init__(self, nodes: list[Node], inputs: list[str], outputs: list[str]) -> None:
        self.nodes, self.inputs, self.outputs = nodes, inputs, outputs


def simple_step(g: Program, a: str, product: str, olds: list[str], c: str) -> list[str]:
    """tanh(a + h U)."""
    return [g.op("Tanh", g.op("Add", a, product))]


def lstm_step(g: Program, a: str, product: str, olds: list[str], c: str) -> list[str]:
    """o tanh(c) and c = f c + i g."""
    i, f, candidate, o = g.op("Split", g.op("Add", a, product), outputs=4, axis=-1, num_outputs=4)
    kept = g.op("Mul", g.op("Sigmoid", f), olds[1])
    cell = g.op("Add", kept, g.op("Mul", g.op("Sigmoid", i), g.op("Tanh", candidate)))
    return [g.op("Mul", g.op("Sigmoid", o), g.op("Tanh", cell)), cell]


def gru_step(g: Program, a: str, product: str, olds: list[str], c: str) -> list[str]:
    """(1 - z) n + z h."""
    ar, az, an = g.op("Split", a, outputs=3, axis=-1, num_outputs=3)
    ur, uz, un = g.op("Split", product, outputs=3, axis=-1, num_outputs=3)
    r, z = (g.op("Sigmoid", g.op("Add", one, other)) for one, other in ((ar, ur), (az, uz)))
    n = g.op("Tanh", g.op("Add", an, g.op("Mul", r, g.op("Add", un, c))))
    fresh = g.op("Mul", g.op("Sub", g.constant(1.0), z), n)
    return [g.op("Add", fresh, g.op("Mul", z, olds[0]))]


STEP = {"SimpleRNN": simple_step, "LSTM": lstm_step, "GRU": gru_step}


def attention(g: Program, layer: Any, p: Any, x: Any) -> str:
    """softmax(q k^T / sqrt(size)) v in every head, and the product with Wo."""
    inputs = x if layer.multi_input else (x,)
    query, memory = g.last(inputs[0]), g.last(inputs[1 if layer.cross else 0])
    size = p["Wq"].shape[1] // layer.heads

    def heads(a: str, time: int) -> str:
        """(N, time, heads size) to (N, heads, time, size)."""
        cut = g.reshape(a, [0, time, layer.heads, size])
        return str(g.op("Transpose", cut, perm=[0, 2, 1, 3]))

    q = affine(g, query, p["Wq"], p["bq"], "q")
    q = heads(g.op("Mul", q, g.constant(size**-0.5)), query.shape[0])
    k = heads(g.op("MatMul", memory.name, g.parameter("Wk", p["Wk"])), memory.shape[0])
    v = heads(affine(g, memory, p["Wv"], p["bv"], "v"), memory.shape[0])
    z = g.op("MatMul", q, g.op("Transpose", k, perm=[0, 1, 3, 2]))
    seen = visible(g, layer, query, memory, inputs[-1].name if layer.masked else "")
    if seen:
        z = g.op("Where", seen, z, g.constant(-3e38))
    a = g.op("Softmax", z, axis=-1)
    if seen:  # a query that may see nothing gets 0
        a = g.op("Where", seen, a, g.constant(0.0))
    o = g.op("Transpose", g.op("MatMul", a, v), perm=[0, 2, 1, 3])
    o = g.reshape(o, [0, query.shape[0], layer.heads * size])
    return affine(g, Value(o, query.shape), p["Wo"], p["bo"], "o")


def visible(g: Program, layer: Any, query: Value, memory: Value, mask: str) -> str:
    """What a query may see, as booleans that broadcast against the scores; "" for everything."""
    seen = ""
    if mask:
        seen = g.op("Greater", g.op("Unsqueeze", mask, g.ints([1, 2])), g.constant(0.0))
    if layer.causal:
        past = g.constant(np.tril(np.ones((query.shape[0], memory.shape[0]))), np.bool_)
        seen = g.op("And", seen, past) if seen else past
    return seen
