"""What an operator of ONNX means where its attributes are left out, in each opset that says otherwise."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_graphs import graph, ints, one, positive, random  # noqa: E402
from onnx_runs import TOLERANCE, difference, laid, loaded, samples, session  # noqa: E402

pytestmark = pytest.mark.oracle

IMAGES, SEQUENCE = (2, 6, 7), (3, 4)
KERNEL, SCALES = random(4, 2, 3, 2), np.array([1, 1, 2, 2], np.float32)
NORM = {"g": positive(2), "b": random(2), "m": random(2), "v": positive(2)}
CELLS = {
    "LSTM": {"W": random(1, 12, 4), "R": random(1, 12, 3), "B": random(1, 24)},
    "GRU": {"W": random(1, 9, 4), "R": random(1, 9, 3), "B": random(1, 18)},
    "RNN": {"W": random(1, 3, 4), "R": random(1, 3, 3), "B": random(1, 6)},
}
BARE = {
    **{
        f"{kind} {shape}": one(kind, "x", shape)
        for kind in ("Relu", "LeakyRelu", "Elu", "Selu", "HardSigmoid", "HardSwish", "ThresholdedRelu", "Softplus",
                     "Softsign", "Celu", "Shrink", "Clip", "Identity", "Sigmoid", "Tanh", "Neg")
        for shape in ((9,), (2, 3, 4))
    },
    **{
        f"{kind}, opset {opset}": one(kind, "x", SEQUENCE, opset=opset)
        for kind in ("Softmax", "LogSoftmax") for opset in (12, 13)
    },
    "Gelu": one("Gelu", "x", (9,), opset=20),
    "Mish": one("Mish", "x", (9,), opset=18),
    "LpNormalization": one("LpNormalization", "x", SEQUENCE),
    "Flatten": one("Flatten", "x", IMAGES),
    "Transpose there and back": graph(
        [("Transpose", "x", "t", {}), ("Transpose", "t", "u", {}), ("Relu", "u", "y", {})], SEQUENCE, {}
    ),
    "Gemm": one("Gemm", "x W b", (4,), {"W": random(4, 3), "b": random(3)}),
    "Gemm without a bias": one("Gemm", "x W", (4,), {"W": random(4, 3)}),
    "Conv": one("Conv", "x W", IMAGES, {"W": KERNEL}),
    "ConvTranspose": one("ConvTranspose", "x W", IMAGES, {"W": random(2, 4, 3, 2)}),
    "MaxPool": one("MaxPool", "x", IMAGES, kernel_shape=[3, 2]),
    "AveragePool": one("AveragePool", "x", IMAGES, kernel_shape=[3, 2]),
    "AveragePool, pads": one("AveragePool", "x", IMAGES, kernel_shape=[3, 2], pads=[1, 0, 1, 1]),
    "LRN": one("LRN", "x", (6, 3, 4), size=3),
    "BatchNormalization": one("BatchNormalization", "x g b m v", IMAGES, NORM),
    "InstanceNormalization": one("InstanceNormalization", "x g b", IMAGES, {k: NORM[k] for k in "gb"}),
    "GroupNormalization": one(
        "GroupNormalization", "x g b", (4, 3, 5), {"g": positive(4), "b": random(4)}, opset=21, num_groups=2
    ),
    "LayerNormalization": one("LayerNormalization", "x g b", SEQUENCE, {"g": positive(4), "b": random(4)}),
    "LayerNormalization without a bias": one("LayerNormalization", "x g", SEQUENCE, {"g": positive(4)}),
    "DepthToSpace": one("DepthToSpace", "x", (8, 2, 3), blocksize=2),
    "Pad": one("Pad", "x p", IMAGES, {"p": ints(0, 0, 1, 0, 0, 0, 2, 1)}),
    "Pad, opset 10": one("Pad", "x", IMAGES, opset=10, pads=[0, 0, 1, 0, 0, 0, 2, 1]),
    **{f"Resize, opset {opset}": one("Resize", "x e s", IMAGES, {"s": SCALES, "e": np.zeros(0, np.float32)},
                                     opset=opset) for opset in (11, 13, 18)},
    "Resize, opset 10": one("Resize", "x s", IMAGES, {"s": np.array([1, 1, 2, 3], np.float32)}, opset=10),
    "Upsample": one("Upsample", "x s", IMAGES, {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9),
    **{f"{kind} over positions": graph([(kind, "x", "r", {"axes": [2, 3]}), ("Relu", "r", "y", {})], IMAGES, {})
       for kind in ("ReduceMean", "ReduceMax")},
    "ReduceSum over positions": one("ReduceSum", "x a", IMAGES, {"a": ints(2, 3)}),
    **{f"divided by {kind}": graph(
        [(kind, "x", "n", {"axes": [2]}), ("Clip", "n low", "m", {}), ("Div", "x m", "y", {})], SEQUENCE,
        {"low": np.array(1e-12, np.float32)}) for kind in ("ReduceL1", "ReduceL2")},
    "Squeeze": graph([("GlobalMaxPool", "x", "p", {}), ("Squeeze", "p a", "y", {})], IMAGES, {"a": ints(2, 3)}),
    "Slice": one("Slice", "x b e", SEQUENCE, {"b": ints(0, 1, 0), "e": ints(2**31, 3, 4)}),
    **{f"{kind}, one way": graph(
        [("Transpose", "x", "t", {"perm": [1, 0, 2]}), (kind, "t W R B", "s h", {"hidden_size": 3}),
         ("Squeeze", "s one", "q", {}), ("Transpose", "q", "y", {"perm": [1, 0, 2]})],
        (5, 4), {**cell, "one": ints(1)},
    ) for kind, cell in CELLS.items() if kind != "GRU"},
}  # fmt: skip


def truth(proto, x):
    """By onnxruntime; by ONNX's own evaluator where that has no kernel for it."""
    try:
        return session(proto.SerializeToString()).run(None, {"x": x})[0]
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error) and "Could not find an implementation" not in str(error):
            raise
        return ReferenceEvaluator(proto).run(None, {"x": x})[0]


@pytest.mark.parametrize("name", BARE)
def test_attributes_left_out(name, tmp_path):
    proto = BARE[name]
    model, x = loaded(proto, tmp_path), 2 * samples(proto)
    got, wanted = model.forward(laid(x, model.input_shape)), truth(proto, x)
    assert difference(got, laid(wanted, got.shape[1:])) <= TOLERANCE
