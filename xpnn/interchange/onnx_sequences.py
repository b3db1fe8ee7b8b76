"""ONNX's recurrent operations as layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Host, Layout, Refusal, Value, chained

STATES = "the first states of two directions"
"""The mark of states side by side, one for each direction."""
CLASSES: dict[str, type[Any]] = {"LSTM": L.LSTM, "GRU": L.GRU, "RNN": L.SimpleRNN}
ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of ONNX's gates stand where here: i, o, f, c become i, f, c, o; z, r, h become r, z, h."""
ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}


def check(b: Builder, kind: str, inputs: Inputs, a: dict[str, Any], directions: int, steps: int) -> None:
    """Raise Refusal for what recurrent layers here do not have."""
    lengths = b.optional(inputs, 4, "the lengths of the sequences")
    if lengths is not None and np.any(lengths != steps):
        raise Refusal("sequences of other lengths than the whole")
    peepholes = b.optional(inputs, 7, "the peepholes")
    if peepholes is not None and np.any(peepholes):
        raise Refusal("peepholes other than 0")
    words = [str(word).lower() for word in a.get("activations", ())]
    if words and words != ACTIVATIONS[kind] * directions:
        raise Refusal(f"the activations {words}")
    if a.get("clip") or a.get("input_forget"):
        raise Refusal("clip or input_forget")
    if kind == "GRU" and not a.get("linear_before_reset", 0) and steps > 1:
        raise Refusal("a reset before its product (linear_before_reset=0), ours is after it")


def first_states(b: Builder, kind: str, inputs: Inputs, directions: int, first: bool) -> list[Value]:
    """The states before the first step, where they are computed; none where they are 0.

    Of two directions those of the first come before those of the second. Raises Refusal for others.
    """
    words = ("the first state", "the first cell")[: CLASSES[kind].states]
    names = [inputs[i] if len(inputs) > i else "" for i in range(5, 5 + len(words))]
    for i, word in enumerate(words):
        known = names[i] in b.values or b.marks.get(names[i], ("",))[0] == STATES
        if names[i] and not known and np.any(b.constant(names[i], word)):
            raise Refusal(f"{word} other than 0, kept as a constant")
    each = [b.marks[name][1:] for name in names if b.marks.get(name, ("",))[0] == STATES]
    each = each or [(b.values[name],) for name in names if name in b.values]
    if each and (len(each) != len(words) or any(len(one) != directions for one in each)):
        raise Refusal("first states of two directions in one array, or of one of two states alone")
    found = [one[d] for d in range(directions) for one in each]
    return [b.wants(x, (0, 1, 2) if first else (1, 0, 2)) for x in found]


def parameters(kind: str, W: Host, R: Host, B: Host, a: dict[str, Any]) -> dict[str, Host]:
    """W, U, b (and c) of one direction."""
    order = ORDER[kind]

    def gates(array: Host) -> list[Host]:
        """The gates in our order."""
        parts = np.split(array, len(order))
        return [parts[i] for i in order]

    there, back = gates(B[: len(B) // 2]), gates(B[len(B) // 2 :])
    found = {"W": np.concatenate(gates(W)).T, "U": np.concatenate(gates(R)).T}
    if kind != "GRU":
        return found | {"b": np.concatenate([x + y for x, y in zip(there, back, strict=True)])}
    if not a.get("linear_before_reset", 0):  # of one step from 0 both forms are equal
        there[2], back[2] = there[2] + back[2], np.zeros_like(back[2])
    both = [there[0] + back[0], there[1] + back[1], there[2]]
    return found | {"b": np.concatenate(both), "c": back[2]}


def recurrent(kind: str) -> Rule:
    """A rule for LSTM, GRU or RNN."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """All states, the last, or both by two layers."""
        x, W, R = b.value(inputs[0]), b.constant(inputs[1], "W"), b.constant(inputs[2], "R")
        if x.rank != 3 or W.ndim != 3 or R.ndim != 3:
            raise Refusal(f"samples of shape {x.shape}, W of shape {W.shape}, R of shape {R.shape}")
        directions, units = int(W.shape[0]), int(a.get("hidden_size", R.shape[-1]))
        given = b.optional(inputs, 3, "the biases")
        B = np.zeros((directions, 2 * W.shape[1]), W.dtype) if given is None else given
        first = bool(a.get("layout", 0))
        steps, samples = (x.shape[1], x.shape[0]) if first else (x.shape[0], x.shape[1])
        check(b, kind, inputs, a, directions, steps)
        gates = len(ORDER[kind])
        if W.shape != (directions, gates * units, x.shape[2]) or R.shape != (
            directions,
            gates * units,
            units,
        ):
            raise Refusal(f"W of shape {W.shape} and R of shape {R.shape} for {units} units")
        if B.shape != (directions, 2 * gates * units):
            raise Refusal(f"biases of shape {B.shape}")
        x = b.wants(x, (0, 1, 2) if first else (1, 0, 2))
        begin = first_states(b, kind, inputs, directions, first)
        each = [parameters(kind, W[d], R[d], B[d], a) for d in range(directions)]
        if given is None:
            each = [{key: p[key] for key in "WU"} for p in each]
        wanted = [i for i, name in enumerate(outputs[:3]) if name and b.uses.get(name)]
        if not wanted:
            return
        layer = CLASSES[kind](
            units, sequences=0 in wanted, bias=given is not None, initial_state=bool(begin),
            reverse=a.get("direction", "forward") == "reverse", return_state=wanted not in ([0], [1]),
        )  # fmt: skip
        make(b, layer, outputs, wanted, [x, *begin], each, (steps, samples), first)

    return rule


def make(
    b: Builder, layer: Any, outputs: Sequence[str], wanted: list[int], xs: list[Value],
    each: list[dict[str, Host]], size: tuple[int, int], first: bool,
) -> None:  # fmt: skip
    """The layer, and behind it what gives the directions an axis of their own, for every output that is wanted."""
    found, n, units, k = each[0], len(each), layer.units, layer.states
    net: L.Layer = layer
    if n == 2:
        net = L.Bidirectional(layer)
        found = {f"{d}.{key}": v for d in (0, 1) for key, v in each[d].items()}
    cells = [L.Reshape((units,)) for _ in xs[1:]]
    begin = [
        b.put("", cut, h, (size[1], units), Layout((0, 1))) for cut, h in zip(cells, xs[1:], strict=True)
    ]
    given = (xs[0], *begin) if begin else xs[0]
    if not layer.return_state:
        (i,) = wanted
        put(b, outputs[i], [net], given, n, units, size, first, found, every=i == 0)
        return
    made = b.put("", net, given, (size[1], units), Layout((0, 1)), found)
    for i in wanted:
        if i == 0:
            put(b, outputs[0], [L.SelectOutput(0)], made, n, units, size, first, {}, every=True)
            continue
        places = [L.SelectOutput(i + d * k) for d in range(n)]
        if n == 1:
            put(b, outputs[i], [places[0]], made, n, units, size, first, {}, every=False)
        else:
            ends = tuple(b.put("", place, made, (size[1], units), Layout((0, 1))) for place in places)
            put(b, outputs[i], [L.Concatenate()], ends, n, units, size, first, {}, every=False)


def put(
    b: Builder, out: str, layers: list[L.Layer], x: Any, n: int, units: int, size: tuple[int, int], first: bool,
    found: dict[str, Host], *, every: bool,
) -> None:  # fmt: skip
    """Layers, and a Reshape to (directions, units), behind the time where it is every state."""
    samples, time = size[1], size[:1] if every else ()
    head = (samples, *time) if first else (*time, n, samples)
    shape = (*head, n, units) if first else (*head, units)
    order = tuple(range(len(shape))) if first else (len(shape) - 2, *range(len(shape) - 2), len(shape) - 1)
    y = b.put("", chained(*layers), x, shape, Layout(order), found)
    b.put(out, L.Reshape((*time, n, units)), y, shape, Layout(order))


RULES: dict[str, Rule] = {kind: recurrent(kind) for kind in CLASSES}
