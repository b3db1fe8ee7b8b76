"""Attention, loops under a mask and resampling from ONNX files: read as the layers that they are, and trained on."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx_graphs import graph, ints, random  # noqa: E402
from onnx_runs import TOLERANCE, difference, session  # noqa: E402

import xpnn  # noqa: E402
from xpnn import layers as L  # noqa: E402
from xpnn.errors import CheckpointError  # noqa: E402
from xpnn.interchange import load_onnx, onnx_scores, save_onnx  # noqa: E402

pytestmark = pytest.mark.oracle
TIME, WIDTH, HEADS = 4, 6, 2


def as_pytorch_writes_it():
    """Queries and keys divided by the fourth root of their size, a mask of -inf added, heads by Reshape."""
    split = ints(-1, TIME, HEADS, WIDTH // HEADS)
    nodes = []
    for word in "qkv":
        nodes += [
            ("MatMul", f"x W{word}", f"{word}0", {}),
            ("Add", f"b{word} {word}0", f"{word}1", {}),
            ("Reshape", f"{word}1 split", f"{word}2", {}),
            ("Transpose", f"{word}2", f"{word}3", {"perm": [0, 2, 3, 1] if word == "k" else [0, 2, 1, 3]}),
        ]
    nodes += [
        ("Mul", "q3 root", "q4", {}), ("Mul", "k3 root", "k4", {}), ("MatMul", "q4 k4", "z", {}),
        ("Add", "z hidden", "masked", {}), ("Softmax", "masked", "a", {"axis": -1}), ("MatMul", "a v3", "o", {}),
        ("Transpose", "o", "o1", {"perm": [0, 2, 1, 3]}), ("Reshape", "o1 joined", "o2", {}),
        ("MatMul", "o2 Wo", "o3", {}), ("Add", "bo o3", "y", {}),
    ]  # fmt: skip
    constants = {f"W{word}": random(WIDTH, WIDTH) for word in "qkvo"} | {
        f"b{word}": random(WIDTH) for word in "qkvo"
    }
    constants |= {
        "split": split,
        "joined": ints(-1, TIME, WIDTH),
        "root": np.float32((WIDTH / HEADS) ** -0.25),
    }
    hidden = np.where(np.tril(np.ones((TIME, TIME))) > 0, 0, -np.inf).astype(np.float32)
    return graph(nodes, (TIME, WIDTH), constants | {"hidden": hidden})


def read(proto, folder):
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    model = load_onnx(folder / "m.onnx")
    x = np.random.default_rng(0).standard_normal((3, *model.input_shape)).astype(np.float32)
    wanted = session(proto.SerializeToString()).run(None, {"x": x})[0]
    return model, difference(model.forward(x), wanted)


def test_attention_of_another_exporter_is_one_layer(tmp_path):
    model, error = read(as_pytorch_writes_it(), tmp_path)
    assert error <= TOLERANCE
    assert model.net == L.Sequential((L.MultiHeadAttention(HEADS, WIDTH // HEADS, causal=True),))


def test_a_scale_that_is_forgotten_is_noticed(tmp_path, monkeypatch):
    real = onnx_scores.put_layer

    def twice(b, out, pending, found, scores, W):
        more = found.parameters | {"Wq": 2 * found.parameters["Wq"]}
        real(b, out, pending, found._replace(parameters=more), scores, W)

    monkeypatch.setattr(onnx_scores, "put_layer", twice)
    assert read(as_pytorch_writes_it(), tmp_path)[1] > 1e-3


@pytest.mark.parametrize("taken", ["a", "o", "o1", "o2"])
def test_values_of_attention_may_be_outputs_and_its_weights_not(taken, tmp_path):
    """What attends is a value; its weights alone are none."""
    proto = as_pytorch_writes_it()
    del proto.graph.output[:]
    shape = [None] * (3 if taken == "o2" else 4)
    proto.graph.output.append(onnx.helper.make_tensor_value_info(taken, onnx.TensorProto.FLOAT, shape))
    if taken == "a":
        with pytest.raises(CheckpointError, match="the output 'a', weights of attention, is no layer"):
            read(proto, tmp_path)
        return
    assert read(proto, tmp_path)[1] <= TOLERANCE


NETS = {
    "grouped heads": ([L.MultiHeadAttention(4, 2, kv_heads=2, rotary="half", causal=True)], (5, 8)),
    "values of another size": ([L.MultiHeadAttention(2, 3, value_size=1, bias=False)], (4, 6)),
    "a mask for all": ([L.MultiHeadAttention(1, 2, attention_mask=("11", "10"), bias=False)], (2, 2)),
    "lengths": ([L.LpNormalize(2, -1, 1e-6)], (3, 4)),
    "one axis resized": ([L.Resize(5, mode="linear")], (3, 2)),
    "pieces": ([L.Maxout(3, 2)], (2, 4)),
}


@pytest.mark.parametrize("name", NETS)
def test_the_layer_comes_back_itself(name, tmp_path):
    layers, shape = NETS[name]
    model = xpnn.Model(layers, shape, seed=0)
    save_onnx(model, tmp_path / "m.onnx", probabilities=False)
    again = load_onnx(tmp_path / "m.onnx")
    assert [type(one) for one in again.net.layers] == [type(one) for one in layers]
    assert {k: a.shape for k, a in again.parameters().items()} == {
        k: a.shape for k, a in model.parameters().items()
    }
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    assert difference(again.forward(x), model.forward(x)) <= TOLERANCE


def masked_file(path):
    nodes = (("y", L.LSTM(3, masked=True), ("x", "real")),)
    model = xpnn.Model(L.Graph(("x", "real"), nodes, "y"), ((4, 2), (4,)), seed=0)
    save_onnx(model, path, probabilities=False)
    return model


def test_a_loop_under_a_mask_trains_on(tmp_path):
    model = masked_file(tmp_path / "m.onnx")
    again = load_onnx(tmp_path / "m.onnx")
    assert [type(one) for _, one, _ in again.net.nodes] == [L.LSTM]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 4, 2)).astype(np.float32), (rng.random((6, 4)) > 0.4).astype(np.float32)
    assert difference(again.forward(x), model.forward(x)) <= TOLERANCE
    y = np.arange(6) % 3
    for one in (model, again):
        one.fit(x, y, epochs=1, batch_size=6, optimizer=xpnn.SGD(0.1), verbose=0)
    assert difference(again.forward(x), model.forward(x)) <= TOLERANCE


@pytest.mark.parametrize("change", ["another activation", "another order", "one step more"])
def test_a_loop_that_is_another_is_refused(change, tmp_path):
    masked_file(tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    loop = next(node for node in proto.graph.node if node.op_type == "Scan")
    body = next(entry.g for entry in loop.attribute if entry.name == "body")
    if change == "another activation":
        next(node for node in body.node if node.op_type == "Tanh").op_type = "Sigmoid"
    elif change == "another order":
        split = next(node for node in body.node if node.op_type == "Split")
        split.output[0], split.output[1] = split.output[1], split.output[0]
    else:
        body.node.append(onnx.helper.make_node("Identity", [body.node[0].output[0]], ["more"]))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(CheckpointError, match="Scan: a loop whose body is no step of a layer here"):
        load_onnx(tmp_path / "m.onnx")
