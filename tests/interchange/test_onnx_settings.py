"""Settings of nodes one at a time: windows followed by a product, so that their sizes count; activations; masks."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, one, positive, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, difference, laid, loaded, samples, session  # noqa: E402
from test_onnx_defaults import truth  # noqa: E402
from test_onnx_rare_nodes import flat, number, of_images, resized  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402

pytestmark = pytest.mark.oracle
IMAGES, SEQUENCE, VOLUME = (2, 9, 8), (2, 11), (2, 5, 6, 7)


def multiplied(kind, inputs, shape, constants=None, **attributes):
    """The node, what it gives flattened, and that times a matrix: which fits if the node's sizes are right alone."""
    proto = one(kind, inputs, shape, constants, **attributes)
    given = onnx.shape_inference.infer_shapes(proto).graph.output[0].type.tensor_type.shape.dim
    size = int(np.prod([d.dim_value for d in given[1:]]))
    nodes = [(kind, inputs, "h1", attributes), ("Flatten", "h1", "f1", {}), ("MatMul", "f1 M", "p1", {})]
    nodes += [
        ("Flatten", "x", "f2", {}),
        ("MatMul", "f2 M2", "p2", {}),
        ("Add", "p1 p2", "y", {}),
    ]  # as many samples
    return graph(
        nodes, shape, (constants or {}) | {"M": random(size, 2), "M2": random(int(np.prod(shape)), 2)}
    )


def kernel(*shape):
    return {"W": random(*shape)}


WINDOWS = {
    "Conv": multiplied("Conv", "x W", IMAGES, kernel(3, 2, 3, 2), pads=[1, 0, 2, 1], strides=[2, 1], dilations=[2, 3]),
    "Conv of sequences": multiplied("Conv", "x W", SEQUENCE, kernel(3, 2, 3), pads=[2, 1], strides=[2], dilations=[2]),
    "Conv of volumes": multiplied(
        "Conv", "x W", VOLUME, kernel(3, 2, 2, 3, 1), pads=[1, 0, 2, 0, 1, 1], strides=[2, 1, 3], dilations=[1, 2, 1]
    ),
    "Conv, VALID": multiplied("Conv", "x W", IMAGES, kernel(3, 2, 3, 2), auto_pad="VALID", strides=[2, 3]),
    "Conv, NOTSET": multiplied("Conv", "x W", IMAGES, kernel(3, 2, 3, 2), auto_pad="NOTSET", pads=[0, 1, 2, 3]),
    "Conv, SAME_UPPER, apart": multiplied(
        "Conv", "x W", IMAGES, kernel(3, 2, 4, 3), auto_pad="SAME_UPPER", strides=[2, 3]
    ),
    "Conv, SAME_LOWER, apart": multiplied(
        "Conv", "x W", IMAGES, kernel(3, 2, 4, 3), auto_pad="SAME_LOWER", strides=[2, 3]
    ),
    "Conv, SAME, strides above the kernel": multiplied(
        "Conv", "x W", IMAGES, kernel(3, 2, 1, 2), auto_pad="SAME_UPPER", strides=[3, 4]
    ),
    "ConvTranspose": multiplied(
        "ConvTranspose", "x W", (2, 4, 3), kernel(2, 3, 3, 2), pads=[1, 0, 0, 1], strides=[2, 3], dilations=[1, 2],
        output_padding=[1, 2],
    ),
    "ConvTranspose of sequences": multiplied(
        "ConvTranspose", "x W", (2, 4), kernel(2, 3, 3), pads=[1, 2], strides=[3], dilations=[2], output_padding=[2]
    ),
    **{f"ConvTranspose, {mode}": multiplied(
        "ConvTranspose", "x W", (2, 4, 5), kernel(2, 3, 5, 4), auto_pad=mode, strides=[2, 2]
    ) for mode in ("SAME_UPPER", "SAME_LOWER")},
    "ConvTranspose, the size of the result and more": multiplied(
        "ConvTranspose", "x W", (2, 4, 5), kernel(2, 3, 5, 4), output_shape=[9, 12], output_padding=[1, 0],
        strides=[2, 2],
    ),
    "ConvTranspose, VALID": multiplied("ConvTranspose", "x W", (2, 4, 3), kernel(2, 3, 3, 2), auto_pad="VALID"),
    "MaxPool": multiplied(
        "MaxPool", "x", IMAGES, kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 3], dilations=[2, 1]
    ),
    "MaxPool, ceiling": multiplied("MaxPool", "x", IMAGES, kernel_shape=[2, 3], strides=[2, 3], ceil_mode=1),
    "MaxPool of sequences": multiplied("MaxPool", "x", SEQUENCE, kernel_shape=[3], pads=[1, 0], strides=[2]),
    "MaxPool, VALID": multiplied("MaxPool", "x", IMAGES, kernel_shape=[2, 3], strides=[2, 1], auto_pad="VALID"),
    "AveragePool": multiplied("AveragePool", "x", IMAGES, kernel_shape=[3, 2], pads=[1, 0, 0, 1], strides=[2, 3]),
    "AveragePool of volumes": multiplied("AveragePool", "x", VOLUME, kernel_shape=[2, 1, 3], strides=[1, 2, 2]),
    "LRN": multiplied("LRN", "x", (5, 3, 2), size=3, alpha=0.3, beta=0.4, bias=1.5),
    "GlobalAveragePool": multiplied("GlobalAveragePool", "x", IMAGES),
    "Pad": multiplied("Pad", "x p v", IMAGES, {"p": ints(0, 1, 2, 3, 0, 4, 0, 1), "v": number(0.3)}),
    "Resize": multiplied("Resize", "x e s", IMAGES, {"s": number([1, 1, 2, 3]), "e": number([])}),
    "DepthToSpace": multiplied("DepthToSpace", "x", (8, 3, 2), blocksize=2, mode="CRD"),
    "SpaceToDepth": multiplied("SpaceToDepth", "x", (2, 6, 4), blocksize=2),
    "Slice": multiplied("Slice", "x b e a s", IMAGES, {"b": ints(1), "e": ints(8), "a": ints(-2), "s": ints(3)}),
    "ReduceMean of rows": multiplied("ReduceMean", "x", IMAGES, axes=[2], keepdims=0),
    "ReduceMax of channels": multiplied("ReduceMax", "x", IMAGES, axes=[1]),
    "Transpose": multiplied("Transpose", "x", IMAGES, perm=[0, 3, 1, 2]),
}  # fmt: skip
NORM = {"g": positive(3), "b": random(3)}
PAIRS = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0) / 2
NODES = {
    "Clip from 1": one("Clip", "x a", (9,), {"a": number(1)}),
    "Clip to [-2, 1]": one("Clip", "x a b", (9,), {"a": number(-2), "b": number(1)}),
    "Clip to [-1, 2]": one("Clip", "x a b", (9,), {"a": number(-1), "b": number(2)}),
    "Softmax of opset 12 over images": graph(
        [("Conv", "x K", "h", {}), ("Softmax", "h", "s", {"axis": 1}), ("Conv", "s K", "y", {})], (3, 2, 4),
        {"K": random(3, 3, 1, 1)}, opset=12,
    ),
    "PRelu of rows of images": of_images(("PRelu", "h s", "r", {}), ("Conv", "r L", "y", {}), s=random(6, 1),
        L=random(2, 4, 1, 1)),
    "PRelu, a slope for each number of images": of_images(
        ("PRelu", "h s", "r", {}), ("Conv", "r L", "y", {}), s=random(4, 6, 5), L=random(2, 4, 1, 1)
    ),
    "scales of two channels": one("Mul", "x c", (2, 3, 4), {"c": random(2, 1, 1)}),
    "scales of channels of images": of_images(("Mul", "h c", "m", {}), ("Relu", "m", "y", {}), c=random(4, 1, 1)),
    "scales of channels of volumes": graph(
        [("Conv", "x K", "h", {}), ("Mul", "h c", "m", {}), ("Conv", "m K", "y", {})], (3, 2, 4, 5),
        {"K": random(3, 3, 1, 1, 1), "c": random(3, 1, 1, 1)},
    ),
    "means of pairs of features": one("MatMul", "x W", (3, 4), {"W": PAIRS}),
    "means of pairs of five axes": graph(
        [("Transpose", "x", "t", {"perm": [0, 1, 2, 3, 5, 4]}), ("MatMul", "t W", "y", {})],
        (2, 2, 2, 4, 3), {"W": PAIRS},
    ),
    "Clip to one number": one("Clip", "x a b", (9,), {"a": number(0.5), "b": number(0.5)}),
    "Softmax of opset 13 over channels": one("Softmax", "x", (3, 4), opset=13, axis=1),
    "Softmax of opset 12 over one axis with others of 1": one("Softmax", "x", (3, 1), opset=12),
    "Softmax of opset 12 over the last": one("Softmax", "x", (3, 4), opset=12, axis=-1),
    "Softmax of flattened images": flat(("Softmax", "f", "y0", {"axis": 1}), W=random(24, 2)),
    "PRelu of columns in opset 7": one("PRelu", "x s", (3, 4, 3), {"s": random(3)}, opset=7),
    "Gemm, one number of two axes": one("Gemm", "x W c", (4,), {"W": random(4, 3), "c": random(1, 1)}),
    "Gemm of turned samples": graph(
        [("Transpose", "x", "t", {"perm": [1, 0]}), ("Gemm", "t W c", "y", {"transA": 1, "transB": 1, "alpha": 0.5})],
        (4,), {"W": random(3, 4), "c": random(3)},
    ),
    "InstanceNormalization of sequences": one("InstanceNormalization", "x g b", (3, 5), NORM, epsilon=0.2),
    "LayerNormalization of rows and columns": one(
        "LayerNormalization", "x g b", (2, 3, 4), {"g": positive(3, 4), "b": random(3, 4)}, axis=-2, epsilon=0.2
    ),
    "LayerNormalization, one gain for all": one("LayerNormalization", "x g", (3, 4), {"g": positive(1)}),
    "GroupNormalization of sequences": one(
        "GroupNormalization", "x g b", (6, 5), {"g": positive(6), "b": random(6)}, opset=21, num_groups=3, epsilon=0.2
    ),
    "GroupNormalization of opset 18": one(
        "GroupNormalization", "x g b", (6, 5), {"g": positive(3), "b": random(3)}, opset=18, num_groups=3
    ),
    "RMSNormalization of two axes": one(
        "RMSNormalization", "x g", (2, 3, 4), {"g": positive(3, 4)}, opset=23, axis=-2, epsilon=0.2
    ),
    "MeanVarianceNormalization of rows": of_images(
        ("MeanVarianceNormalization", "h", "n", {"axes": [1, -1]}), ("Conv", "n L", "y", {}), L=random(2, 4, 1, 1)
    ),
    "Shrink, its bias as large": one("Shrink", "x", (9,), lambd=0.4, bias=0.4),
    "Shrink, its bias larger": one("Shrink", "x", (9,), lambd=0.4, bias=0.9),
    "Shrink of flattened images": flat(("Shrink", "f", "y0", {"lambd": 0.2, "bias": 0.1}), W=random(24, 2)),
    "ThresholdedRelu of flattened images": flat(("ThresholdedRelu", "f", "y0", {"alpha": 0.1}), W=random(24, 2)),
    "the first power": graph([("Pow", "x n", "p", {}), ("Relu", "p", "y", {})], (5,), {"n": number(1)}),
    "the third power": one("Pow", "x n", (5,), {"n": number([3])}),
    "the fourth power": one("Pow", "x n", (5,), {"n": ints(4)}),
    "a logarithm of a Softmax": graph([("Softmax", "x", "s", {}), ("Log", "s", "y", {})], (5,), {}),
    "a logarithm of a Softmax of channels": of_images(("Softmax", "h", "s", {"axis": 1}), ("Log", "s", "y", {})),
    "what is not an id": graph(
        [("Equal", "x c", "e", {}), ("Not", "e", "n", {}), ("Cast", "n", "y", {"to": 1})], (9,), {"c": ints(3)},
        dtype=onnx.TensorProto.INT64,
    ),
    "what is an id": graph(
        [("Equal", "x c", "e", {}), ("Cast", "e", "y", {"to": 1})], (9,), {"c": ints(0)}, dtype=onnx.TensorProto.INT64
    ),
    "Softplus, large from 16 on": graph(
        [("Softplus", "x", "s", {}), ("Greater", "x t", "l", {}), ("Where", "l x s", "y", {})], (5,), {"t": number(16)}
    ),
    "Swish": one("Swish", "x", (7,), opset=24, alpha=0.5),
    "Swish by default": one("Swish", "x", (7,), opset=24),
    "Gelu by tanh": one("Gelu", "x", (9,), opset=20, approximate="tanh"),
    "Resize, as large as may be": resized([2**16], axes=[2], shape=(1, 4)),
    "Resize of one pixel, as PyTorch does": resized(
        [1, 6], axes=[2, 3], shape=(2, 1, 4), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    ),
    "Resize, symmetric": resized(
        [8, 9], axes=[2, 3], mode="linear", coordinate_transformation_mode="half_pixel_symmetric"
    ),
    "Pad around": one("Pad", "x p", (3, 4), {"p": ints(0, 1, 0, 0, 2, 3)}, opset=19, mode="wrap"),
    "Pad of named axes": one("Pad", "x p  a", (3, 4), {"p": ints(1, 2, 3, 0), "a": ints(-1, 1)}, opset=18),
    "Pad of channels": of_images(("Pad", "h p", "q", {}), ("Conv", "q L", "y", {}), p=ints(0, 1, 0, 0, 0, 2, 0, 1),
        L=random(2, 7, 1, 1)),
    "no pads at all": graph([("Pad", "x p", "q", {}), ("Relu", "q", "y", {})], (3,), {"p": ints(0, 0, 0, 0)}),
    "Upsample, linear": one("Upsample", "x s", (2, 3, 4), {"s": number([1, 1, 2, 2])}, opset=9, mode="linear"),
}  # fmt: skip


@pytest.mark.parametrize("name", [*WINDOWS, *NODES])
def test_it_gives_what_the_standard_says(name, tmp_path):
    proto = WINDOWS.get(name) or NODES[name]
    model, x = loaded(proto, tmp_path), samples(proto)
    got, wanted = model.forward(laid(x, model.input_shape)), truth(proto, x)
    # Twice: both sides add up a product of many terms in float32, each in its own order.
    assert difference(got, laid(wanted, got.shape[1:])) <= 2 * TOLERANCE


def layers(proto, folder):
    return loaded(proto, folder).net.layers


def test_settings_that_count_in_training_alone(tmp_path):
    constants = {key: positive(3) for key in "gbmv"}
    (norm,) = layers(
        one("BatchNormalization", "x g b m v", (3,), constants, momentum=0.75, epsilon=0.125), tmp_path
    )
    assert (norm.momentum, norm.eps, norm.unbiased) == (0.25, 0.125, True)
    (norm,) = layers(one("BatchNormalization", "x g b m v", (3,), constants), tmp_path)
    assert norm.momentum == pytest.approx(0.1)
    assert [one_layer.rate for one_layer in layers(one("Dropout", "x", (3,), opset=7), tmp_path)] == [0.5]
    assert [
        one_layer.rate for one_layer in layers(one("Dropout", "x", (3,), opset=7, ratio=0.25), tmp_path)
    ] == [0.25]
    (drop,) = layers(one("Dropout", "x r t", (3,), {"r": number([0.125]), "t": np.array(False)}), tmp_path)
    assert drop.rate == 0.125


X = np.random.default_rng(4).standard_normal((3, 2, 6)).astype(np.float32)
PAST = np.zeros((3, 2, 2), np.float32)


def convolved(W, bias):
    """Each step of X (samples, channels, steps) from itself and the two before it."""
    padded = np.concatenate([PAST, X], axis=2)
    return np.stack([(padded[:, :, t : t + 3] * W[:, 0]).sum(2) for t in range(6)], axis=2) + bias[:, None]


@pytest.mark.parametrize(
    ("inputs", "activation"),
    [("x W", "none"), ("x W c", "silu"), ("x W  past", "swish"), ("x W c past", "none")],
)
def test_a_convolution_that_sees_the_past_alone(inputs, activation, tmp_path):
    W, c = random(2, 1, 3), random(2)
    given = {name: a for name, a in {"W": W, "c": c, "past": PAST[:1]}.items() if name in inputs.split()}
    proto = graph(
        [("CausalConvWithState", inputs, "y s", {"activation": activation})],
        (2, 6),
        given,
        outputs=("y", "s"),
    )
    wanted = convolved(W, c if "c" in given else np.zeros(2))
    wanted = wanted if activation == "none" else wanted / (1 + np.exp(-wanted))
    got, state = loaded(proto, tmp_path).forward(np.moveaxis(X, 1, 2))
    np.testing.assert_allclose(np.moveaxis(got, 2, 1), wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.moveaxis(state, 2, 1), X[:, :, -2:])


def causal(shape, outputs=("y", "s"), samples_="N", **constants):
    inputs = "x W" if "past" not in constants else "x W  past"
    return graph([("CausalConvWithState", inputs, " ".join(outputs), {})], shape, constants, outputs=outputs)


REFUSED = {
    "a state of no steps": (
        causal((2, 6), W=random(2, 1, 1)), "a state of more steps than the sequence has, or of none",
    ),
    "a state of more steps": (causal((2, 1), W=random(2, 1, 3)), "a state of more steps than the sequence has"),
    "a past that is no 0": (
        causal((2, 6), W=random(2, 1, 3), past=random(1, 2, 2)), "a past that is constant and not 0",
    ),
    "a kernel of several channels": (causal((2, 6), W=random(2, 2, 3)), r"a kernel of shape \(2, 2, 3\) for samples"),
    "a kernel of images": (causal((2, 6, 3), W=random(2, 1, 3)), r"a kernel of shape \(2, 1, 3\) for samples of shape"),
    "several exponents": (one("Pow", "x n", (3,), {"n": number([2, 2, 3])}), "Pow: several exponents"),
    "the fifth power": (one("Pow", "x n", (3,), {"n": number(5)}), "Pow: an exponent of 5: products make up 1, 2, 3"),
    "the power of 0": (one("Pow", "x n", (3,), {"n": number(0)}), "Pow: an exponent of 0"),
    "Softplus, large below 16": (
        graph(
            [("Softplus", "x", "s", {}), ("Greater", "x t", "l", {}), ("Where", "l x s", "y", {})], (5,),
            {"t": number(15.9)},
        ),
        "Where: one value where another says so, else a third",
    ),
    "another value where Softplus is large": (
        graph(
            [("Softplus", "x", "s", {}), ("Greater", "x t", "l", {}), ("Neg", "x", "n", {}),
             ("Where", "l n s", "y", {})],
            (5,), {"t": number(20)},
        ),
        "Where: one value where another says so, else a third",
    ),
    "Resize to more": (resized([2**16 + 1], axes=[2], shape=(1, 4)), "images enlarged to 65537 pixels"),
    "Resize of six axes": (resized([2], axes=[5], shape=(1, 1, 1, 1, 4)), "all but the channels are known"),
    "a product along the samples": (
        graph(
            [("Transpose", "x", "t", {"perm": [1, 0]}), ("MatMul", "t W", "y", {})], (4,), {"W": random(3, 2)},
            samples=3,
        ),
        "a product along the axis of the samples",
    ),
    "Gemm of images in opset 7": (
        one("Gemm", "x W", (3, 4, 5), {"W": random(60, 2)}, opset=7), r"Gemm: samples of shape \(3, 4, 5\)",
    ),
    "a turned product of samples whose axes are known": (
        graph([("Softmax", "x", "s", {}), ("Gemm", "s W", "y", {"transA": 1})], (4,), {"W": random(3, 2)}, samples=3),
        "Gemm: its input would have to change its layout",
    ),
    "a mask of dropout": (
        graph([("Dropout", "x", "y m", {})], (3,), {}, outputs=("y", "m")), "Dropout: its mask as an output",
    ),
    "values gated by others of another shape": (
        graph([("Slice", "x b e a", "h", {}), ("SwiGLU", "x h", "y", {})], (4,),
              {"b": ints(0), "e": ints(2), "a": ints(1)}),
        r"SwiGLU: values of the shapes \(4,\) and \(2,\)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


ONE_LAYER = {
    # (file, the layers that it becomes)
    "Clip to [0, 1.5e38]": (one("Clip", "x a b", (5,), {"a": number(0), "b": number(1.5e38)}), ["ReLU"]),
    "Clip to [-1, 1]": (one("Clip", "x a b", (5,), {"a": number(-1), "b": number(1)}), ["HardTanh"]),
    "Selu of constants rounded otherwise": (one("Selu", "x", (5,), alpha=1.6732640, gamma=1.0507011), ["SELU"]),
    "Selu of nearly its alpha": (one("Selu", "x", (5,), alpha=1.6732660), ["ELU", "Rescale"]),
    "Selu of nearly its gamma": (one("Selu", "x", (5,), gamma=1.0507027), ["ELU", "Rescale"]),
    "HardSigmoid of a sixth": (one("HardSigmoid", "x", (5,), alpha=1 / 6), ["HardSigmoid"]),
    "HardSigmoid of nearly a half": (
        one("HardSigmoid", "x", (5,), alpha=1 / 6, beta=0.5001), ["Rescale", "HardSigmoid"],
    ),
    "Swish by default": (NODES["Swish by default"], ["SiLU"]),
    "PRelu of a row": (one("PRelu", "x s", (3,), {"s": random(3)}), ["PReLU"]),
    "scales of channels": (NODES["scales of channels of images"], ["Conv2D", "Conv2D", "ReLU"]),
    "scales of columns": (one("Mul", "x c", (3, 4), {"c": random(4)}), ["Conv1D"]),
    "means of pairs of positions": (
        graph([("Transpose", "x", "t", {"perm": [0, 2, 1]}), ("MatMul", "t W", "u", {}),
               ("Transpose", "u", "y", {"perm": [0, 2, 1]})], (4, 3), {"W": PAIRS}),
        ["AdaptiveAvgPool"],
    ),
    "means of pairs of features": (NODES["means of pairs of features"], ["Dense"]),
    "a shape that changes nothing": (
        graph([("Reshape", "x s", "r", {}), ("Conv", "r K", "y", {})], (2, 4, 3),
              {"s": ints(0, 2, 4, 3), "K": random(3, 2, 1, 1)}),
        ["Conv2D"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_LAYER)
def test_layers_are_those_one_would_write(name, tmp_path):
    proto, wanted = ONE_LAYER[name]
    assert [type(layer).__name__ for layer in layers(proto, tmp_path)] == wanted


def test_running_statistics_may_be_outputs(tmp_path):
    """They are parameters here: the network ends in the normalized values alone."""
    node = ("BatchNormalization", "x g b m v", "y m2 v2", {"training_mode": 1})
    proto = graph([node], (3,), {key: positive(3) for key in "gbmv"}, outputs=("y", "m2", "v2"))
    with pytest.warns(UserWarning, match="takes the statistics of the batch while training alone"):
        (norm,) = layers(proto, tmp_path)
    assert not norm.unbiased


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_a_value_gated_by_another(alpha, tmp_path):
    given = {} if alpha is None else {"alpha": alpha}
    proto = graph([("Tanh", "x", "t", {}), ("SwiGLU", "x t", "y", given)], (5,), {})
    x = samples(proto)
    wanted = x / (1 + np.exp(-(alpha or 1.0) * x)) * np.tanh(x)
    np.testing.assert_allclose(loaded(proto, tmp_path).forward(x), wanted, rtol=1e-5, atol=1e-6)


def test_a_gemm_without_an_axis_of_samples(tmp_path):
    proto = one("Gemm", "x W b", (4,), {"W": random(4, 2), "b": random(2)})
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    model, x = loaded(proto, tmp_path, batched=False), random(3, 4)
    assert model.input_shape == (3, 4)
    assert (
        difference(model.forward(x[None])[0], session(proto.SerializeToString()).run(None, {"x": x})[0])
        <= TOLERANCE
    )
    proto.graph.node[0].attribute.append(onnx.helper.make_attribute("transA", 1))
    with pytest.raises(CheckpointError, match="Gemm: transA, of one sample"):
        loaded(proto, tmp_path, batched=False)
    proto = one("Gemm", "x W", (4, 2), {"W": random(2, 2)})
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    with pytest.raises(CheckpointError, match=r"Gemm: samples of shape \(3, 4, 2\)"):
        loaded(proto, tmp_path, batched=False)
