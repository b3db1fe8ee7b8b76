"""Recurrent nodes of ONNX with every set of outputs, in each direction, with and without what may be left out."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_graphs import graph, ints, one, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, difference, loaded, samples  # noqa: E402

pytestmark = pytest.mark.oracle
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
UNITS, FEATURES = 3, 4
ACTIVATIONS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def recurrent(
    kind, outputs="Y", direction="forward", *, steps=5, inputs="t W R B", constants=None, **attributes
):
    """The sum of these outputs, of Y over the steps; both directions side by side."""
    n, more = 2 if direction == "bidirectional" else 1, {"linear_before_reset": 1} if kind == "GRU" else {}
    names = [name if name in outputs else "" for name in ("Y", "H", "C")[: 3 if kind == "LSTM" else 2]]
    while not names[-1]:
        names.pop()
    given = more | {"hidden_size": UNITS, "direction": direction} | attributes
    nodes = [("Transpose", "x", "t", {"perm": [1, 0, 2]}), (kind, inputs, " ".join(names), given)]
    for name in outputs:
        if name == "Y":
            nodes += [
                ("Transpose", "Y", "y1", {"perm": [2, 0, 1, 3]}),
                ("ReduceSum", "y1 one", "Y2", {"keepdims": 0}),
            ]
        else:
            nodes += [("Transpose", name, f"{name}2", {"perm": [1, 0, 2]})]
        nodes.append(("Reshape", f"{name}2 row", f"{name}3", {}))
    nodes.append(("Sum", " ".join(f"{name}3" for name in outputs), "y", {}))
    k = GATES[kind] * UNITS
    weights = {"W": random(n, k, FEATURES), "R": random(n, k, UNITS), "B": random(n, 2 * k)}
    return graph(
        nodes, (steps, FEATURES), weights | {"one": ints(1), "row": ints(0, n * UNITS)} | (constants or {})
    )


SETS = {
    "LSTM": {
        "forward": ("Y", "C", "YHC"),
        "reverse": ("H", "YC"),
        "bidirectional": ("Y", "C", "YH", "HC", "YHC"),
    },
    "GRU": {"forward": ("YH",), "reverse": ("Y", "H"), "bidirectional": ("Y", "YH")},
    "RNN": {"forward": ("YH",), "reverse": ("Y", "H"), "bidirectional": ("H", "YH")},
}
READ = {
    **{f"{kind} {way}, {names}": recurrent(kind, names, way)
       for kind, ways in SETS.items() for way, sets in ways.items() for names in sets},
    **{f"{kind} without biases, {way}": recurrent(kind, "YH", way, inputs="t W R")
       for kind in GATES for way in ("reverse", "bidirectional")},
    **{f"{kind}, its activations by name, {way}": recurrent(
        kind, "Y", way, activations=ACTIVATIONS[kind] * (2 if way == "bidirectional" else 1)
    ) for kind in GATES for way in ("forward", "bidirectional")},
    **{f"{kind} of one step": recurrent(kind, "H", steps=1) for kind in GATES},
    "GRU of one step that resets before": recurrent("GRU", "YH", steps=1, linear_before_reset=0),
    "lengths of the whole": recurrent("LSTM", inputs="t W R B n", constants={"n": np.full(3, 5, np.int32)}),
    "first states of 0": recurrent(
        "LSTM", "YHC", inputs="t W R B  h h", constants={"h": np.zeros((1, 3, UNITS), np.float32)}
    ),
    "peepholes of 0": recurrent(
        "LSTM", inputs="t W R B    p", constants={"p": np.zeros((1, 3 * UNITS), np.float32)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_gives_what_onnxruntime_gives(name, tmp_path):
    assert compare(READ[name], tmp_path) <= TOLERANCE


@pytest.mark.parametrize("kind", GATES)
def test_weights_without_biases_become_a_layer_without(kind, tmp_path):
    parameters = loaded(READ[f"{kind} without biases, reverse"], tmp_path).parameters()
    assert {path.rpartition(".")[2] for path in parameters} == {"W", "U"}


CELLS = {"W": random(1, 12, FEATURES), "R": random(1, 12, UNITS), "B": random(1, 24)}
FIRST = {"b": ints(0), "e": ints(UNITS), "f": ints(1), "two": ints(2), "zero": ints(0)}


@pytest.mark.parametrize("names", ["Y", "H", "YH", "YHC"])
@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_samples_may_come_first(kind, names, tmp_path):
    """layout=1, which onnxruntime does not have."""
    n = GATES[kind] * UNITS
    cells = {"W": random(1, n, FEATURES), "R": random(1, n, UNITS), "B": random(1, 2 * n)}
    names = names if kind == "LSTM" else names.replace("C", "")
    outputs = [name if name in names else "" for name in ("Y", "H", "C")[: 3 if kind == "LSTM" else 2]]
    nodes = [(kind, "x W R B", " ".join(outputs).rstrip(), {"hidden_size": UNITS, "layout": 1})]
    nodes += [("ReduceSum", "Y one", "Y2", {"keepdims": 0})] * ("Y" in names)
    nodes += [("Reshape", f"{name}2" if name == "Y" else name, f"{name}3", {}) for name in names]
    for i, node in enumerate(nodes):
        if node[0] == "Reshape":
            nodes[i] = ("Reshape", f"{node[1]} row", node[2], {})
    nodes.append(("Sum", " ".join(f"{name}3" for name in names), "y", {}))
    proto = graph(nodes, (5, FEATURES), cells | {"one": ints(1), "row": ints(0, UNITS)})
    x = samples(proto)
    wanted = ReferenceEvaluator(proto).run(None, {"x": x})[0].astype(np.float32)
    assert difference(loaded(proto, tmp_path).forward(x), wanted) <= 2 * TOLERANCE


def begun(kind, inputs, n=1, **attributes):
    """A first state that is computed: the first step."""
    k = GATES[kind] * UNITS
    nodes = [("Transpose", "x", "t", {"perm": [1, 0, 2]}), ("Slice", "t b f zero", "s", {}),
             ("Slice", "s b e two", "h", {}), (kind, inputs, " H", {"hidden_size": UNITS} | attributes),
             ("Squeeze", "H zero", "y", {})]  # fmt: skip
    cells = {"W": random(n, k, FEATURES), "R": random(n, k, UNITS), "B": random(n, 2 * k)}
    return graph(nodes, (5, FEATURES), cells | FIRST)


@pytest.mark.parametrize("kind", GATES)
def test_a_first_state_may_be_computed(kind, tmp_path):
    inputs = "t W R B  h h" if kind == "LSTM" else "t W R B  h"
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    assert compare(begun(kind, inputs, **more), tmp_path) <= TOLERANCE


REFUSED = {
    "one of two first states": (begun("LSTM", "t W R B  h"), "or of one of two states alone"),
    "the other of two first states": (begun("LSTM", "t W R B   h"), "or of one of two states alone"),
    "a first state for two directions": (
        begun("RNN", "t W R B  h", 2, direction="bidirectional"), "first states of two directions in one array",
    ),
    "states of another width": (
        one("LSTM", "x W R B", (2, FEATURES), CELLS | {"R": random(1, 12, 2)}, hidden_size=3),
        "LSTM: W of shape .* for 3",
    ),
    "samples of another width": (
        one("LSTM", "x W R B", (2, FEATURES), CELLS | {"W": random(1, 12, 5)}, hidden_size=3),
        "LSTM: W of shape .* for 3",
    ),
    "a GRU of two steps that resets before": (
        recurrent("GRU", steps=2, linear_before_reset=0), "GRU: a reset before its product",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


def test_the_number_of_units_is_that_of_the_weights(tmp_path):
    proto = graph(
        [("Transpose", "x", "t", {"perm": [1, 0, 2]}), ("LSTM", "t W R B", "Y", {}), ("Squeeze", "Y one", "z", {}),
         ("Transpose", "z", "y", {"perm": [1, 0, 2]})],
        (5, FEATURES), CELLS | {"one": ints(1)},
    )  # fmt: skip
    assert loaded(proto, tmp_path).output_shape == (5, UNITS)
