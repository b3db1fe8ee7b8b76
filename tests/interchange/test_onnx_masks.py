"""Attention under masks of the samples, and products, masks and reshapes that only look like a part of it."""

from types import SimpleNamespace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, one, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, difference, loaded, session  # noqa: E402
from test_onnx_attention import HEADS_FIRST, LAYER, T, written  # noqa: E402
from test_onnx_loops import varied  # noqa: E402
from test_onnx_rare_nodes import number  # noqa: E402
from written_out import linear_over_joined  # noqa: E402

from xpnn.errors import FileError  # noqa: E402
from xpnn.interchange import onnx_attention, onnx_file, torch_tensors  # noqa: E402

pytestmark = pytest.mark.oracle
FLOAT = onnx.TensorProto.FLOAT
RNG = np.random.default_rng(3)
SOFTMAX = ("Softmax", "m", "a", {"axis": -1})
SCALED = ("Mul", "z scale", "s", {})
HIDDEN = ("Where", "seen s little", "m", {})


def with_input(proto, name, shape):
    proto.graph.input.append(onnx.helper.make_tensor_value_info(name, FLOAT, ["N", *shape]))
    return proto


def under_mask(shape, *scores, target, **constants):
    """Attention whose keys count where the input `real` of that shape is above 0: 1 or 0 for each sample."""
    first = [("Reshape", "real target", "r4", {}), ("Greater", "r4 none", "seen", {})]
    proto = written((*first, SCALED, *(scores or (HIDDEN, SOFTMAX))), target=ints(*target), **constants)
    return with_input(proto, "real", shape)


MASKS = {"of keys": ((T,), (-1, 1, 1, T)), "of queries and keys": ((T, T), (-1, 1, T, T))}


@pytest.mark.parametrize("name", MASKS)
def test_a_mask_of_the_samples(name, tmp_path):
    shape, target = MASKS[name]
    proto = under_mask(shape, target=target)
    with pytest.warns(UserWarning, match="a query that may see no key gets 0, not a mean of all values"):
        model = loaded(proto, tmp_path)
    (layer,) = (one for _, one, _ in model.net.nodes if type(one).__name__ == LAYER)
    assert layer.masked
    assert model.input_shape[1] == shape
    x = RNG.standard_normal((3, T, 4)).astype(np.float32)
    real = (RNG.random((3, *shape)) > 0.4).astype(np.float32)
    real[..., 0] = 1
    wanted = session(proto.SerializeToString()).run(None, {"x": x, "real": real})[0]
    assert difference(model.forward((x, real)), wanted) <= TOLERANCE


def test_queries_and_keys_that_are_inputs(tmp_path):
    nodes = [("MatMul", "x k", "z", {}), ("Softmax", "z", "a", {}), ("MatMul", "a x", "y", {})]
    proto = with_input(graph(nodes, (5, 3), {}), "k", (3, 5))
    x, k = (
        RNG.standard_normal((2, 5, 3)).astype(np.float32),
        RNG.standard_normal((2, 3, 5)).astype(np.float32),
    )
    wanted = session(proto.SerializeToString()).run(None, {"x": x, "k": k})[0]
    assert difference(loaded(proto, tmp_path).forward((x, k)), wanted) <= TOLERANCE


READ = {
    "heads joined without being turned": varied(
        written(whole=ints(0, 5, 6)), {"rt": [], "o": [("Reshape", "r whole", "o", {})]}
    ),
    "heads turned otherwise": varied(
        written(whole=ints(0, 5, 6)),
        {"rt": [("Transpose", "r", "rt", {"perm": [0, 2, 3, 1]})], "o": [("Reshape", "rt whole", "o", {})]},
    ),
    "heads turned twice": varied(
        written(), {"rt": [("Transpose", "r", "r1", HEADS_FIRST), ("Transpose", "r1", "r2", HEADS_FIRST),
                           ("Transpose", "r2", "rt", HEADS_FIRST)]}
    ),
    "no attention: rows put together": graph(
        [("Reshape", "x s", "r", {}), ("Softmax", "r", "y", {})], (4, 5, 2), {"s": ints(0, 2, -1, 0)}
    ),
    "no attention: a shape that changes nothing": graph(
        [("Reshape", "x s", "r", {}), ("Softmax", "r", "y", {})], (4, 5, 2), {"s": ints(0, 0, -1, 0)}
    ),
    "scores and weights that are cast": written(
        (SCALED, ("Cast", "s", "c", {"to": 1}), ("Softmax", "c", "b", {"axis": -1}), ("Cast", "b", "a", {"to": 1}))
    ),
    "Softmax over the last axis, opset 13": written((SCALED, ("Softmax", "s", "a", {})), opset=13),
    "Softmax over the last axis, opset 12": written((SCALED, ("Softmax", "s", "a", {"axis": 3})), opset=12),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_gives_what_onnxruntime_gives(name, tmp_path):
    assert compare(READ[name], tmp_path) <= TOLERANCE


TURNED = ("Transpose", "h", "t", {"perm": [0, 1, 3, 2]})
FIRST_HEAD = {"b": ints(0), "e": ints(1), "at": ints(1)}
BOTH = [("Greater", "x low", "l", {}), ("Greater", "x high", "u", {}), ("And", "l u", "n", {})]
COMPUTED = "MatMul: the matrix is computed from the samples, and has to be a constant"
REFUSED = {
    "keys of one head for several": (
        graph([("Slice", "x b e at", "h", {}), TURNED, ("MatMul", "x t", "y", {})], (2, 5, 3), FIRST_HEAD), COMPUTED,
    ),
    "keys without heads": (
        graph([("ReduceMean", "x", "h", {"axes": [1], "keepdims": 0}), ("Transpose", "h", "t", {"perm": [0, 2, 1]}),
               ("MatMul", "x t", "y", {})], (2, 5, 3), {}),
        COMPUTED,
    ),
    "a product over five axes": (
        graph([("Transpose", "x", "t", {"perm": [0, 1, 2, 4, 3]}), ("MatMul", "x t", "y", {})], (2, 2, 5, 3), {}),
        COMPUTED,
    ),
    "a product of other features": (graph([("MatMul", "x x", "y", {})], (5, 3), {}), COMPUTED),
    "rows of samples and steps times another matrix": (
        varied(linear_over_joined(), {}, W=random(3, 5)), r"Gemm: a matrix of shape \(5, 3\) for samples",
    ),
    "numbers that are none": (one("IsNaN", "x", (4,)), "IsNaN: no layer here does that"),
    "two masks that go elsewhere": (
        graph([*BOTH, ("Cast", "n", "y", {"to": 1})], (4,), {"low": number(0), "high": number(1)}),
        "And: no layer here does that",
    ),
    "what the samples hide": (
        under_mask((T,), ("Where", "seen little s", "m", {}), SOFTMAX, target=(-1, 1, 1, T)),
        "Where: several masks of the samples, or one of what is hidden",
    ),
    "two masks of the samples": (
        under_mask(
            (T,), ("Where", "seen s little", "s1", {}), ("Where", "seen s1 little", "m", {}), SOFTMAX,
            target=(-1, 1, 1, T),
        ),
        "Where: several masks of the samples, or one of what is hidden",
    ),
    "weights along the heads, as before opset 13": (
        written((SCALED, ("Softmax", "s", "a", {})), opset=12), "add up to 1 along another axis than the keys",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


def test_a_mask_of_fewer_keys_than_there_are():
    """Those behind its last are not seen: of 2 queries and 5 keys, with a mask of 3."""
    b = SimpleNamespace(constant=lambda name, what: np.array([[True, False, True], [True, True, True]]))
    found = onnx_attention.visible(b, "m", (2, 5), 0, {})
    assert found.tolist() == [[True, False, True, False, False], [True, True, True, False, False]]


def test_a_folder_is_no_onnx_file(tmp_path):
    with pytest.raises(FileError, match="it is not a regular file"):
        onnx_file.read_model(tmp_path)


def test_projections_of_unexpected_length_are_split_into_three_equal_parts():
    a = np.arange(6)
    assert [part.tolist() for part in torch_tensors.parts_of(a, (3, 2, 1))] == [[0, 1, 2], [3, 4], [5]]
    assert [part.tolist() for part in torch_tensors.parts_of(a, (3, 2, 2))] == [[0, 1], [2, 3], [4, 5]]
