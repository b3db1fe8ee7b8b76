"""Operations on arrays without an axis of samples, and norms and lengths written out, each written in several ways."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, one, positive, random  # noqa: E402
from onnx_runs import TOLERANCE, compare, difference, loaded, session  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402

pytestmark = pytest.mark.oracle
SHAPE = (3, 4, 5)


def bare(kind, inputs="x", constants=None, shape=SHAPE, opset=18, **attributes):
    """One node on an array that is one sample."""
    proto = one(kind, inputs, shape[1:], constants or {}, opset=opset, **attributes)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = shape[0]
    return proto


NORM = {"g": positive(5), "b": random(5)}
BARE = {
    **{f"{kind}, its default": bare(kind) for kind in ("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")},
    **{f"{kind} of {axis}": bare(kind, axis=axis) for kind in ("Softmax", "LogSoftmax", "Hardmax", "LpNormalization")
       for axis in (0, 1, -1, -2)},
    "Softmax before opset 13": bare("Softmax", shape=(3, 4), opset=12, axis=1),
    "LayerNormalization": bare("LayerNormalization", "x g b", NORM),
    "LayerNormalization of an axis": bare("LayerNormalization", "x g b", NORM, axis=2),
    "Concat": bare("Concat", "x x", axis=0), "Concat of the last": bare("Concat", "x x", axis=-1),
    "Transpose": bare("Transpose"), "Transpose, perm": bare("Transpose", perm=[1, 0, 2]),
    "Flatten": bare("Flatten"), "Flatten at 0": bare("Flatten", axis=0), "Flatten at the end": bare("Flatten",
        axis=3),
    "Flatten at -1": bare("Flatten", axis=-1), "Flatten at 2": bare("Flatten", axis=2),
    "Reshape": bare("Reshape", "x s", {"s": ints(5, -1)}), "Reshape, kept": bare("Reshape", "x s", {"s": ints(0,
        -1)}),
    "Reshape, kept behind": bare("Reshape", "x s", {"s": ints(6, 2, 0)}),
    "Squeeze": bare("Squeeze", shape=(1, 4, 1)), "Squeeze of one": bare("Squeeze", "x a", {"a": ints(0)}, (1, 4, 1)),
    "Squeeze from behind": bare("Squeeze", "x a", {"a": ints(-1)}, (1, 4, 1)),
    "Squeeze before opset 13": bare("Squeeze", shape=(1, 4, 1), opset=11, axes=[0]),
    "Unsqueeze": bare("Unsqueeze", "x a", {"a": ints(0, 2)}), "Unsqueeze from behind": bare("Unsqueeze", "x a",
        {"a": ints(-1)}),
    "Unsqueeze before opset 13": bare("Unsqueeze", opset=11, axes=[1]),
    **{f"{kind} {what}": bare(kind, *more) for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum")
       for what, more in {"of all": (), "of the first": ("x a", {"a": ints(0)}), "of two": ("x a", {"a": ints(-1,
           1)})}.items()},
    "ReduceSum of none": bare("ReduceSum", noop_with_empty_axes=1),
    "ReduceMean, left out": bare("ReduceMean", "x a", {"a": ints(1)}, keepdims=0),
    "ReduceMean before opset 18": bare("ReduceMean", opset=17, axes=[0, -1]),
    "Slice": bare("Slice", "x b e", {"b": ints(1, 0), "e": ints(3, 2)}),
    "Slice of an axis": bare("Slice", "x b e a", {"b": ints(1), "e": ints(4), "a": ints(2)}),
    "Slice from behind, by steps": bare("Slice", "x b e a s", {"b": ints(3), "e": ints(0), "a": ints(-1),
        "s": ints(-2)}),
    "Slice before opset 10": bare("Slice", opset=9, starts=[1, 0], ends=[3, 2]),
    "Pad": bare("Pad", "x p", {"p": ints(1, 0, 2, 0, 3, 1)}),
    "Pad of an axis": bare("Pad", "x p  a", {"p": ints(1, 2), "a": ints(1)}),
    "Relu": bare("Relu"), "MatMul": bare("MatMul", "x W", {"W": random(5, 2)}),
}  # fmt: skip


@pytest.mark.parametrize("name", BARE)
def test_an_array_may_be_one_sample(name, tmp_path):
    proto = BARE[name]
    shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    wanted = session(proto.SerializeToString()).run(None, {"x": x})[0]
    model = loaded(proto, tmp_path, batched=False)
    got = model.forward(laid(x, model.input_shape)[None])[0]
    assert difference(laid(got, wanted.shape), wanted) <= TOLERANCE


def laid(a, shape):
    """a with its axes in the order of these sizes, which differ but for 1: here channels are last."""
    left, order = list(a.shape), []
    for n in shape if a.shape != tuple(shape) else ():
        order.append(left.index(n))
        left[order[-1]] = None
    return np.ascontiguousarray(a.transpose(order)) if order else a


TWO, EPS, HALF, ONE, THREE = (np.array(v, np.float32) for v in (2, 1e-3, -0.5, 1, 3))
CONSTANTS = {
    "two": TWO,
    "eps": EPS,
    "half": HALF,
    "one": ONE,
    "three": THREE,
    "g": positive(5),
    "last": ints(-1),
}
SQUARES = {"Mul": ("Mul", "x x", "q", {}), "Pow": ("Pow", "x two", "q", {})}
SUMMED = ("ReduceMean", "q last", "m", {}), ("Add", "m eps", "v", {})
TURNED = ("ReduceMean", "q last", "m", {}), ("Add", "eps m", "v", {})
ENDS = {
    "a quotient": [("Sqrt", "v", "r", {}), ("Div", "x r", "n", {})],
    "1 over the root": [("Sqrt", "v", "r", {}), ("Div", "one r", "i", {}), ("Mul", "x i", "n", {})],
    "a reciprocal": [("Sqrt", "v", "r", {}), ("Reciprocal", "r", "i", {}), ("Mul", "i x", "n", {})],
    "a power": [("Pow", "v half", "i", {}), ("Mul", "x i", "n", {})],
}
GAIN = ("Mul", "n g", "y", {})
NORMS = {
    f"{square}, {end}": graph([SQUARES[square], *SUMMED, *ENDS[end], GAIN], (4, 5), CONSTANTS, opset=18)
    for square in SQUARES for end in ENDS
} | {"eps first": graph([SQUARES["Mul"], *TURNED, *ENDS["a power"], GAIN], (4, 5), CONSTANTS, opset=18)}  # fmt: skip


def kinds(model):
    layers = getattr(model.net, "layers", None) or [layer for _, layer, _ in model.net.nodes]
    return [type(layer).__name__ for layer in layers]


@pytest.mark.parametrize("name", NORMS)
def test_a_root_of_a_mean_of_squares_is_one_layer(name, tmp_path):
    assert compare(NORMS[name], tmp_path) <= TOLERANCE
    found = loaded(NORMS[name], tmp_path)
    assert "RMSNorm" in kinds(found)
    layers = getattr(found.net, "layers", None) or [layer for _, layer, _ in found.net.nodes]
    assert next(layer.eps for layer in layers if hasattr(layer, "eps")) == 1e-3


OTHERWISE = {
    "squares that are taken": [("Mul", "x x", "q", {}), ("Neg", "q", "y", {})],
    "squares of another mean": [("Mul", "x x", "q", {}), ("ReduceMean", "q one1", "y", {})],
    "squares, their sum": [("Mul", "x x", "q", {}), ("ReduceSum", "q both", "y", {})],
    "a cube": [("Pow", "x three", "y", {})],
    "a mean that is dropped": [("Mul", "x x", "q", {}), ("ReduceMean", "q last", "y", {"keepdims": 0})],
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_only_begins_like_one_is_what_it_is(name, tmp_path):
    proto = graph(OTHERWISE[name], (4, 5), CONSTANTS | {"one1": ints(1), "both": ints(1, 2)}, opset=18)
    assert compare(proto, tmp_path) <= TOLERANCE
    assert "RMSNorm" not in kinds(loaded(proto, tmp_path))


LENGTHS = {
    "p = 2, a root of a sum": [("Mul", "x x", "q", {}), ("ReduceSum", "q at", "s", {}), ("Sqrt", "s", "l", {})],
    "p = 2": [("ReduceL2", "x at", "l", {})],
    "p = 1": [("ReduceL1", "x at", "l", {})],
    "p = 1, a sum": [("Abs", "x", "a", {}), ("ReduceSum", "a at", "l", {})],
}  # fmt: skip


@pytest.mark.parametrize("axis", [1, 2, -1])
@pytest.mark.parametrize("name", LENGTHS)
def test_a_length_that_is_held_above_a_number(name, axis, tmp_path):
    nodes = [*LENGTHS[name], ("Clip", "l low", "c", {}), ("Div", "x c", "y", {})]
    proto = graph(nodes, (4, 5), {"at": ints(axis), "low": np.array(0.7, np.float32)}, opset=18)
    assert compare(proto, tmp_path) <= TOLERANCE
    (layer,) = loaded(proto, tmp_path).net.layers
    assert (type(layer).__name__, layer.p, layer.eps) == (
        "LpNormalize",
        1 if "1" in name else 2,
        pytest.approx(0.7),
    )


def test_a_length_that_is_held_below_a_number_is_refused(tmp_path):
    nodes = [*LENGTHS["p = 2"], ("Clip", "l low high", "c", {}), ("Div", "x c", "y", {})]
    constants = {"at": ints(1), "low": np.array(0.1, np.float32), "high": np.array(9, np.float32)}
    with pytest.raises(CheckpointError, match="a length that is held below a bound"):
        loaded(graph(nodes, (4, 5), constants, opset=18), tmp_path)
