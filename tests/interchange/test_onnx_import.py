"""Networks from ONNX files: random weights against onnxruntime; everything else refused by node and reason."""

import collections
import pathlib

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from cases import LAYERS  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from onnx_graphs import GRAPHS, graph, ints, one, random  # noqa: E402
from onnx_runs import TOLERANCE, compare, difference, fed, loaded, model_of, session  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402
from xpnn.interchange import onnx_images, onnx_sequences, onnx_values, save_onnx  # noqa: E402
from xpnn.interchange.onnx_export import serialized  # noqa: E402
from xpnn.interchange.trace import program_of  # noqa: E402
from xpnn.layers import (  # noqa: E402
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
    ReLU,
    Reshape,
    SelectOutput,
)

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", GRAPHS)
def test_random_weights_against_onnxruntime(name, tmp_path):
    assert compare(GRAPHS[name], tmp_path) <= TOLERANCE


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_what_was_written_here_comes_back(case, tmp_path):
    """With the same answers, every row."""
    model, x = model_of(case)
    program = program_of(model, probabilities=False)
    if model.input_shape == model.output_shape == () and isinstance(case.layer, Flatten):
        return  # nothing is left to be read
    again = loaded(serialized(program), tmp_path)
    feed = tuple(fed(program, x, case.batch).values())
    if isinstance(case.layer, SelectOutput):  # inputs that nothing depends on are left out
        feed = (feed[case.layer.index],) if not again.net.multi_input else feed
    if again.net.multi_input != model.net.multi_input:  # one input in a tuple
        wanted = model.forward(tuple(fed(program, x, case.batch).values()))
        assert difference(again.forward(feed[0]), wanted) <= TOLERANCE
        return
    given = feed if isinstance(x, tuple) else feed[0]
    assert difference(again.forward(given), model.forward(given)) <= TOLERANCE


def test_a_chain_becomes_a_list_of_layers(tmp_path):
    kinds = [type(layer) for layer in loaded(GRAPHS["LeNet, batch size computed"], tmp_path).net.layers]
    assert kinds == [Conv2D, ReLU, MaxPool2D, Flatten, Dense]


def test_reshapes_that_cancel_are_left_out(tmp_path):
    model = loaded(GRAPHS["LSTM, both ways"], tmp_path)
    assert sum(isinstance(layer, Reshape) for layer in model.net.layers) <= 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [("GroupNorm of PyTorch", "GroupNorm"), ("GLU", "GLU"), ("RMSNorm by Pow", "RMSNorm"),
     ("BatchNorm with a scale of its own", "BatchNorm"), ("Softsign by hand", "Softsign")],
)  # fmt: skip
def test_operations_in_a_row_become_one_layer(name, kind, tmp_path):
    assert [type(layer).__name__ for layer in loaded(GRAPHS[name], tmp_path).net.layers] == [kind]


def test_an_imported_network_trains_on(tmp_path):
    import xpnn

    model = loaded(GRAPHS["skip connections"], tmp_path, backend="numpy", seed=1)
    x = np.random.default_rng(0).standard_normal((40, 5, 6, 3)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0) * 1
    history = model.fit(x, y, optimizer=xpnn.Adam(0.02), epochs=20, batch_size=10, verbose=0)
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    save_onnx(model, tmp_path / "again.onnx", probabilities=False)
    got = session((tmp_path / "again.onnx").read_bytes()).run(None, {"x": x})[0]
    assert difference(got, model.forward(x)) <= TOLERANCE


def test_settings_are_those_of_a_model(tmp_path):
    model = loaded(GRAPHS["MatMul over time"], tmp_path, backend="strict", dtype="float64")
    assert (model.backend.name, model.backend.dtype_name) == ("strict", "float64")


def test_an_output_in_another_order_is_said(tmp_path):
    proto = graph([("Conv", "x K", "c", {}), ("Flatten", "c", "y", {})], (2, 4, 3), {"K": random(3, 2, 1, 1)})
    with pytest.warns(UserWarning, match="flattened images come out with their channels varying fastest"):
        loaded(proto, tmp_path)


RNN = {"W": random(1, 3, 4), "R": random(1, 3, 3), "B": random(1, 6), "h": random(1, 2, 3)}
REFUSED = {
    "half of the samples": (
        one("Split", "x", (4,), axis=0),
        "Split: axis 0 is that of the samples",
    ),
    "an unknown operation": (one("Det", "x", (3, 3)), r"node 0 'y' Det: no layer here does that"),
    "a foreign domain": (None, r"node 0 'y' Relu: an operation of 'com\.example'"),
    "an axis of the samples": (one("Softmax", "x", (3,), axis=0), "Softmax: axis 0 is that of the samples"),
    "samples on another axis": (
        graph(
            [("Transpose", "x", "a", {"perm": [1, 0, 2]}), ("LayerNormalization", "a g", "y", {})],
            (3, 4),
            {"g": random(4)},
        ),
        r"its input would have to change its layout from \(1, 0, 2\) to \(0, 1, 2\)",
    ),
    "scores alone": (
        graph([("Transpose", "x", "k", {"perm": [0, 2, 1]}), ("MatMul", "x k", "y", {})], (3, 2), {}),
        "the output 'y', scores of attention, is no layer here by itself",
    ),
    "a computed matrix": (
        graph([("MatMul", "x x", "y", {})], (3, 3), {}),
        "the output 'y', scores of attention, is no layer here by itself",
    ),
    "first states": (
        one("RNN", "x W R B  h", (2, 4), RNN, hidden_size=3),
        "RNN: the first state other than 0",
    ),
    "a GRU that resets before": (
        one("GRU", "x W R", (2, 4), {"W": random(1, 9, 4), "R": random(1, 9, 3)}, hidden_size=3),
        "GRU: a reset before its product",
    ),
    "images of four axes": (
        one("MaxPool", "x", (2, 4, 4, 4, 4), kernel_shape=[2, 2, 2, 2]),
        "sequences, images and volumes are known",
    ),
    "a node before its input": (one("Relu", "z", (3,)), "its input 'z' is made by no node before it"),
    "a size that has to be known": (
        graph([("Slice", "x b e a", "y", {})], ("W",), {"b": ints(0), "e": ints(-2), "a": ints(1)}),
        "its Slice 'y' would be right for one of them alone",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_which_node_and_why(name, tmp_path):
    proto, message = REFUSED[name]
    if proto is None:
        proto = one("Relu", "x", (3,))
        proto.graph.node[0].domain = "com.example"
    with pytest.raises(CheckpointError, match=message) as caught:
        loaded(proto, tmp_path)
    assert "m.onnx" in str(caught.value)


def gates_in_their_order(monkeypatch):
    monkeypatch.setitem(onnx_sequences.ORDER, "LSTM", (0, 1, 2, 3))
    return "LSTM"


def gates_of_a_gru(monkeypatch):
    monkeypatch.setitem(onnx_sequences.ORDER, "GRU", (0, 1, 2))
    return "GRU, last state"


def flattened_order_forgotten(monkeypatch):
    real = onnx_values.Builder.flatten

    def forgetful(self, out, x):
        made = real(self, out, x)
        made.flat = None
        return made

    monkeypatch.setattr(onnx_values.Builder, "flatten", forgetful)
    return "LeNet, batch size computed"


def same_lower_as_upper(monkeypatch):
    real = onnx_images.pads_of
    monkeypatch.setattr(
        onnx_images, "pads_of",
        lambda a, *rest: real({k: v.replace("LOWER", "UPPER") if k == "auto_pad" else v for k, v in a.items()}, *rest),
    )  # fmt: skip
    return "Conv, SAME_LOWER"


def bias_always_taken_in(monkeypatch):
    monkeypatch.setattr(onnx_values.Builder, "used_once", lambda self, x: True)
    return "a product used without its bias"


PLANTS = [
    gates_in_their_order,
    gates_of_a_gru,
    flattened_order_forgotten,
    same_lower_as_upper,
    bias_always_taken_in,
]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_fault_is_noticed(plant, monkeypatch, tmp_path):
    name = plant(monkeypatch)
    assert compare(GRAPHS[name], tmp_path) > TOLERANCE


LIGHT = {"squeezenet": None, "densenet121": None, "inception_v2": None, "resnet50": None}
LIGHT |= {"inception_v1": None, "bvlc_alexnet": None, "zfnet512": None, "shufflenet": None}
"""ONNX's light models, and the operation that is refused. vgg19, the ninth, is left out for its 144 million weights."""


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_known_networks_with_random_weights(name, tmp_path):
    """Their own weights are constants, which would hide a flipped kernel."""
    import onnx.backend.test

    folder = pathlib.Path(onnx.backend.test.__file__).parent / "data" / "light"
    proto = onnx.load(str(folder / f"light_{name}.onnx"))
    if LIGHT[name]:
        with pytest.raises(CheckpointError, match=f" {LIGHT[name]}: "):
            loaded(proto, tmp_path)
        return
    randomize(proto)
    model = loaded(proto, tmp_path)
    known = {t.name for t in proto.graph.initializer}
    entry = next(i for i in proto.graph.input if i.name not in known)
    shape = [d.dim_value for d in entry.type.tensor_type.shape.dim]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    wanted = session(proto.SerializeToString()).run(None, {entry.name: x})[0]
    got = model.forward(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    assert np.std(wanted) > 1e-4 * np.abs(wanted).max()
    assert difference(got.reshape(wanted.shape), wanted) <= 2e-6  # sums of 500 layers


PRIME = 100_003


def randomize(proto):
    """Random initializers in place of the ConstantOfShape that make the weights; no Softmax at the end.

    The numbers of a large one repeat after a prime: to draw a hundred million takes longer than all else.
    """
    sizes = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    rng = np.random.default_rng(0)
    normal, uniform = rng.standard_normal(PRIME, np.float32), rng.uniform(0.5, 1.5, PRIME).astype(np.float32)

    def drawn(numbers, shape):
        """Other numbers each time."""
        return np.resize(np.roll(numbers, int(rng.integers(PRIME))), shape)

    used = collections.defaultdict(list)
    for node in proto.graph.node:
        for i, name in enumerate(node.input):
            used[name].append((node, i))
    kept, made = [], []
    for node in proto.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = sizes[node.input[0]].astype(int)
        user, i = used[node.output[0]][0]
        if user.op_type == "Unsqueeze":
            user, i = used[user.output[0]][0]
        a = drawn(uniform, shape)
        if user.op_type in ("Conv", "Gemm") and i == 1:
            a = drawn(normal, shape) * np.float32(np.prod(shape[1:]) ** -0.5)
        elif not (user.op_type == "Mul" or (user.op_type == "BatchNormalization" and i in (1, 4))):
            a = np.float32(0.1) * drawn(normal, shape)
        made.append(numpy_helper.from_array(a, node.output[0]))
    if kept[-1].op_type == "Softmax":
        end = kept.pop()
        kept[-1].output[0] = end.output[0]
    del proto.graph.node[:]
    proto.graph.node.extend(kept)
    proto.graph.initializer.extend(made)
