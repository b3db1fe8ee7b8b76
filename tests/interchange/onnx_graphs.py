"""Small ONNX graphs with random weights, as exporters write them: what onnxruntime makes of them is the truth."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(5)


def random(*shape):
    return (0.5 * RNG.standard_normal(shape)).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 1.5, shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


def graph(nodes, shape, constants, *, opset=17, samples="N", dtype=TensorProto.FLOAT, outputs=("y",)):
    """A ModelProto: nodes (kind, inputs, outputs, attributes) on one input x of that shape of one sample."""
    made = [helper.make_node(kind, i.split(" "), o.split(" "), **a) for kind, i, o, a in nodes]
    proto = helper.make_graph(
        made, "g",
        [helper.make_tensor_value_info("x", dtype, [samples, *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(a, name) for name, a in constants.items()],
    )  # fmt: skip
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def one(kind, inputs, shape, constants=None, *, opset=17, **attributes):
    """A graph of one node."""
    return graph([(kind, inputs, "y", attributes)], shape, constants or {}, opset=opset)


def flattened(image_layers, features, outputs=3):
    """Layers over images, then a Reshape with a computed batch size, then a Gemm: PyTorch's x.view(x.size(0), -1)."""
    nodes = [
        *image_layers,
        ("Shape", "h", "s", {}),
        ("Gather", "s zero", "n", {"axis": 0}),
        ("Unsqueeze", "n axis", "n1", {}),
        ("Concat", "n1 rest", "target", {"axis": 0}),
        ("Reshape", "h target", "flat", {}),
        ("Gemm", "flat W b", "y", {"transB": 1}),
    ]
    constants = {"zero": np.array(0), "axis": ints(0), "rest": ints(-1)}
    return nodes, constants | {"W": random(outputs, features), "b": random(outputs)}


def lenet():
    body = [
        ("Conv", "x K k", "c", {"kernel_shape": [3, 3]}),
        ("Relu", "c", "r", {}),
        ("MaxPool", "r", "h", {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ]
    nodes, constants = flattened(body, 4 * 3 * 2)
    return graph(nodes, (2, 8, 6), constants | {"K": random(4, 2, 3, 3), "k": random(4)})


def torch_lstm(kind, directions, gates, *, whole):
    """What PyTorch writes for a layer with batch_first=True: times first, states joined again behind it."""
    way = {"direction": "bidirectional"} if directions == 2 else {}
    more = {"linear_before_reset": 1} if kind == "GRU" else {}
    outputs = ("Y H" if kind != "LSTM" else "Y H C") if whole else (" H" if kind != "LSTM" else " H C")
    nodes = [("Transpose", "x", "t", {"perm": [1, 0, 2]})]
    made = helper.make_node(kind, ["t", "W", "R", "B"], outputs.split(" "), hidden_size=3, **way, **more)
    tail = (
        [
            ("Transpose", "Y", "Z", {"perm": [0, 2, 1, 3]}),
            ("Reshape", "Z joined", "J", {}),
            ("Transpose", "J", "y", {"perm": [1, 0, 2]}),
        ]
        if whole
        else [("Transpose", "H", "Z", {"perm": [1, 0, 2]}), ("Reshape", "Z end", "y", {})]
    )
    constants = {
        "W": random(directions, gates * 3, 4), "R": random(directions, gates * 3, 3),
        "B": random(directions, 2 * gates * 3), "joined": ints(0, 0, -1), "end": ints(0, -1),
    }  # fmt: skip
    proto = graph(nodes + tail, (5, 4), constants)
    proto.graph.node.insert(1, made)
    return proto


def skip_connections():
    nodes = [
        ("Conv", "x K", "a", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
        ("BatchNormalization", "a g b m v", "n", {"epsilon": 1e-3}),
        ("Add", "n x", "s", {}),
        ("Relu", "s", "r", {}),
        ("Concat", "r x", "j", {"axis": 1}),
        ("GlobalAveragePool", "j", "p", {}),
        ("Flatten", "p", "f", {}),
        ("MatMul", "f W", "w", {}),
        ("Add", "w c", "y", {}),
    ]
    constants = {"K": random(3, 3, 3, 3), "g": positive(3), "b": random(3), "m": random(3), "v": positive(3)}
    return graph(nodes, (3, 5, 6), constants | {"W": random(6, 4), "c": random(4)})


def scaled_channels():
    nodes = [
        ("Conv", "x K", "a", {"kernel_shape": [1, 1]}),
        ("Mul", "a s", "b", {}),
        ("Add", "b t", "c", {}),
        ("Flatten", "c", "f", {}),
        ("Mul", "f u", "g", {}),
        ("Gemm", "g W", "y", {}),
    ]
    constants = {"K": random(2, 3, 1, 1), "s": random(2, 1, 1), "t": random(1, 2, 1, 1), "u": random(24)}
    constants |= {"W": random(24, 3)}
    return graph(nodes, (3, 4, 3), constants)


def bias_used_twice():
    """The product goes on without its bias too: they must not become one layer."""
    nodes = [
        ("MatMul", "x W", "p", {}),
        ("Add", "p b", "q", {}),
        ("Relu", "p", "r", {}),
        ("Add", "q r", "y", {}),
    ]
    return graph(nodes, (4,), {"W": random(4, 3), "b": random(3)})


def transposed_by_hand():
    """Channels last around a convolution, as TensorFlow's exporters write it."""
    nodes = [
        ("Transpose", "x", "t", {"perm": [0, 3, 1, 2]}),
        ("Conv", "t K", "c", {"kernel_shape": [2, 2]}),
        ("Transpose", "c", "u", {"perm": [0, 2, 3, 1]}),
        ("Reshape", "u to", "f", {}),
        ("MatMul", "f W", "y", {}),
    ]
    constants = {"K": random(3, 2, 2, 2), "to": ints(-1, 36), "W": random(36, 2)}
    return graph(nodes, (5, 4, 2), constants)


def embedded():
    nodes = [
        ("Gather", "E x", "e", {}),
        ("Add", "e P", "p", {}),
        ("ReduceMean", "p", "y", {"axes": [1], "keepdims": 0}),
    ]
    return graph(nodes, (5,), {"E": random(7, 4), "P": random(5, 4)}, dtype=TensorProto.INT64)


def torch_group_norm():
    nodes = [
        ("Reshape", "x to", "g", {}),
        ("InstanceNormalization", "g one zero", "n", {"epsilon": 1e-4}),
        ("Shape", "x", "s", {}),
        ("Reshape", "n s", "b", {}),
        ("Mul", "b gain", "m", {}),
        ("Add", "m bias", "y", {}),
    ]
    constants = {"to": ints(0, 2, -1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32)}
    return graph(nodes, (6, 4, 3), constants | {"gain": random(6, 1, 1), "bias": random(6, 1, 1)})


def gated():
    nodes = [("Split", "x", "a b", {"axis": 2}), ("Sigmoid", "b", "s", {}), ("Mul", "a s", "y", {})]
    return graph(nodes, (5, 6), {})


def root_mean_square(square):
    nodes = [
        square,
        ("ReduceMean", "q", "m", {"axes": [-1]}),
        ("Add", "m eps", "e", {}),
        ("Sqrt", "e", "r", {}),
        ("Div", "x r", "n", {}),
        ("Mul", "n gain", "y", {}),
    ]
    constants = {"eps": np.array(1e-3, np.float32), "two": np.array(2, np.float32), "gain": random(6)}
    return graph(nodes, (5, 6), constants)


def mean_of_squares():
    """Over positions: no RMSNorm."""
    return graph([("Mul", "x x", "q", {}), ("ReduceMean", "q", "y", {"axes": [2, 3]})], (3, 4, 5), {})


def scaled_under_another_name():
    """What a Transpose calls otherwise is the same array: its scale must not reach the other user."""
    nodes = [
        ("LayerNormalization", "x g b", "n", {}),
        ("Transpose", "n", "t", {"perm": [0, 2, 1]}),
        ("Mul", "t s", "m", {}),
        ("Transpose", "m", "u", {"perm": [0, 2, 1]}),
        ("Add", "u n", "y", {}),
    ]
    return graph(nodes, (5, 4), {"g": random(4), "b": random(4), "s": random(4, 1)})


K = random
GRAPHS = {
    "LeNet, batch size computed": lenet(),
    "skip connections": skip_connections(),
    "scales and shifts of channels": scaled_channels(),
    "a product used without its bias": bias_used_twice(),
    "channels last by hand": transposed_by_hand(),
    "embedding with positions": embedded(),
    "Gemm, alpha and beta": one("Gemm", "x W b", (4,), {"W": K(4, 3), "b": K(3)}, alpha=0.5, beta=2.0),
    "MatMul over time": one("MatMul", "x W", (5, 4), {"W": K(4, 3)}),
    "Conv, uneven pads": one(
        "Conv", "x W b", (2, 7, 6), {"W": K(3, 2, 3, 2), "b": K(3)}, pads=[1, 0, 2, 1], strides=[2, 1]
    ),
    "Conv, dilated, in groups": one(
        "Conv", "x W", (4, 9, 8), {"W": K(6, 2, 3, 2)}, dilations=[2, 1], group=2
    ),
    "Conv, SAME_LOWER": one(
        "Conv", "x W", (2, 7, 6), {"W": K(3, 2, 2, 3)}, auto_pad="SAME_LOWER", strides=[2, 1]
    ),
    "Conv, SAME_UPPER": one("Conv", "x W", (2, 7, 6), {"W": K(3, 2, 2, 3)}, auto_pad="SAME_UPPER"),
    "Conv over sequences": one(
        "Conv", "x W b", (4, 9), {"W": K(6, 2, 3), "b": K(6)}, group=2, pads=[2, 0], strides=[2]
    ),
    "ConvTranspose": one(
        "ConvTranspose",
        "x W b",
        (4, 3, 4),
        {"W": K(4, 3, 3, 2), "b": K(6)},
        group=2,
        strides=[2, 1],
        pads=[1, 0, 0, 1],
    ),
    "ConvTranspose, output_padding": one(
        "ConvTranspose", "x W", (2, 3, 3), {"W": K(2, 3, 3, 3)}, strides=[3, 2], output_padding=[2, 1]
    ),
    "ConvTranspose over sequences": one(
        "ConvTranspose", "x W", (2, 5), {"W": K(2, 3, 3)}, strides=[2], pads=[1, 0]
    ),
    "MaxPool, ceil_mode": one("MaxPool", "x", (2, 6, 7), kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
    "MaxPool, pads": one("MaxPool", "x", (2, 6, 7), kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 2]),
    "AveragePool, pads counted": one(
        "AveragePool",
        "x",
        (2, 6, 7),
        kernel_shape=[3, 3],
        strides=[2, 1],
        pads=[1, 0, 1, 2],
        count_include_pad=1,
    ),
    "AveragePool, pads left out": one(
        "AveragePool", "x", (2, 6, 7), kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 2]
    ),
    "AveragePool over sequences": one(
        "AveragePool", "x", (2, 7), kernel_shape=[3], pads=[1, 1], count_include_pad=1
    ),
    "LSTM": torch_lstm("LSTM", 1, 4, whole=True),
    "LSTM, last state": torch_lstm("LSTM", 1, 4, whole=False),
    "LSTM, both ways": torch_lstm("LSTM", 2, 4, whole=True),
    "GRU, both ways": torch_lstm("GRU", 2, 3, whole=True),
    "GRU, last state": torch_lstm("GRU", 1, 3, whole=False),
    "RNN": torch_lstm("RNN", 1, 1, whole=True),
    "RNN, both ways, last state": torch_lstm("RNN", 2, 1, whole=False),
    "LayerNormalization": one("LayerNormalization", "x g b", (3, 4), {"g": K(4), "b": K(4)}, epsilon=1e-3),
    "LayerNormalization of two axes": one(
        "LayerNormalization", "x g b", (3, 4), {"g": K(3, 4), "b": K(3, 4)}, axis=1
    ),
    "InstanceNormalization": one("InstanceNormalization", "x g b", (3, 4, 5), {"g": K(3), "b": K(3)}),
    "GroupNormalization": one(
        "GroupNormalization", "x g b", (4, 3, 5), {"g": K(4), "b": K(4)}, opset=21, num_groups=2
    ),
    "PRelu by channel": one("PRelu", "x s", (3, 4, 5), {"s": K(3, 1, 1)}),
    "Clip to 0 and 6": one(
        "Clip", "x low high", (5,), {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    ),
    "Clip from below": one("Clip", "x low", (5,), {"low": np.array(-0.2, np.float32)}),
    "Softmax over channels": one("Softmax", "x", (3, 4, 5), axis=1),
    "Softmax before opset 13": one("Softmax", "x", (3, 4), opset=12, axis=1),
    "Pad": one(
        "Pad", "x p v", (3, 4, 5), {"p": ints(0, 0, 1, 2, 0, 0, 0, 1), "v": np.array(0.7, np.float32)}
    ),
    "Resize to twice": one(
        "Resize", "x  s", (2, 3, 4), {"s": np.array([1, 1, 2, 3], np.float32)}, mode="nearest"
    ),
    "HardSigmoid": one("HardSigmoid", "x", (5,), alpha=0.3, beta=0.4),
    "Selu of other constants": one("Selu", "x", (5,), alpha=1.2, gamma=0.9),
    "ThresholdedRelu": one("ThresholdedRelu", "x", (5,), alpha=0.1),
    "a number less the value": one("Sub", "c x", (5,), {"c": np.array(2, np.float32)}),
    "divided by one for each": one("Div", "x c", (5,), {"c": positive(5)}),
    "the larger of the two": graph([("Tanh", "x", "a", {}), ("Max", "a x", "y", {})], (5,), {}),
    "global maximum": one("GlobalMaxPool", "x", (3, 4, 5)),
    "GroupNorm of PyTorch": torch_group_norm(),
    "GLU": gated(),
    "pooling over sequences as over images": graph(
        [
            ("Unsqueeze", "x a", "i", {}),
            ("AveragePool", "i", "p", {"kernel_shape": [2, 1], "strides": [2, 1]}),
            ("Squeeze", "p a", "y", {}),
        ],
        (4, 6),
        {"a": ints(3)},
    ),
    "a scale under another name": scaled_under_another_name(),
    "RMSNorm by Mul": root_mean_square(("Mul", "x x", "q", {})),
    "RMSNorm by Pow": root_mean_square(("Pow", "x two", "q", {})),
    "a mean of squares": mean_of_squares(),
    "Softsign by hand": graph(
        [("Abs", "x", "a", {}), ("Add", "one a", "b", {}), ("Div", "x b", "y", {})],
        (5,),
        {"one": np.array(1, np.float32)},
    ),
    "BatchNorm with a scale of its own": graph(
        [("BatchNormalization", "x g b m v", "n", {}), ("Mul", "n s", "p", {}), ("Add", "p t", "y", {})],
        (3, 4, 5),
        {"g": positive(3), "b": K(3), "m": K(3), "v": positive(3), "s": K(3, 1, 1), "t": K(3, 1, 1)},
    ),
    "squeezed and back": graph(
        [("GlobalAveragePool", "x", "p", {}), ("Squeeze", "p a", "s", {}), ("Unsqueeze", "s a", "y", {})],
        (3, 4, 5),
        {"a": ints(2, 3)},
    ),
}
