"""ONNX's Scan, where its body is one step of a recurrent layer whose states stay as they are at padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_compare import mask_of
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Host, Layout, Refusal, Value
from xpnn.interchange.program import Node, Program
from xpnn.interchange.sequence_rows import STEP, step_body

CLASSES: dict[str, type[Any]] = {"SimpleRNN": L.SimpleRNN, "LSTM": L.LSTM, "GRU": L.GRU}
BY_TIME = (1, 0, 2)


def scan(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """A masked SimpleRNN, LSTM or GRU. Its body has to be that which `save_onnx` writes."""
    if a.get("num_scan_inputs") != 2 or not 3 <= len(inputs) <= 4:
        raise Refusal("a loop over other than the inputs of a recurrent layer and a mask")
    ways = {*a.get("scan_input_directions", (0, 0)), *a.get("scan_output_directions", (0,))}
    if len(ways) > 1 or any(a.get("scan_input_axes", ())) or any(a.get("scan_output_axes", ())):
        raise Refusal("a loop that reads in one direction and writes in the other, or along another axis")
    kind, names = recognized(b, a["body"])
    gates, real = (b.value(name) for name in inputs[-2:])
    x, found = affine(b, gates)
    U = b.constants[names["U"]]
    units = int(U.shape[0])
    if U.shape != (units, found["W"].shape[1]):
        raise Refusal(f"states of {units} features times an array of shape {U.shape}")
    found["U"] = U
    if "c" in names:
        found["c"] = b.constants[names["c"]]
    if kind == "GRU" and ("c" in found) != ("b" in found):
        raise Refusal("one of its two biases alone")
    first = [] if all(is_zero(b, name) for name in inputs[:-2]) else [b.value(name) for name in inputs[:-2]]
    wanted = [i for i, name in enumerate(outputs) if name and b.uses.get(name)]
    every = len(outputs) - 1
    layer = CLASSES[kind](
        units, sequences=every in wanted, masked=True, bias="b" in found, reverse=1 in ways,
        initial_state=bool(first), return_state=wanted not in ([every], [0]),
    )  # fmt: skip
    steps, samples = x.shape[:2]
    mask = mask_of(b, real, (steps,))
    shapes = dict.fromkeys(wanted, (samples, units)) | {every: (steps, samples, units)}
    orders = dict.fromkeys(wanted, (0, 1)) | {every: BY_TIME}
    given = [x, *first, mask]
    if not layer.return_state:
        (i,) = wanted or (0,)
        b.put(outputs[i], layer, given, shapes[i], Layout(orders[i]), found)
        return
    made = b.put("", layer, given, shapes[every], Layout(BY_TIME), found)
    for i in wanted:
        place = 0 if i == every else 1 + i
        b.put(outputs[i], L.SelectOutput(place), made, shapes[i], Layout(orders[i]))


def is_zero(b: Builder, name: str) -> bool:
    """Whether a first state is the constant 0."""
    return name in b.constants and not np.any(b.constants[name])


def affine(b: Builder, gates: Value) -> tuple[Value, dict[str, Host]]:
    """x and the parameters of the Dense whose results go into the loop."""
    node = b.node(gates.name)
    if not isinstance(node[0], L.Dense):
        raise Refusal("a loop over something else than products with a matrix")
    x = next((b.values[name] for name in b.names_of.get(node[1], ()) if name in b.values), None)
    if x is None or gates.layout.order != BY_TIME or gates.rank != 3:
        raise Refusal("a loop over something else than products with a matrix")
    found = {"W": b.parameters[f"{gates.name}.W"]}
    if node[0].bias:
        found["b"] = b.parameters[f"{gates.name}.b"]
    return Value(x.name, (*gates.shape[:2], found["W"].shape[0]), Layout(BY_TIME)), found


def recognized(b: Builder, body: Any) -> tuple[str, dict[str, str]]:
    """The class whose step the body is, and the names of U and c in it. Raises Refusal where it is none."""
    inputs, outputs = ([str(one.name) for one in part] for part in (body.input, body.output))
    for kind, with_c in (("SimpleRNN", False), ("LSTM", False), ("GRU", True), ("GRU", False)):
        g = Program()
        cls, c = CLASSES[kind], "c" if with_c else ""
        wanted = step_body(g, STEP[kind], cls.states, "U", c)
        names = dict(zip(wanted.inputs, inputs, strict=False))
        if len(inputs) != len(wanted.inputs) or len(body.node) != len(wanted.nodes):
            continue
        same = all(
            same_node(b, g, one, node, names) for one, node in zip(body.node, wanted.nodes, strict=True)
        )
        if same and [names.get(name) for name in wanted.outputs] == outputs:
            return kind, names
    raise Refusal("a loop whose body is no step of a layer here")


def same_node(b: Builder, g: Program, one: Any, node: Node, names: dict[str, str]) -> bool:
    """Whether both nodes do the same. names: {ours: theirs}, which grows."""
    settings = {str(entry.name): int(entry.i) for entry in one.attribute}
    if one.op_type != node.kind or settings != node.attributes or len(one.input) != len(node.inputs):
        return False
    for mine, other in zip(node.inputs, map(str, one.input), strict=True):
        if mine not in names and other in b.constants:
            if mine in g.constants and not np.array_equal(g.constants[mine], b.constants[other]):
                return False
            names[mine] = other
        if names.get(mine) != other:
            return False
    names.update(zip(node.outputs, map(str, one.output), strict=False))
    return len(one.output) == len(node.outputs)


RULES: dict[str, Rule] = {"Scan": scan}
