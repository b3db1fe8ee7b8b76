"""ONNX files that are damaged or made to harm: refused, with an error that names them, and without much work."""

import contextlib
import math
import resource
import time

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_graphs import graph, ints, one, random  # noqa: E402

from xpnn.errors import CheckpointError, FileError, XpnnError  # noqa: E402
from xpnn.interchange import load_onnx  # noqa: E402
from xpnn.interchange.onnx_constants import MOST, limited  # noqa: E402
from xpnn.interchange.onnx_values import Refusal  # noqa: E402

pytestmark = pytest.mark.oracle
GOOD = one("Gemm", "x W", (4,), {"W": random(4, 3)})


def loaded(proto, folder):
    path = folder / "m.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return load_onnx(path)


def constant_of_shape(*sizes):
    nodes = [("ConstantOfShape", "s", "c", {}), ("Gemm", "x c", "y", {})]
    return graph(nodes, (4,), {"s": ints(*sizes)})


def chain_of_doublings(n):
    """2 ** n numbers by n nodes."""
    nodes = [("Concat", f"c{i} c{i}", f"c{i + 1}", {"axis": 0}) for i in range(n)]
    return graph([*nodes, ("Add", "x c0", "y", {})], (4,), {"c0": random(4)})


def claimed(dims, data=b""):
    proto = one("Gemm", "x W", (4,), {"W": random(4, 3)})
    tensor = proto.graph.initializer[0]
    del tensor.dims[:]
    tensor.dims.extend(dims)
    tensor.raw_data = data
    return proto


def external(location, **more):
    proto = one("Gemm", "x W", (4,), {"W": random(4, 3)})
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return proto


def with_graph_inside():
    proto = one("Relu", "x", (4,))
    proto.graph.node.insert(
        0, helper.make_node("If", ["x"], ["z"], then_branch=GOOD.graph, else_branch=GOOD.graph)
    )
    return proto


def with_function():
    proto = one("Relu", "x", (4,))
    proto.functions.append(helper.make_function("d", "f", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))
    return proto


def without(field):
    proto = one("Relu", "x", (4,))
    proto.ClearField("opset_import") if field == "opset_import" else proto.graph.ClearField(field)
    return proto


def many_nodes():
    proto = one("Relu", "x", (4,))
    proto.graph.node.extend([proto.graph.node[0]] * 100_001)
    return proto


def large_input():
    return graph([("Relu", "x", "y", {})], (2**30, 2**30), {})


def squared_again_and_again(n):
    """2 ** n factors by n nodes, where a GELU has three."""
    nodes = [("Mul", f"x{i} x{i}", f"x{i + 1}", {}) for i in range(n)]
    nodes = [("Mul", "x one", "x0", {}), *nodes, ("Mul", f"x{n} c", "p", {}), ("Add", "x0 p", "a", {})]
    nodes += [("Mul", "a k", "b", {}), ("Tanh", "b", "t", {}), ("Erf", "t", "y", {})]
    numbers = {"one": 1, "c": 0.044715, "k": (2 / math.pi) ** 0.5}
    return graph(nodes, (4,), {key: np.array(v, np.float32) for key, v in numbers.items()})


def computed(kind, *arrays, **attributes):
    """A node of constants, and one of the samples beside it."""
    names = [f"c{i}" for i in range(len(arrays))]
    nodes = [(kind, " ".join(names), "c", attributes), ("Add", "x c", "y", {})]
    return graph(nodes, (4,), dict(zip(names, arrays, strict=True)))


def identities(n):
    """Scores of attention under n names, one after the other."""
    nodes = [("MatMul", "x k", "a0", {}), ("Softmax", "a0", "b0", {"axis": -1}), ("MatMul", "b0 x", "c0", {})]
    nodes = [("Transpose", "x", "k", {"perm": [0, 2, 1]}), *nodes]
    nodes += [("Identity", f"c{i}", f"c{i + 1}", {}) for i in range(n)]
    return graph([*nodes, ("Erf", f"c{n}", "y", {})], (3, 4), {})


def beside_a_large_input():
    nodes = [("Concat", "c x", "y", {"axis": 2})]
    return graph(nodes, (2**12, 2**24), {"c": np.zeros((1, 2**12, 1), np.float32)})


def attention_of_large_inputs():
    nodes = [("Transpose", "x", "k", {"perm": [0, 2, 1]}), ("MatMul", "x k", "z", {}),
             ("Softmax", "z", "a", {"axis": -1}), ("MatMul", "a x", "y", {})]  # fmt: skip
    return graph(nodes, (2, 2**20), {})


HOSTILE = {
    "powers without end": (squared_again_and_again(60), "Erf: no layer here does that"),
    "a chain of names": (identities(5000), "Erf: no layer here does that"),
    "a constant beside a large input": (beside_a_large_input(), "numbers, at most"),
    "attention of large inputs": (attention_of_large_inputs(), "numbers, at most"),
    "places that multiply": (
        computed("GatherElements", np.zeros((2**14, 1), np.float32), np.zeros((1, 2**14), np.int64), axis=1),
        "numbers, at most",
    ),
    "letters that multiply": (
        computed("Einsum", *[np.ones((1, 2**14), np.float32)] * 2, equation="ab,ac->bc"),
        "numbers, at most",
    ),
    "letters that are none": (
        computed("Einsum", np.ones(3, np.float32), equation="...->..."),
        "the equation",
    ),
    "places outside": (
        computed("ScatterND", np.ones(3, np.float32), ints(9)[None], np.ones(1, np.float32)),
        "ScatterND is damaged",
    ),
    "a remainder by 0": (computed("Mod", ints(4), ints(0)), "a whole number divided by 0"),
    "a triangle of one axis": (computed("CumSum", random(4), ints(7)), "CumSum is damaged"),
    "more places than there are": (
        graph([("Gather", "x i", "y", {"axis": 1})], (4,), {"i": np.zeros(2**20, np.int64)}),
        "1,048,576 places of an axis of 4",
    ),
    "nothing": (b"", "holds no network"),
    "text": (b"not a model at all, only words", "no ONNX file|holds no network"),
    "cut short": (
        GOOD.SerializeToString()[:-9],
        "no ONNX file|damaged|holds no network|does not hold|depends on no",
    ),
    "no nodes": (without("node"), "holds no network"),
    "no outputs": (without("output"), "holds no network"),
    "no inputs": (without("input"), "made by no node"),
    "no opset": (without("opset_import"), "which version"),
    "a gigantic constant": (constant_of_shape(2**40), "a constant of 1,099,511,627,776 numbers"),
    "a constant of many axes": (constant_of_shape(*[2] * 40), "of the shape"),
    "a negative size": (constant_of_shape(-4, 3), "of the shape"),
    "doubled again and again": (chain_of_doublings(60), "numbers, at most"),
    "a shape without bytes": (claimed([2**20, 2**11]), "does not hold what its shape"),
    "a shape beyond all bounds": (claimed([2**40, 2**40]), "claims the shape"),
    "a negative shape": (claimed([-4, 3]), "claims the shape"),
    "forty axes": (claimed([1] * 40), "claims the shape"),
    "a file elsewhere": (external("/etc/passwd"), "only a file beside the model"),
    "a file above": (external("../secret"), "only a file beside the model"),
    "no location": (external(""), "only a file beside the model"),
    "a location with a null": (external("a\0b"), "only a file beside the model"),
    "a graph inside a node": (with_graph_inside(), "it has a graph inside"),
    "functions of its own": (with_function(), "defines functions"),
    "too many nodes": (many_nodes(), "100,002 nodes|at most 100,000"),
    "an input beyond all bounds": (large_input(), "claims samples"),
    "enlarged beyond all bounds": (
        one("Resize", "x  s", (2, 3, 4), {"s": np.array([1, 1, 2**20, 2**20], np.float32)}, mode="nearest"),
        "images enlarged to 3145728 by 4194304 pixels",
    ),
    "a reshape of nothing": (one("Reshape", "x s", (4,), {"s": ints(0, 0, -1, -1)}), "Reshape"),
    "pads of billions": (one("Pad", "x p", (3, 4, 5), {"p": ints(0, 0, 2**40, 0, 0, 0, 0, 0)}), "Pad"),
    "a stride of 0": (one("Conv", "x W", (2, 5, 6), {"W": random(2, 2, 1, 1)}, strides=[0, 0]), "Conv"),
    "a pool of nothing": (one("MaxPool", "x", (2, 5, 6), kernel_shape=[0, 0]), "MaxPool"),
    "attributes that are words": (one("LeakyRelu", "x", (4,), alpha="much"), "LeakyRelu"),
    "no inputs of a node": (one("Conv", "x", (2, 5, 6)), "Conv"),
    "an axis that is not there": (one("Concat", "x", (4,), axis=9), "Concat|no network"),
    "a hidden size that lies": (
        one("LSTM", "x W R", (2, 4), {"W": random(1, 12, 4), "R": random(1, 12, 3)}, hidden_size=10**9),
        "LSTM",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_with_little_work(name, tmp_path):
    proto, message = HOSTILE[name]
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(XpnnError, match=message) as caught:
        loaded(proto, tmp_path)
    assert isinstance(caught.value, CheckpointError)
    assert len(str(caught.value)) < 2000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2_000_000  # KB
    assert time.process_time() - began < 20


def test_nothing_in_it_reaches_the_terminal_as_it_is(tmp_path):
    proto = one("\x1b[2JRelu", "x", (4,))
    proto.graph.node[0].name = "\x1b]0;title\x07"
    with pytest.raises(CheckpointError) as caught:
        loaded(proto, tmp_path)
    assert "\x1b" not in str(caught.value)


def test_external_weights(tmp_path):
    W = random(4, 3)
    (tmp_path / "m.data").write_bytes(b"12345678" + W.tobytes())
    model = loaded(external("m.data", offset=8, length=W.nbytes), tmp_path)
    np.testing.assert_array_equal(np.asarray(model.parameters()["0.W"]), W)


EXTERNAL = {
    "too short": ({"offset": 8}, "wants 48 bytes from byte 8"),
    "another length": ({"length": 8}, "8 are promised"),
    "an offset below 0": ({"offset": -8}, "from byte -8"),
    "no number": ({"offset": "many"}, "no offset and length"),
}


@pytest.mark.parametrize("name", EXTERNAL)
def test_external_weights_that_do_not_fit(name, tmp_path):
    more, message = EXTERNAL[name]
    (tmp_path / "m.data").write_bytes(bytes(48))
    with pytest.raises(CheckpointError, match=message):
        loaded(external("m.data", **more), tmp_path)


@pytest.mark.parametrize("how", ["link", "folder", "missing"])
def test_external_weights_must_be_a_regular_file(how, tmp_path):
    (tmp_path / "other").write_bytes(bytes(48))
    if how == "link":
        (tmp_path / "m.data").symlink_to(tmp_path / "other")
    elif how == "folder":
        (tmp_path / "m.data").mkdir()
    with pytest.raises(FileError, match="no regular file"):
        loaded(external("m.data"), tmp_path)


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing.onnx", "a\0b"):
        with pytest.raises(FileError, match="cannot read"):
            load_onnx(path)


def test_every_byte_flipped(tmp_path):
    """Of a small file each byte in turn: a model, or an error of the family."""
    proto = graph(
        [("Conv", "x K", "a", {"pads": [1, 1, 1, 1]}), ("Relu", "a", "r", {}), ("Flatten", "r", "y", {})],
        (1, 4, 3),
        {"K": random(1, 1, 3, 3)},
    )
    data = proto.SerializeToString()
    assert numpy_helper.to_array(proto.graph.initializer[0]).shape == (1, 1, 3, 3)
    for i in range(len(data)):
        for bit in (1, 128):
            bad = bytes([*data[:i], data[i] ^ bit, *data[i + 1 :]])
            with contextlib.suppress(XpnnError):
                loaded(bad, tmp_path)


@pytest.mark.parametrize("size", [-1, MOST + 1, math.inf, math.nan])
def test_a_constant_of_no_such_size_is_not_computed(size):
    with pytest.raises(Refusal, match="numbers, at most"):
        limited(size)


@pytest.mark.parametrize("size", [0, 1, MOST])
def test_a_constant_up_to_the_limit_is_computed(size):
    limited(size)


def test_constants_of_several_nodes_are_counted_together(tmp_path, monkeypatch):
    """Each of them is allowed by itself."""
    nodes = [("ConstantOfShape", "n", f"c{i}", {}) for i in range(3)]
    nodes += [("Add", "c0 c1", "d", {}), ("Add", "d c2", "e", {}), ("Add", "x e", "y", {})]
    (tmp_path / "m.onnx").write_bytes(graph(nodes, (40,), {"n": np.array([40])}).SerializeToString())
    monkeypatch.setattr("xpnn.interchange.onnx_constants.BUDGET", 1000)
    load_onnx(tmp_path / "m.onnx")
    monkeypatch.setattr("xpnn.interchange.onnx_constants.BUDGET", 100)
    with pytest.raises(CheckpointError, match="computed to more numbers than any network has"):
        load_onnx(tmp_path / "m.onnx")
