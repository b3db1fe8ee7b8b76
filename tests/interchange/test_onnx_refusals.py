"""What the reader of ONNX refuses, one node each: every refusal says which node it is, and why."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx_graphs import graph, ints, one, random  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402
from xpnn.interchange import load_onnx  # noqa: E402

CELLS = {"W": random(1, 12, 4), "R": random(1, 12, 3), "B": random(1, 24)}
SCALES = np.array([1, 1, 2, 2], np.float32)
EMPTY = np.zeros(0, np.float32)


def lstm(more="", constants=None, **attributes):
    return one(
        "LSTM",
        f"x W R B{more}",
        (2, 4),
        CELLS | (constants or {}),
        **{"hidden_size": 3, "layout": 1} | attributes,
    )


def resized(constants, inputs="x e s", shape=(2, 4, 4), **attributes):
    return one("Resize", inputs, shape, {"e": EMPTY} | constants, **attributes)


def computed(kind, inputs, constants, opset=17, **attributes):
    """What a constant is computed to, added to x."""
    nodes = [(kind, inputs, "c", attributes), ("Add", "x c", "y", {})]
    return graph(nodes, (3,), constants, opset=opset)


def behind_flattened(kind, inputs, constants=None, **attributes):
    """One node more behind a Conv whose images are flattened to f; g are those of x."""
    nodes = [("Conv", "x K", "c", {"strides": [2, 2]}), ("Flatten", "c", "f", {}), ("Flatten", "x", "g", {})]
    return graph(
        [*nodes, (kind, inputs, "y", attributes)], (2, 4, 4), {"K": random(8, 2, 1, 1)} | (constants or {})
    )


def attention(inputs="x x x", shape=(4, 6), outputs=("y",), **attributes):
    nodes = [("Attention", inputs, " ".join([outputs[0], "", "", *outputs[1:]]) if outputs[1:] else "y",
              {"q_num_heads": 2, "kv_num_heads": 2} | attributes)]  # fmt: skip
    return graph(nodes, shape, {}, opset=23, outputs=outputs)


def expanded(*sizes, behind="Relu"):
    nodes = [("Expand", "x s", "e", {}), (behind, "e t" if behind == "Reshape" else "e", "y", {})]
    return graph(nodes, (2, 1, 3, 4), {"s": ints(*sizes), "t": ints(0, 2, 2, 3, 4)})


CASES = {
    "copies that are not heads": (expanded(1, 1, 2, 1, 1), "Expand: no layer here does that"),
    "no copies": (expanded(1, 1, 1, 1, 1, behind="Reshape"), "Expand: no layer here does that"),
    "copies on another axis": (expanded(1, 1, 2, 1, 8, behind="Reshape"), "Expand: no layer here does that"),
    "flattened images transposed": (behind_flattened("Transpose", "f", perm=[0, 1]), "flattened images are transposed"),
    "flattened images cut": (
        behind_flattened("Slice", "f b e a", {"b": ints(0), "e": ints(3), "a": ints(1)}), "flattened images are cut",
    ),
    "flattened images and others": (behind_flattened("Add", "f g"), "flattened images meet other values"),
    "flattened images in another shape": (
        behind_flattened("Reshape", "f s", {"s": ints(0, 4, 8)}), "flattened images are reshaped again",
    ),
    "scores below a cap": (attention(softcap=1.0), "Attention: scores held below a cap"),
    "scores as an output": (attention(outputs=("y", "s")), "Attention: its scores are taken by another node"),
    "attention over no sequence": (attention(shape=(4,)), r"Attention: queries of shape \(4,\) and keys of shape"),
    "a dropout that never rests": (
        one("Dropout", "x r t", (4,), {"r": np.float32(0.5), "t": np.array(True)}), "masks drawn in evaluation too",
    ),
    "an input of words": (
        graph([("Identity", "x", "y", {})], (4,), {}, dtype=onnx.TensorProto.STRING), "input 'x' holds object",
    ),
    "pads for other axes": (one("Pad", "x p", (2, 3), {"p": ints(0, 1)}), "Pad: 2 pads for 3 axes"),
    "a mean over samples too": (
        one("MeanVarianceNormalization", "x", (2, 6, 7)), r"over the axes \[0, 2, 3\] of samples of shape \(2, 6, 7\)",
    ),
    "an unknown mode": (one("Pad", "x p", (3,), {"p": ints(0, 1, 0, 1)}, mode="bend"), "Pad: pads of mode 'bend'"),
    "pads that crop": (one("Pad", "x p", (3,), {"p": ints(0, -1, 0, 0)}), "Pad: negative pads, which crop"),
    "pads of samples": (one("Pad", "x p", (3,), {"p": ints(1, 0, 0, 0)}), "Pad: pads of the axis of the samples"),
    "neither scales nor sizes": (resized({}, "x e e"), "Resize: neither scales nor sizes"),
    "antialias": (resized({"s": SCALES}, antialias=1, mode="linear", opset=18), "resizing with antialias or exclude_"),
    "cubic": (resized({"s": SCALES}, mode="cubic"), "resizing of mode 'cubic' with coordinates 'half_pixel'"),
    "cropped coordinates": (
        resized({"s": SCALES}, mode="linear", coordinate_transformation_mode="tf_crop_and_resize"),
        "resizing of mode 'linear' with coordinates 'tf_crop_and_resize'",
    ),
    "to one pixel": (
        resized({"z": ints(1, 2, 1, 4)}, "x e e z", mode="linear", coordinate_transformation_mode="pytorch_half_pixel"),
        "resizing to one value with coordinates 'pytorch_half_pixel'",
    ),
    "too many pixels": (resized({"z": ints(1, 2, 2**17, 4)}, "x e e z"), "images enlarged to 131072 by 4 pixels"),
    "blocks that do not fit": (
        one("DepthToSpace", "x", (6, 2, 2), blocksize=2),
        r"DepthToSpace: blocks of 2 pixels of samples of shape \(6, 2, 2\)",
    ),
    "blocks of rows": (
        one("SpaceToDepth", "x", (2, 4, 3), blocksize=2),
        r"SpaceToDepth: blocks of 2 pixels of samples of shape \(2, 4, 3\)",
    ),
    "blocks of columns": (one("SpaceToDepth", "x", (2, 3, 4), blocksize=2), "SpaceToDepth: blocks of 2 pixels"),
    "a cast of values": (
        graph([("Relu", "x", "a", {}), ("Cast", "a", "y", {"to": 7})], (3,), {}),
        "Cast: a cast of computed values to another type than floats",
    ),
    "a cast to words": (one("Cast", "x", (3,), to=8), "Cast: a cast of computed values to another type than floats"),
    "several limits": (one("Greater", "x c", (3,), {"c": random(3)}), r"Greater: limits of shape \(3,\)"),
    "several ids": (one("Equal", "x c", (3,), {"c": ints(1, 2, 3)}), "Equal: a comparison of other values than ids"),
    "an id below 0": (one("Equal", "x c", (3,), {"c": ints(-1)}), "Equal: a comparison of other values than ids"),
    "a kernel of other channels": (
        one("Conv", "x W", (4, 5, 5), {"W": random(2, 3, 3, 3)}),
        r"Conv: a kernel of shape \(2, 3, 3, 3\) in 1 groups for samples of shape \(4, 5, 5\)",
    ),
    "a kernel of other groups": (
        one("Conv", "x W", (4, 5, 5), {"W": random(2, 4, 3, 3)}, group=2),
        r"Conv: a kernel of shape \(2, 4, 3, 3\) in 2 groups",
    ),
    "negative pads of a convolution": (
        one("Conv", "x W", (4, 5, 5), {"W": random(2, 4, 3, 3)}, pads=[0, -1, 0, 0]), "Conv: negative pads",
    ),
    "a transposed kernel of other channels": (
        one("ConvTranspose", "x W", (4, 5, 5), {"W": random(3, 4, 3, 3)}),
        r"ConvTranspose: a kernel of shape \(3, 4, 3, 3\) for samples of shape \(4, 5, 5\)",
    ),
    "an output padding as large as the stride": (
        one("ConvTranspose", "x W", (4, 5, 5), {"W": random(4, 4, 3, 3)}, output_padding=[1, 0]),
        "ConvTranspose: pads .* and an output_padding of",
    ),
    "a mean over samples": (one("ReduceMean", "x", (4, 5), axes=[0, 2]), "ReduceMean: over the axis of the samples"),
    "a matrix of three axes": (one("Gemm", "x W", (4,), {"W": random(4, 2, 1)}), r"a matrix of shape \(4, 2, 1\)"),
    "samples of three axes": (one("Gemm", "x W", (4, 4), {"W": random(4, 2)}), r"Gemm: samples of shape \(4, 4\)"),
    "a bias of other outputs": (
        one("Gemm", "x W c", (4,), {"W": random(4, 2), "c": random(3)}), r"a bias of shape \(3,\) for 2 outputs",
    ),
    "a bias for each sample": (
        one("Gemm", "x W c", (4,), {"W": random(4, 2), "c": random(2, 1)}), r"a bias of shape \(2, 1\) for 2 outputs",
    ),
    "a matrix of other features": (
        one("MatMul", "x W", (4,), {"W": random(3, 2)}), r"a matrix of shape \(3, 2\) for samples of shape \(4,\)",
    ),
    "a product of three axes": (
        one("MatMul", "x W", (4, 3), {"W": random(2, 3, 2)}), r"a product of samples of shape \(4, 3\) with an array",
    ),
    "a constant on the left": (one("MatMul", "W x", (4,), {"W": random(4, 4)}), "a constant stands on the left"),
    "other lengths": (lstm(" n", {"n": np.array([1], np.int32)}), "LSTM: sequences of other lengths than the whole"),
    "peepholes": (lstm("    p", {"p": random(1, 9)}), "LSTM: peepholes other than 0"),
    "other activations": (lstm(activations=["Relu", "Tanh", "Tanh"]), r"LSTM: the activations \['relu', 'tanh', 'ta"),
    "clip": (lstm(clip=1.0), "LSTM: clip or input_forget"),
    "input and forget": (lstm(input_forget=1), "LSTM: clip or input_forget"),
    "a first state": (lstm("  h", {"h": random(1, 1, 3)}), "LSTM: the first state other than 0, kept as a constant"),
    "a first cell": (lstm("   c", {"c": random(1, 1, 3)}), "LSTM: the first cell other than 0, kept as a constant"),
    "weights of other units": (lstm(hidden_size=4), r"LSTM: W of shape \(1, 12, 4\) and R of shape \(1, 12, 3\) for 4"),
    "biases of other units": (lstm(constants={"B": random(1, 23)}), r"LSTM: biases of shape \(1, 23\)"),
    "samples without steps": (
        one("LSTM", "x W R B", (4,), CELLS, hidden_size=3), "LSTM: samples of shape .*, W of shape",
    ),
    "a shape of too many axes": (
        one("Reshape", "x s", (4,), {"s": ints(0, 4, 0)}), r"Reshape: a shape of \[0, 4, 0\] for samples of shape",
    ),
    "a shape that does not fit": (
        one("Reshape", "x s", (4,), {"s": ints(0, 3, -1)}), r"Reshape: a shape of .* for samples of shape \(4,\)",
    ),
    "two sizes left open": (one("Reshape", "x s", (4,), {"s": ints(0, -1, -1)}), "Reshape: a shape of .*-1, -1"),
    "an axis twice": (one("Transpose", "x", (4, 3), perm=[0, 1, 1]), r"Transpose: perm=\[0, 1, 1\] of 3 axes"),
    "one by a value": (one("Div", "c x", (4,), {"c": random(1)}), "Div: a constant divided by a value"),
    "a value by 0": (one("Div", "x c", (4,), {"c": np.zeros(4, np.float32)}), "Div: a value divided by 0"),
    "a value by a value": (one("Div", "x x", (4,)), "Div: one value divided by another"),
    "steps of 0": (
        one("Slice", "x b e a s", (4,), {"b": ints(0), "e": ints(2), "a": ints(1), "s": ints(0)}), "Slice: steps of 0",
    ),
    "nothing left": (
        one("Slice", "x b e a", (4,), {"b": ints(2), "e": ints(2), "a": ints(1)}), "Slice: nothing is left",
    ),
    "samples left out": (
        one("Slice", "x b e a", (4,), {"b": ints(1), "e": ints(9), "a": ints(0)}), "Slice: samples are left out",
    ),
    "means as outputs": (
        graph(
            [("LayerNormalization", "x g", "y m", {}), ("Relu", "m", "z", {})], (4,), {"g": random(4)},
            outputs=("y", "z"),
        ),
        "LayerNormalization: means or deviations as outputs",
    ),
    "a normalized axis of samples": (
        one("LayerNormalization", "x g", (4,), {"g": random(4)}, axis=0), "LayerNormalization: axis 0 is that of",
    ),
    "axes that are not there": (one("Softmax", "x", (4,), axis=3), "axis 3 of an array of 2 axes"),
    "axes that are not there, from the end": (one("Softmax", "x", (4,), axis=-3), "axis -3 of an array of 2 axes"),
    "a range without end": (
        computed("Range", "a b c0", {"a": ints(0)[0], "b": ints(3)[0], "c0": ints(0)[0]}), "a range in steps of 0",
    ),
    "a constant of words": (computed("Cast", "a", {"a": random(3)}, to=8), "Cast: a cast to words"),
    "a sum from behind": (
        computed("CumSum", "a b", {"a": random(3), "b": ints(0)[0]}, reverse=1), "CumSum: a sum from behind",
    ),
    "a sum without its place": (
        computed("CumSum", "a b", {"a": random(3), "b": ints(0)[0]}, exclusive=1), "CumSum: a sum from behind",
    ),
    "added places": (
        computed("ScatterND", "a i u", {"a": random(3), "i": ints([0]), "u": random(1)}, opset=18, reduction="add"),
        "ScatterND: values that are added to others",
    ),
    "an equation with dots": (
        computed("Einsum", "a", {"a": random(3)}, equation=".->."), "Einsum: the equation '.->.'",
    ),
    "places for each part": (
        computed("GatherND", "a i", {"a": random(1, 3), "i": ints([0])}, batch_dims=1), "GatherND: places of their own",
    ),
    "a whole number by 0": (computed("Div", "a b", {"a": ints(1, 2, 3), "b": ints(0)}), "a whole number divided by 0"),
    "a rest by 0": (computed("Mod", "a b", {"a": ints(1, 2, 3), "b": ints(0)}), "a whole number divided by 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_names_the_node_and_the_reason(name, tmp_path):
    proto, message = CASES[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(CheckpointError, match=message) as caught:
        load_onnx(path)
    assert "m.onnx" in str(caught.value)


def test_a_dropout_that_drops_nothing_may_never_rest(tmp_path):
    proto = one("Dropout", "x r t", (4,), {"r": np.float32(0), "t": np.array(True)})
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    assert load_onnx(tmp_path / "m.onnx").input_shape == (4,)


def test_sparse_tensors(tmp_path):
    proto = one("Identity", "x", (4,))
    values = onnx.numpy_helper.from_array(random(1), "v")
    places = onnx.numpy_helper.from_array(ints(0), "i")
    proto.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [4]))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(CheckpointError, match="the model holds sparse tensors"):
        load_onnx(tmp_path / "m.onnx")
