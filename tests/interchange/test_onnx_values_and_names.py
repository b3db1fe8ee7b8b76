"""Where a network read from a file keeps its axes, its names and its numbers, and what it says where it cannot."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, one, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, loaded  # noqa: E402
from test_onnx_rare_nodes import flat  # noqa: E402

pytestmark = pytest.mark.oracle
CONV = ("Conv", "x K", "h", {})
KERNEL = {"K": random(4, 2, 1, 1)}
READ = {
    "an axis cut in two and joined again": graph(
        [("Reshape", "x s", "r", {}), ("Softmax", "r", "q", {}), ("Reshape", "q t", "y", {})], (6, 4),
        {"s": ints(0, 2, 3, 4), "t": ints(0, 6, 4)},
    ),
    "channels cut in two": graph(
        [CONV, ("Reshape", "h s", "r", {}), ("ReduceSum", "r at", "y", {"keepdims": 0})], (2, 3, 5),
        KERNEL | {"s": ints(0, 2, 2, 3, 5), "at": ints(1)},
    ),
    "rows and columns joined": graph(
        [CONV, ("Reshape", "h s", "r", {}), ("Softmax", "r", "y", {"axis": 1})],
        (2, 3, 5), KERNEL | {"s": ints(0, 4, 15)},
    ),
    "channels and rows joined": graph(
        [CONV, ("Reshape", "h s", "r", {}), ("Softmax", "r", "y", {"axis": 2})],
        (2, 3, 5), KERNEL | {"s": ints(0, 12, 5)},
    ),
    "axes of 1 that come and go": graph(
        [("Reshape", "x s", "r", {}), ("Relu", "r", "q", {}), ("Reshape", "q t", "y", {})], (6, 4),
        {"s": ints(0, 1, 6, 1, 4), "t": ints(0, 6, 4, 1)},
    ),
    "eight axes": graph(
        [("Reshape", "x s", "r", {}), ("Relu", "r", "q", {}), ("Reshape", "q t", "y", {})], (6, 4),
        {"s": ints(0, 2, 1, 3, 1, 2, 1, 2), "t": ints(0, 24)},
    ),
    "rows flattened twice": flat(
        ("Flatten", "f", "e", {}), ("Reshape", "e s", "y0", {}), s=ints(0, 24), W=random(24, 2)
    ),
    "Flatten of rows": graph([("Flatten", "x", "f", {}), ("Relu", "f", "y", {})], (5,), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_gives_what_onnxruntime_gives(name, tmp_path):
    assert compare(READ[name], tmp_path) <= TOLERANCE


REFUSED = {
    "nine axes": (one("Reshape", "x s", (6,), {"s": ints(0, 6, *[1] * 7)}), r"becomes \(\d+, 6, 1, 1, 1, 1, 1, 1, 1\)"),
    "half of the samples in each row": (one("Reshape", "x s", (6,), {"s": ints(-1, 4)}), "Reshape: "),
    "flattened images turned into images": (
        flat(("Reshape", "f s", "y0", {}), s=ints(0, 4, 6), W=random(6, 2)), "flattened images are reshaped again",
    ),
    "flattened images normalized": (
        flat(("LayerNormalization", "f g", "y0", {}), g=random(24), W=random(24, 2)),
        "flattened images go on to something else than a Dense layer",
    ),
    "samples that are not first": (
        graph([("Transpose", "x", "t", {"perm": [2, 1, 0]}), ("Flatten", "t", "y", {})], (3, 4), {}),
        "the axis of the samples is not the first",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


def names_in(net):
    return [name for name, _, _ in net.nodes]


def test_nodes_are_called_as_in_the_file(tmp_path):
    """By letters, digits and underscores, 40 of them; a second of a name has a number."""
    long = "a" * 50
    nodes = [("Relu", "x", "1/first layer", {}), ("Tanh", "1/first layer", "1.first.layer", {}), ("Neg", "x", long, {}),
             ("Add", f"1.first.layer {long}", "é", {})]  # fmt: skip
    proto = graph([("Relu", "x", "r", {})], (3,), {})
    del proto.graph.node[:]
    proto.graph.node.extend(
        onnx.helper.make_node(kind, ["x"] if kind in ("Relu", "Neg") else ["1/first layer"] if kind == "Tanh" else
                              ["1.first.layer", long], [out]) for kind, _, out, _ in nodes
    )  # fmt: skip
    proto.graph.output[0].name = "é"
    assert names_in(loaded(proto, tmp_path).net) == ["1_first_layer", "1_first_layer_2", "a" * 40, "node"]


@pytest.mark.parametrize(("dtype", "wanted"), [(np.float64, "float64"), (np.float32, "float32")])
def test_a_model_is_as_fine_as_the_weights_of_the_file(dtype, wanted, tmp_path):
    proto = one("MatMul", "x W", (4,), {"W": random(4, 3).astype(dtype)})
    model = loaded(proto, tmp_path)
    assert (model.backend.dtype_name, model.seed) == (wanted, 0)
    numbers = one("Add", "x c", (4,), {"c": random(4).astype(np.float64)})  # no matrix of weights
    assert loaded(numbers, tmp_path).backend.dtype_name == "float32"
