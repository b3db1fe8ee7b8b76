"""Operations that cut, reduce and broadcast, as onnxruntime has them."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, random
from onnx_runs import compare, loaded

from xpnn.errors import CheckpointError

pytestmark = pytest.mark.oracle

TOLERANCE = 1e-6


def reductions(nodes, shape, constants):
    """With the axes as an input, as opset 18 has them."""
    return graph(nodes, shape, constants, opset=18)


def ints(*values):
    return np.array(values, np.int64)


SQUEEZE = [
    ("Conv", "x K", "c", {"pads": [1, 1, 1, 1]}),
    ("ReduceMean", "c two", "m", {"keepdims": 1}),
    ("Conv", "m K1", "g", {}),
    ("Sigmoid", "g", "s", {}),
    ("Mul", "c s", "y", {}),
]
GRAPHS = {
    "squeeze and excitation": reductions(
        SQUEEZE, (3, 5, 4), {"K": random(6, 3, 3, 3), "K1": random(6, 6, 1, 1), "two": ints(2, 3)}
    ),
    "slices of images before a convolution": graph(
        [("Slice", "x start end axes steps", "a", {}), ("Conv", "a K", "y", {})],
        (3, 6, 5),
        {
            "start": ints(1, 4),
            "end": ints(6, -6),
            "axes": ints(2, 3),
            "steps": ints(2, -1),
            "K": random(4, 3, 1, 1),
        },
    ),
    "channels cut": graph(
        [("Conv", "x K", "c", {}), ("Slice", "c start end axes", "y", {})],
        (2, 4, 4),
        {"K": random(6, 2, 3, 3), "start": ints(1), "end": ints(1000), "axes": ints(1)},
    ),
    "three parts": graph(
        [("Split", "x sizes", "a b c", {"axis": -1}), ("Mul", "a b", "d", {}), ("Sub", "d c", "y", {})],
        (4, 6),
        {"sizes": ints(2, 2, 2)},
    ),
    "three parts of one size": graph(
        [
            ("Split", "x", "a b c", {"axis": -1}),
            ("Concat", "c a b", "y", {"axis": -1}),
        ],
        (4, 6),
        {},
    ),
    "means, sums and extremes": reductions(
        [
            ("ReduceSum", "x last", "a", {"keepdims": 1}),
            ("ReduceMax", "x last", "b", {"keepdims": 1}),
            ("ReduceMin", "x last", "c", {"keepdims": 1}),
            ("ReduceMean", "x last", "d", {"keepdims": 1}),
            ("Add", "a b", "e", {}),
            ("Add", "c d", "f", {}),
            ("Mul", "e f", "g", {}),
            ("ReduceSum", "g one", "y", {"keepdims": 0}),
        ],
        (4, 5),
        {"last": ints(-1), "one": ints(1)},
    ),
    "clipped and normalized": graph(
        [("Clip", "x low high", "a", {}), ("LpNormalization", "a", "y", {"axis": 1, "p": 1})],
        (4, 3),
        {"low": np.float32(-0.3), "high": np.float32(0.8)},
    ),
    "a constant array": graph(
        [("Add", "x C", "a", {}), ("Mul", "D a", "y", {})],
        (3, 4, 2),
        {"C": random(3, 4, 2), "D": random(3, 1, 2)},
    ),
    "a transpose": graph([("Transpose", "x", "y", {"perm": [0, 2, 1]})], (3, 4), {}),
    "a matrix without a bias": graph(
        [("MatMul", "x W", "a", {}), ("Tanh", "a", "b", {}), ("Gemm", "b V", "y", {})],
        (4,),
        {"W": random(4, 5), "V": random(5, 2)},
    ),
    "the largest": graph([("Hardmax", "x", "y", {"axis": -1})], (5,), {}),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_it_gives_what_onnxruntime_gives(name, tmp_path):
    assert compare(GRAPHS[name], tmp_path) <= TOLERANCE


def test_layers_are_those_one_would_write(tmp_path):
    def kinds(name):
        net = loaded(GRAPHS[name], tmp_path).net
        return [
            type(one).__name__
            for one in (net.layers if hasattr(net, "layers") else [n[1] for n in net.nodes])
        ]

    assert kinds("a matrix without a bias") == ["Dense", "Tanh", "Dense"]
    assert not any("b" in path for path in loaded(GRAPHS["a matrix without a bias"], tmp_path).parameters())
    assert kinds("three parts") == ["Slice", "Slice", "Slice", "Multiply", "Subtract"]
    assert kinds("a constant array") == ["Offset", "Scale"]
    assert kinds("a transpose") == ["Permute"]


@pytest.mark.parametrize(
    ("nodes", "shape", "constants", "words"),
    [
        (
            [("Slice", "x s e a", "y", {})],
            (4,),
            {"s": ints(1), "e": ints(2), "a": ints(0)},
            "samples are left out",
        ),
        (
            [("Slice", "x s e a", "y", {})],
            (4,),
            {"s": ints(3), "e": ints(3), "a": ints(1)},
            "nothing is left",
        ),
        ([("ReduceSum", "x a", "y", {})], (4,), {"a": ints(0)}, "over the axis of the samples"),
        ([("Add", "x C", "y", {})], (4, 3), {"C": random(2, 3)}, "a constant of shape"),
        ([("Div", "x x", "y", {})], (4,), {}, "one value divided by another"),
    ],
)
def test_what_no_layer_does_is_refused(nodes, shape, constants, words, tmp_path):
    with pytest.raises(CheckpointError, match=words):
        loaded(graph(nodes, shape, constants), tmp_path)
