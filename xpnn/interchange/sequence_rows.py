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
    """W, R and B of one direction; B is 0 for a layer without bias."""
    order = ORDER[type(layer).__name__]
    W, U = in_order(p["W"], order), in_order(p["U"], order)
    b = in_order(p["b"], order) if layer.bias else np.zeros_like(W[0])
    recurrent = np.zeros_like(b)
    if "c" in p:
        recurrent[2 * layer.units :] = p["c"]
    return W.T, U.T, np.concatenate([b, recurrent])


def recurrent(g: Program, layer: Any, p: Any, x: Any) -> Any:
    """LSTM, GRU or RNN; one with a mask is a loop of its own, because its states stay where the mask is 0."""
    one, ps = (layer.layer, p) if hasattr(layer, "layer") else (layer, (p,))
    given = x if layer.multi_input else (x,)
    n = one.states if one.initial_state else 0
    first = [[a.name for a in given[1 + d * n : 1 + (d + 1) * n]] for d in range(len(ps))]
    if one.masked:
        y, last = masked(g, one, ps, given[0], given[-1], first)
    else:
        y, last = unmasked(g, one, ps, given[0], first)
    if not one.return_state:
        return y
    time = given[0].shape[:1] if one.sequences else ()
    states = [Value(state, (one.units,)) for direction in last for state in direction]
    return Value(y, (*time, one.units * len(ps))), *states


def unmasked(
    g: Program, one: Any, ps: tuple[Any, ...], x: Value, first: list[list[str]]
) -> tuple[str, list[list[str]]]:
    """y, and the last states of each direction. first: the states before the first step, or none, of each."""
    kind, both = type(one).__name__.removeprefix("Simple"), len(ps) == 2
    W, R, B = (
        g.parameter(name, np.stack(part))
        for name, part in zip("WRB", zip(*(weights(one, q) for q in ps), strict=True), strict=True)
    )
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    direction = "bidirectional" if both else "reverse" if one.reverse else "forward"
    by_time = g.op("Transpose", g.last(x).name, perm=[1, 0, 2])
    begin = [stacked(g, each) for each in zip(*first, strict=True)]
    every, *ends = g.op(
        kind, by_time, W, R, B, *[""] * bool(begin), *begin, outputs=1 + one.states,
        hidden_size=one.units, direction=direction, **more,
    )  # fmt: skip
    width = one.units * len(ps)
    if one.sequences:
        y = g.reshape(g.op("Transpose", every, perm=[2, 0, 1, 3]), [0, 0, width])
    else:
        y = g.reshape(g.op("Transpose", ends[0], perm=[1, 0, 2]), [0, width])
    if not one.return_state:
        return y, []
    split = [g.op("Split", end, outputs=2, axis=0, num_outputs=2) if both else [end] for end in ends]
    return y, [[g.reshape(end[d], [-1, one.units]) for end in split] for d in range(len(ps))]


def stacked(g: Program, names: tuple[str, ...]) -> str:
    """Values (N, units), one for each direction, as (directions, N, units)."""
    each = [g.op("Unsqueeze", name, g.ints([0])) for name in names]
    return str(g.op("Concat", *each, axis=0)) if len(each) > 1 else each[0]


def masked(
    g: Program, layer: Any, ps: tuple[Any, ...], x: Value, mask: Value, first: list[list[str]]
) -> tuple[str, list[list[str]]]:
    """Scan, once for each direction: y, and the last states of each."""
    by_time = Value(g.op("Transpose", g.last(x).name, perm=[1, 0, 2]), x.shape)
    real = g.op("Transpose", g.op("Unsqueeze", mask.name, g.ints([2])), perm=[1, 0, 2])
    real = g.op("Greater", real, g.constant(0.0))
    if not layer.initial_state:
        size = g.op("Concat", g.op("Shape", x.name, start=0, end=1), g.ints([layer.units]), axis=0)
        first = [[g.op("Expand", g.constant(0.0), size)] * layer.states] * len(ps)
    results, last = [], []
    for i, (q, start) in enumerate(zip(ps, first, strict=True)):
        with g.inside(i) if len(ps) > 1 else g.inside(""):
            y, ends = scan(g, layer, q, by_time, real, start, reverse=layer.reverse or i == 1)
        results.append(y)
        last.append(ends)
    return (results[0] if len(results) == 1 else str(g.op("Concat", *results, axis=-1))), last


def scan(
    g: Program, layer: Any, p: Any, x: Value, real: str, start: list[str], *, reverse: bool
) -> tuple[str, list[str]]:
    """All states (N, time, units), or the last (N, units), of one direction; and its last states."""
    a = affine(g, x, p["W"], p.get("b"))
    U = g.parameter("U", p["U"])
    c = g.parameter("c", p["c"]) if "c" in p else ""
    body = step_body(g, STEP[type(layer).__name__], layer.states, U, c)
    *ends, states = g.op(
        "Scan", *start, a, real, outputs=layer.states + 1,
        num_scan_inputs=2, scan_input_directions=[int(reverse)] * 2, scan_output_directions=[int(reverse)],
        body=body,
    )  # fmt: skip
    return str(g.op("Transpose", states, perm=[1, 0, 2])) if layer.sequences else str(ends[0]), ends


def step_body(g: Program, rule: Any, states: int, U: str, c: str) -> "Body":
    """One step, where the mask is 0 of nothing: the states stay. rule: one of `STEP`."""
    outer, g.nodes = g.nodes, []
    step, keep, *olds = (g.name(f"{g.path}/{word}") for word in ("step", "real", "h", "c"))
    olds = olds[:states]
    news = rule(g, step, g.op("MatMul", olds[0], U), olds, c)
    kept = [g.op("Where", keep, new, old) for new, old in zip(news, olds, strict=True)]
    seen = g.op("Identity", kept[0])
    body, g.nodes = g.nodes, outer
    return Body(body, [*olds, step, keep], [*kept, seen])


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
    n = g.op("Tanh", g.op("Add", an, g.op("Mul", r, g.op("Add", un, c) if c else un)))
    fresh = g.op("Mul", g.op("Sub", g.constant(1.0), z), n)
    return [g.op("Add", fresh, g.op("Mul", z, olds[0]))]


STEP = {"SimpleRNN": simple_step, "LSTM": lstm_step, "GRU": gru_step}
