"""ONNX graphs that end in a loss, that hold no axis of samples, or that say how training goes on."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from node_cases import with_layouts  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_graphs import graph, ints, one, random  # noqa: E402
from onnx_optimizers import optimizer_of, optimizer_step  # noqa: E402
from onnx_runs import TOLERANCE, difference, session  # noqa: E402

import xpnn  # noqa: E402
from xpnn.errors import CheckpointError, UsageError  # noqa: E402
from xpnn.interchange import load_onnx  # noqa: E402

pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(3)
X = RNG.standard_normal((12, 4)).astype(np.float32)
IDS = RNG.integers(0, 3, 12)


def loaded(proto, folder, **settings):
    (folder / "m.onnx").write_bytes(proto.SerializeToString())
    return load_onnx(folder / "m.onnx", **settings)


def with_labels(nodes, constants, outputs=("loss",)):
    """A graph of samples (N, 4) and labels (N,)."""
    made = [helper.make_node(kind, i.split(" "), o.split(" "), **a) for kind, i, o, a in nodes]
    entries = ("x", TensorProto.FLOAT, ["N", 4]), ("ids", TensorProto.INT64, ["N"])
    proto = helper.make_graph(
        made, "g", [helper.make_tensor_value_info(*entry) for entry in entries],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )  # fmt: skip
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


GEMM = ("Gemm", "x W b", "z", {})
WEIGHTS = {"W": random(4, 3), "b": random(3)}
CLASSES = {"k": np.array([0.5, 2, 1], np.float32)}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("classes", [{}, CLASSES], ids=["even", "classes weighted"])
@pytest.mark.parametrize("ignore", [None, 1])
@pytest.mark.parametrize("outputs", [("loss",), ("loss", "logs")], ids=["loss", "loss and logs"])
def test_a_loss_at_the_end_becomes_the_models(reduction, classes, ignore, outputs, tmp_path):
    settings = {"reduction": reduction} | ({} if ignore is None else {"ignore_index": ignore})
    names = " ".join(["z ids", *classes])
    node = ("SoftmaxCrossEntropyLoss", names, " ".join(outputs), settings)
    proto = with_labels([GEMM, node], WEIGHTS | classes, outputs)
    model = loaded(proto, tmp_path)
    wanted = session(proto.SerializeToString()).run(None, {"x": X, "ids": IDS})
    assert model.evaluate(X, IDS)["loss"] == pytest.approx(float(wanted[0]), rel=1e-6)
    if len(outputs) > 1:
        assert difference(model.forward(X), wanted[1]) <= TOLERANCE
    assert model.predict_proba(X).shape == (12, 3)
    assert model.fit(X, IDS, epochs=3, verbose=0)["train_loss"][-1] < wanted[0]


LABELS = {
    "labels that are computed": (
        [GEMM, ("Add", "ids ids", "more", {}), ("SoftmaxCrossEntropyLoss", "z more", "loss", {})],
        "labels that are no input of the graph",
    ),
    "two losses": (
        [GEMM, ("SoftmaxCrossEntropyLoss", "z ids", "loss", {}), ("SoftmaxCrossEntropyLoss", "z ids", "l", {})],
        "labels that are no input of the graph, or that another node takes too",
    ),
    "a loss that is computed with": (
        [GEMM, ("SoftmaxCrossEntropyLoss", "z ids", "l", {}), ("Neg", "l", "loss", {})],
        "its input 'l', a loss, is no layer here by itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_losses_that_are_refused(name, tmp_path):
    nodes, message = LABELS[name]
    with pytest.raises(CheckpointError, match=message):
        loaded(with_labels(nodes, WEIGHTS), tmp_path)


UNBATCHED = {
    "dense layers on a row": graph([("MatMul", "x W", "h", {}), ("Add", "h b", "y", {})], (), WEIGHTS, samples=4),
    "softmax over the first axis": graph([("Softmax", "x", "y", {"axis": 0})], (3,), {}, samples=4),
    "turned and reshaped": graph(
        [("Transpose", "x", "t", {"perm": [1, 0]}), ("Reshape", "t s", "r", {}), ("Relu", "r", "y", {})],
        (3,), {"s": ints(0, 2, -1)}, samples=4,
    ),
    "flattened at its first axis": graph([("Flatten", "x", "f", {"axis": 0}), ("MatMul", "f W", "y", {})], (3,),
                                         {"W": random(12, 2)}, samples=4),
    "log softmax over the last axis": graph([("LogSoftmax", "x", "y", {})], (3,), {}, samples=4),
    "softmax of before 13": graph([("Softmax", "x", "y", {})], (3,), {}, samples=4, opset=11),
    "normalized rows": graph([("LayerNormalization", "x g", "y", {})], (3,), {"g": random(3)}, samples=4),
    "joined at the first axis": graph([("Concat", "x x", "y", {"axis": 0})], (3,), {}, samples=4),
    "joined at the last axis": graph([("Concat", "x x", "y", {"axis": -1})], (3,), {}, samples=4),
    "the second half": graph([("Split", "x", "a y", {})], (3,), {}, samples=4),
    "an axis of 1": graph([("Unsqueeze", "x n", "u", {}), ("Relu", "u", "y", {})], (3,), {"n": ints(0)}, samples=4),
    "an axis of 1 and none": graph(
        [("Unsqueeze", "x n", "u", {}), ("Relu", "u", "r", {}), ("Squeeze", "r n", "y", {})], (3,), {"n": ints(1)},
        samples=4,
    ),
    "means of rows": graph([("ReduceMean", "x", "y", {"axes": [1], "keepdims": 0})], (3,), {}, samples=4),
    "sums of columns": graph([("ReduceSum", "x n", "y", {"keepdims": 0})], (3,), {"n": ints(0)}, samples=4),
    "some rows": graph([("Slice", "x b e", "y", {})], (3,), {"b": ints(1), "e": ints(3)}, samples=4),
    "the last columns": graph(
        [("Slice", "x b e a", "y", {})], (3,), {"b": ints(1), "e": ints(3), "a": ints(-1)}, samples=4
    ),
    "padded rows": graph([("Pad", "x p", "y", {})], (3,), {"p": ints(1, 0, 2, 3)}, samples=4),
    "padded along an axis": graph(
        [("Pad", "x p v a", "y", {})], (3,), {"p": ints(1, 2), "v": random(), "a": ints(0)}, samples=4, opset=18
    ),
    "normalized columns": graph([("MeanVarianceNormalization", "x", "y", {"axes": [0]})], (3,), {}, samples=4),
    "normalized channels": graph([("MeanVarianceNormalization", "x", "y", {})], (3, 2, 5), {}, samples=4),
}  # fmt: skip


@pytest.mark.parametrize("name", UNBATCHED)
def test_a_file_without_an_axis_of_samples(name, tmp_path):
    """Each array is one sample, and the model takes many."""
    proto = UNBATCHED[name]
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    model, (entries, ends) = with_layouts(tmp_path / "m.onnx", batched=False)
    run = session(proto.SerializeToString())
    sizes = [n.dim_value for n in proto.graph.input[0].type.tensor_type.shape.dim]
    x = RNG.standard_normal((5, *sizes)).astype(np.float32)
    wanted = np.stack([run.run(None, {"x": one})[0] for one in x])
    got = model.forward(np.ascontiguousarray(x.transpose(entries[0])))
    assert difference(got.transpose(np.argsort(ends[0])), wanted) <= TOLERANCE


def test_a_batch_norm_that_trains_keeps_the_variance_of_the_batch(tmp_path):
    """Divisor n in its running variance; a node of evaluation trains on as layers here do."""
    constants = {
        "g": np.ones(4, np.float32),
        "b": np.zeros(4, np.float32),
        "m": random(4),
        "v": np.ones(4, np.float32),
    }
    node = ("BatchNormalization", "x g b m v", "y m2 v2", {"training_mode": 1, "momentum": 0.8})
    with pytest.warns(UserWarning, match="takes the statistics of the batch while training alone"):
        model = loaded(graph([node], (4,), constants), tmp_path)
    assert not model.net.layers[0].unbiased
    trainer = xpnn.Trainer(model, "mean_squared_error", xpnn.SGD(0.0))
    trainer.step(X, X)
    found = {key: np.asarray(a) for key, a in model.parameters().items()}
    np.testing.assert_allclose(found["0.var"], 0.8 + 0.2 * X.var(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["0.mean"], 0.8 * constants["m"] + 0.2 * X.mean(axis=0), rtol=1e-5)
    node = one("BatchNormalization", "x g b m v", (4,), constants)
    assert loaded(node, tmp_path).net.layers[0].unbiased


REFUSED = {
    "a decay behind the step": ("Adam", {"norm_coefficient_post": 0.1}),
    "another optimizer": ("RMSProp", {}),
    "nesterov with another share of the gradient": ("Momentum", {"alpha": 0.9, "beta": 0.5, "mode": "nesterov"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_optimizers_that_are_refused(name):
    with pytest.raises(UsageError):
        optimizer_of(REFUSED[name][0], 0.1, 3, REFUSED[name][1])


@pytest.mark.parametrize("step", [0, 1, 7])
def test_momentum_with_another_share_of_the_gradient(step):
    """ONNX's beta scales the gradient in the velocity from the second step on."""
    be, (theta, grad, v) = xpnn.get_backend("numpy", dtype="float64"), RNG.standard_normal((3, 5))
    settings = {"alpha": 0.9, "beta": 0.3, "norm_coefficient": 0.01, "mode": "standard"}
    velocity = 0.9 * v + (0.3 if step else 1.0) * (grad + 0.01 * theta)
    found = optimizer_step(be, "Momentum", 0.1, step, theta, grad, [v], settings)
    np.testing.assert_allclose(found, [theta - 0.1 * velocity, velocity], rtol=1e-12)


@pytest.mark.parametrize("step", [0, 1, 50])
def test_adam_with_epsilon_before_the_correction(step):
    be, (theta, grad, m) = xpnn.get_backend("numpy", dtype="float64"), RNG.standard_normal((3, 5))
    v, settings = RNG.uniform(0, 1, 5), {"alpha": 0.8, "beta": 0.99, "epsilon": 0.1}
    m2, v2 = 0.8 * m + 0.2 * grad, 0.99 * v + 0.01 * grad**2
    rate = 0.1 * (np.sqrt(1 - 0.99**step) / (1 - 0.8**step) if step else 1)
    found = optimizer_step(be, "Adam", 0.1, step, theta, grad, [m, v], settings)
    np.testing.assert_allclose(found, [theta - rate * m2 / (np.sqrt(v2) + 0.1), m2, v2], rtol=1e-9)
