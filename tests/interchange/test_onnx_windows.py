"""ONNX's operations that slide, pad and resize, one node at a time with random weights, against onnxruntime."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_runs import TOLERANCE, difference, session  # noqa: E402

from xpnn import layers as L  # noqa: E402
from xpnn.errors import CheckpointError  # noqa: E402
from xpnn.interchange import load_onnx  # noqa: E402

pytestmark = pytest.mark.oracle
HELPER, TENSOR = onnx.helper, onnx.TensorProto
VOLUME, IMAGE, SEQUENCE = (4, 3, 5, 6), (4, 7, 6), (4, 9)


def arrays(*shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def sizes(*values):
    return np.array(values, np.int64)


def scales(*values):
    return np.array(values, np.float32)


EMPTY = np.zeros(0, np.float32)
# name: (operation, shape of one sample, channels first; its constants; its attributes; the layer that it becomes)
NODES = {
    "Conv 3-D": ("Conv", VOLUME, arrays((6, 2, 2, 3, 1), (6,)), {"group": 2, "strides": [1, 2, 1]}, L.Conv3D),
    "Conv without bias": ("Conv", IMAGE, arrays((3, 4, 3, 3)), {"auto_pad": "SAME_LOWER"}, L.Conv2D),
    "Conv 1-D": ("Conv", SEQUENCE, arrays((3, 4, 2), (3,)), {"auto_pad": "SAME_LOWER"}, L.Conv1D),
    "ConvTranspose 1-D": (
        "ConvTranspose", SEQUENCE, arrays((4, 2, 3), (4,)),
        {"group": 2, "strides": [2], "pads": [1, 0], "output_padding": [1]}, L.ConvTranspose1D,
    ),
    "ConvTranspose 3-D": (
        "ConvTranspose", VOLUME, arrays((4, 3, 2, 1, 2)), {"strides": [2, 1, 2]}, L.ConvTranspose3D
    ),
    "MaxPool 3-D": ("MaxPool", VOLUME, [], {"kernel_shape": [2, 2, 3], "strides": [1, 2, 1]}, L.MaxPool3D),
    "MaxPool dilated": (
        "MaxPool", IMAGE, [], {"kernel_shape": [2, 3], "dilations": [2, 1], "ceil_mode": 1, "strides": [2, 2]},
        L.MaxPool2D,
    ),
    "MaxPool same lower": (
        "MaxPool", IMAGE, [], {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER", "strides": [2, 1]}, L.MaxPool2D
    ),
    "AveragePool counted": (
        "AveragePool", IMAGE, [],
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1, "strides": [2, 2]}, L.AvgPool2D,
    ),
    "AveragePool dilated": (
        "AveragePool", IMAGE, [], {"kernel_shape": [2, 2], "dilations": [2, 3]}, L.AvgPool2D
    ),
    "AveragePool ceiling": (
        "AveragePool", SEQUENCE, [], {"kernel_shape": [2], "ceil_mode": 1, "strides": [2]}, L.AvgPool1D
    ),
    "LRN": ("LRN", IMAGE, [], {"size": 3, "alpha": 0.5, "beta": 0.6, "bias": 2.0}, L.LocalResponseNorm),
    "Pad reflect": ("Pad", IMAGE, [sizes(0, 0, 2, 1, 0, 0, 0, 3)], {"mode": "reflect"}, L.Pad),
    "Pad edge": ("Pad", VOLUME, [sizes(0, 0, 2, 1, 0, 0, 0, 0, 3, 1)], {"mode": "edge"}, L.Pad),
    "Pad constant": ("Pad", SEQUENCE, [sizes(0, 0, 2, 0, 0, 1), np.float32(0.5)], {}, L.Pad),
    "Resize linear": ("Resize", IMAGE, [EMPTY, scales(1, 1, 2, 1.5)], {"mode": "linear"}, L.Resize),
    "Resize corners": (
        "Resize", IMAGE, [EMPTY, EMPTY, sizes(1, 4, 3, 11)],
        {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, L.Resize,
    ),
    "Resize asymmetric": (
        "Resize", IMAGE, [EMPTY, EMPTY, sizes(14, 3)],
        {"axes": [2, 3], "mode": "linear", "coordinate_transformation_mode": "asymmetric"}, L.Resize,
    ),
    "Resize nearest": ("Resize", IMAGE, [EMPTY, EMPTY, sizes(1, 4, 14, 3)], {"mode": "nearest"}, L.Resize),
    "Resize nearest floor": (
        "Resize", IMAGE, [EMPTY, EMPTY, sizes(1, 4, 9, 4)],
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, L.Resize,
    ),
    "Resize blocks": (
        "Resize", IMAGE, [EMPTY, scales(1, 1, 2, 3)],
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, L.UpSampling2D,
    ),
    "GlobalAveragePool 3-D": ("GlobalAveragePool", VOLUME, [], {}, L.GlobalAveragePool),
}  # fmt: skip


def graph_of(kind, shape, constants, attributes):
    """A file of one node for one sample at a time, with a bias of the channels before it."""
    names = [f"c{i}" if a.size else "" for i, a in enumerate(constants)]
    kept = [
        onnx.numpy_helper.from_array(np.asarray(a), name)
        for a, name in zip(constants, names, strict=True)
        if name
    ]
    node = HELPER.make_node(kind, ["x", *names], ["y"], **attributes)
    x = HELPER.make_tensor_value_info("x", TENSOR.FLOAT, (1, *shape))
    y = HELPER.make_tensor_value_info("y", TENSOR.FLOAT, None)
    graph = HELPER.make_graph([node], "g", [x], [y], kept)
    return HELPER.make_model(graph, opset_imports=[HELPER.make_opsetid("", 19)], ir_version=9)


def layer_in(model, cls):
    """The one layer of that class in the network."""
    found = [layer for layer in (model.net, *getattr(model.net, "layers", ())) if type(layer) is cls]
    return found or [one for _, one, _ in getattr(model.net, "nodes", ()) if type(one) is cls]


@pytest.mark.parametrize("name", NODES)
def test_one_node_equals_onnxruntime(name, tmp_path):
    kind, shape, constants, attributes, cls = NODES[name]
    proto = graph_of(kind, shape, constants, attributes)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    model = load_onnx(tmp_path / "m.onnx")
    (x,) = arrays((1, *shape))
    (wanted,) = session(proto.SerializeToString()).run(None, {"x": x})
    got = model.forward(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    wanted = np.moveaxis(wanted, 1, -1)
    assert difference(got.reshape(wanted.shape), np.ascontiguousarray(wanted)) <= TOLERANCE
    assert layer_in(model, cls)


@pytest.mark.parametrize(
    ("kind", "constants", "attributes", "message"),
    [
        ("Resize", [EMPTY, scales(1, 1, 2, 2)], {"mode": "cubic"}, "mode 'cubic'"),
        ("Resize", [EMPTY, scales(1, 1, 1.3, 1)], {"mode": "linear"}, "no whole sizes"),
        ("Resize", [EMPTY, scales(1, 1, 0.5, 1)], {"mode": "linear", "antialias": 1}, "antialias"),
        ("Pad", [sizes(0, 0, -1, 0, 0, 0, 0, 0)], {}, "negative pads"),
        ("MaxPool", [], {"kernel_shape": [2, 2], "dilations": [9, 1]}, "pooling that has windows"),
    ],
)
def test_what_no_layer_does_is_refused(kind, constants, attributes, message, tmp_path):
    proto = graph_of(kind, IMAGE, constants, attributes)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(CheckpointError, match=message):
        load_onnx(tmp_path / "m.onnx")
