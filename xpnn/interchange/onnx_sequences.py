"""ONNX's recurrent operations as layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Host, Layout, Refusal, Value, chained

CLASSES: dict[str, type[Any]] = {"LSTM": L.LSTM, "GRU": L.GRU, "RNN": L.SimpleRNN}
ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""Which of ONNX's gates stand where here: i, o, f, c become i, f, c, o; z, r, h become r, z, h."""
ACTIVATIONS = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}


def check(b: Builder, kind: str, inputs: Inputs, a: dict[str, Any], directions: int, steps: int) -> None:
    """Raise Refusal for what recurrent layers here do not have."""
    lengths = b.optional(inputs, 4, "the lengths of the sequences")
    if lengths is not None and np.any(lengths != steps):
        raise Refusal("sequences of other lengths than the whole")
    for i, word in ((5, "the first state"), (6, "the first cell"), (7, "the peepholes")):
        given = b.optional(inputs, i, word)
        if given is not None and np.any(given):
            raise Refusal(f"{word} other than 0")
    words = [str(word).lower() for word in a.get("activations", ())]
    if words and words != ACTIVATIONS[kind] * directions:
        raise Refusal(f"the activations {words}")
    if a.get("direction", "forward") == "reverse":
        raise Refusal("a layer that reads backwards alone")
    if a.get("clip") or a.get("input_forget"):
        raise Refusal("clip or input_forget")
    if kind == "GRU" and not a.get("linear_before_reset", 0) and steps > 1:
        raise Refusal("a reset before its product (linear_before_reset=0), ours is after it")


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
        b.wants(x, (0, 1, 2) if first else (1, 0, 2))
        if len(outputs) > 2 and outputs[2] and b.uses.get(outputs[2]):
            raise Refusal("the last cell is taken by another node")
        each = [parameters(kind, W[d], R[d], B[d], a) for d in range(directions)]
        wanted = [i for i, name in enumerate(outputs[:2]) if name and b.uses.get(name)]
        if len(wanted) == 2:
            b.notes.append("all states and the last are given by two layers with copies of the weights")
        for i in wanted:
            make(b, kind, outputs[i], x, each, units, (steps, samples), first, all_states=i == 0)

    return rule


def make(
    b: Builder, kind: str, out: str, x: Value, each: list[dict[str, Host]], units: int, size: tuple[int, int],
    first: bool, *, all_states: bool,
) -> None:  # fmt: skip
    """The layer, and a Reshape that gives the directions an axis of their own."""
    layer: L.Layer = CLASSES[kind](units, sequences=all_states)
    found, n = each[0], len(each)
    if n == 2:
        layer = L.Bidirectional(layer)
        found = {f"{d}.{key}": v for d in (0, 1) for key, v in each[d].items()}
    samples, time = size[1], size[:1] if all_states else ()
    head = (samples, *time) if first else (*time, n, samples)
    shape = (*head, n, units) if first else (*head, units)
    order = tuple(range(len(shape))) if first else (len(shape) - 2, *range(len(shape) - 2), len(shape) - 1)
    cut = L.Reshape((*time, n, units))
    b.put(out, chained(layer, cut), x, shape, Layout(order), {f"0.{key}": v for key, v in found.items()})


RULES: dict[str, Rule] = {kind: recurrent(kind) for kind in CLASSES}
