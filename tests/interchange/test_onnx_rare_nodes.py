"""Settings of nodes that exporters seldom write: read with onnxruntime's values, or refused with the reason."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, one, positive, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, loaded  # noqa: E402

pytestmark = pytest.mark.oracle


def number(value):
    return np.array(value, np.float32)


def of_images(*nodes, shape=(3, 6, 5), **constants):
    """The nodes behind a convolution, so that the axes of x are those of images: h, of 4 channels."""
    first = ("Conv", "x K", "h", {"pads": [1, 1, 1, 1]})
    return graph([first, *nodes], shape, {"K": random(4, shape[0], 3, 3)} | constants)


def transposed(kind="output_shape", shape=(4, 5, 5), **attributes):
    given = {"output_shape": [10, 11]} if kind == "output_shape" else {}
    return one(
        "ConvTranspose", "x W", shape, {"W": random(4, 3, 3, 2)}, strides=[2, 2], **given, **attributes
    )


def resized(sizes, shape=(2, 4, 6), **attributes):
    constants = {"e": np.zeros(0, np.float32), "z": ints(*sizes)}
    return one("Resize", "x e e z", shape, constants, opset=18, **attributes)


def flat(*nodes, **constants):
    """The nodes behind a convolution whose images are flattened to f, of 4 x 2 x 3 numbers, and a Gemm behind y0."""
    first = [("Conv", "x K", "h", {}), ("Flatten", "h", "f", {})]
    return graph(
        [*first, *nodes, ("Gemm", "y0 W", "y", {})], (3, 4, 5), {"K": random(4, 3, 3, 3)} | constants
    )


NORM = {"g": positive(24), "b": random(24), "m": random(24), "v": positive(24)}
READ = {
    "ConvTranspose, the size of the result": transposed(),
    "ConvTranspose, the size of the result, more behind": transposed(auto_pad="SAME_UPPER"),
    "ConvTranspose, more in front": transposed(auto_pad="SAME_LOWER"),
    "ConvTranspose, SAME without a size": transposed("", auto_pad="SAME_UPPER"),
    "HardSigmoid by default": one("HardSigmoid", "x", (7,)),
    "HardSigmoid, its slope": one("HardSigmoid", "x", (7,), alpha=0.3),
    "HardSigmoid, its height": one("HardSigmoid", "x", (7,), beta=0.3),
    "HardSigmoid of this library": one("HardSigmoid", "x", (7,), alpha=1 / 6, beta=0.5),
    "LeakyRelu by default": one("LeakyRelu", "x", (7,)), "LeakyRelu": one("LeakyRelu", "x", (7,), alpha=0.3),
    "Elu by default": one("Elu", "x", (7,)), "Elu": one("Elu", "x", (7,), alpha=0.3),
    "Selu by default": one("Selu", "x", (7,)), "Selu, alpha": one("Selu", "x", (7,), alpha=1.2),
    "Selu, gamma": one("Selu", "x", (7,), gamma=1.3), "Celu": one("Celu", "x", (7,), alpha=0.3),
    "Celu by default": one("Celu", "x", (7,)),
    "ThresholdedRelu by default": one("ThresholdedRelu", "x", (7,)),
    "ThresholdedRelu": one("ThresholdedRelu", "x", (7,), alpha=0.3),
    "Shrink": one("Shrink", "x", (7,), lambd=0.3), "Shrink, its bias": one("Shrink", "x", (7,), lambd=0.3, bias=0.1),
    "Clip from below": one("Clip", "x a", (9,), {"a": number(-0.2)}),
    "Clip from above": one("Clip", "x  a", (9,), {"a": number(0.2)}),
    "Clip by nothing": one("Clip", "x", (9,)),
    "Clip to [0, 6]": one("Clip", "x a b", (9,), {"a": number(0), "b": number(6)}),
    "Clip to [-1, 1]": one("Clip", "x a b", (9,), {"a": number(-1), "b": number(1)}),
    "Clip, crossed": one("Clip", "x a b", (9,), {"a": number(0.5), "b": number(-0.5)}),
    "Clip by the largest numbers": one("Clip", "x a b", (9,), {"a": number(0), "b": number(3.4e38)}),
    "PRelu, a slope for each number": one("PRelu", "x s", (3, 4), {"s": random(3, 4)}),
    "PRelu, of each channel": one("PRelu", "x s", (3, 4, 5), {"s": random(3, 1, 1)}),
    "PRelu, of each column": one("PRelu", "x s", (3, 4, 5), {"s": random(5)}),
    "PRelu, of all": one("PRelu", "x s", (3, 4), {"s": random(1)}),
    "PRelu of flattened images": flat(("PRelu", "f s", "y0", {}), s=random(24), W=random(24, 2)),
    "BatchNormalization of flattened images": flat(
        ("BatchNormalization", "f g b m v", "y0", {}), **NORM, W=random(24, 2)
    ),
    "BatchNormalization, epsilon": one(
        "BatchNormalization", "x g b m v", (3, 4), {key: a[:3] for key, a in NORM.items()}, epsilon=0.1
    ),
    "flattened images side by side": flat(("Concat", "f f", "y0", {"axis": 1}), W=random(48, 2)),
    "flattened images beside others": flat(
        ("Flatten", "x", "e", {}), ("Concat", "f e", "y0", {"axis": 1}), W=random(84, 2)
    ),
    "flattened images scaled": flat(("Mul", "f s", "y0", {}), s=random(24), W=random(24, 2)),
    "flattened images shifted": flat(("Sub", "f s", "y0", {}), s=random(24), W=random(24, 2)),
    "a product with a vector": one("MatMul", "x w", (4, 3), {"w": random(3)}),
    "a product with a vector, of features": one("MatMul", "x w", (3,), {"w": random(3)}),
    "Gemm, alpha": one("Gemm", "x W c", (4,), {"W": random(4, 3), "c": random(3)}, alpha=0.5),
    "Gemm, beta": one("Gemm", "x W c", (4,), {"W": random(4, 3), "c": random(3)}, beta=0.5),
    "Gemm, turned": one("Gemm", "x W c", (4,), {"W": random(3, 4), "c": random(3)}, transB=1),
    "Gemm, one number": one("Gemm", "x W c", (4,), {"W": random(4, 3), "c": random(1)}),
    "Gemm, of a row": one("Gemm", "x W c", (4,), {"W": random(4, 3), "c": random(1, 3)}),
    "a mean with a number": one("Mean", "x c", (4,), {"c": random(1)}),
    "a mean with an array": one("Mean", "x c", (4,), {"c": random(4)}),
    "one more axis in front": graph(
        [("Add", "x c", "a", {}), ("Squeeze", "a zero", "y", {})], (4,), {"c": random(1, 1, 4), "zero": ints(0)}
    ),
    "a number less a value": one("Sub", "c x", (4,), {"c": random(1)}),
    "an array less a value": one("Sub", "c x", (4,), {"c": random(4)}),
    "a value less a number": one("Sub", "x c", (4,), {"c": random(1)}),
    "a value over an array": one("Div", "x c", (4,), {"c": positive(4)}),
    "a sum of one": one("Sum", "x", (4,)), "a sum of three": one("Sum", "x x x", (4,)),
    "a mean of two": graph([("Tanh", "x", "t", {}), ("Mean", "x t", "y", {})], (4,), {}),
    "a row beside the channels": of_images(("Add", "h c", "y", {}), c=random(4, 1, 5)),
    "values that broadcast": of_images(("GlobalAveragePool", "h", "g", {}), ("Sub", "h g", "y", {})),
    "Softmax of channels": of_images(("Softmax", "h", "y", {"axis": 1})),
    "Softmax of rows": of_images(("Softmax", "h", "s", {"axis": 2}), ("Conv", "s L", "y", {}), L=random(2, 4, 1, 1)),
    "Softmax over all, before opset 13": graph([("Softmax", "x", "y", {})], (3, 4), {}, opset=12),
    "LogSoftmax of the last": one("LogSoftmax", "x", (3, 4)),
    "Squeeze of whatever is 1": one("Squeeze", "x", (1, 4, 1)), "Squeeze": one("Squeeze", "x a", (1, 4, 1),
        {"a": ints(-1)}),
    "Unsqueeze": one("Unsqueeze", "x a", (3, 4), {"a": ints(1, -1)}),
    "Flatten by a negative axis": one("Flatten", "x", (3, 4), axis=-2),
    "Transpose without perm, there and back": graph(
        [("Transpose", "x", "t", {"perm": [0, 2, 1]}), ("Relu", "t", "r", {}), ("Transpose", "r", "y", {"perm": [0,
            2, 1]})],
        (3, 4), {},
    ),
    "a reduction of no axes": one("ReduceSum", "x", (3, 4), noop_with_empty_axes=1),
    "ReduceMax of channels": of_images(("ReduceMax", "h", "y", {"axes": [1], "keepdims": 0})),
    "ReduceMean of positions": of_images(("ReduceMean", "h", "y", {"axes": [2, 3], "keepdims": 0})),
    "ReduceMean of rows": of_images(("ReduceMean", "h", "y", {"axes": [-1]})),
    "ReduceMin, the axis left out": one("ReduceMin", "x", (3, 4), axes=[2], keepdims=0),
    "Split without sizes": graph([("Split", "x", "a b", {"axis": 1}), ("Concat", "b a", "y", {"axis": 1})], (4, 3),
        {}),
    "Slice of everything": one("Slice", "x b e a", (4,), {"b": ints(0), "e": ints(9), "a": ints(1)}),
    "Slice without axes": one("Slice", "x b e", (4, 5), {"b": ints(0, 1, -4), "e": ints(2**62, 3, -1)}),
    "Gather along the last axis of a table": graph(
        [("Gather", "t x", "g", {"axis": 1}), ("Transpose", "g", "y", {"perm": [1, 0, 2]})], (5,), {"t": random(3,
            7)},
        dtype=onnx.TensorProto.INT64,
    ),
    "Gather of rows of two axes": graph(
        [("Gather", "t x", "y", {})], (5,), {"t": random(7, 2, 3)}, dtype=onnx.TensorProto.INT64
    ),
    "Concat of columns": one("Concat", "x x", (3, 4), axis=2),
    "Resize, no larger": resized([8, 9], axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
    "Resize, no smaller": resized([8, 9], axes=[2, 3], keep_aspect_ratio_policy="not_smaller"),
    "Resize, linear": resized([8, 9], axes=[2, 3], mode="linear"),
    "Resize, corners": resized([8, 9], axes=[2, 3], mode="linear", coordinate_transformation_mode="align_corners"),
    "Resize, from the corner": resized([8, 9], axes=[2, 3], mode="linear",
        coordinate_transformation_mode="asymmetric"),
    "Resize, half up": resized([8, 9], axes=[2, 3], nearest_mode="round_prefer_ceil"),
    "Resize, down": resized([8, 9], axes=[2, 3], nearest_mode="floor"),
    "Resize, up": resized([8, 9], axes=[2, 3], nearest_mode="ceil"),
    "a tanh, half of it and a half": graph(
        [("Tanh", "x", "t", {}), ("Add", "t one", "s", {}), ("Mul", "s half", "y", {})], (5,),
        {"one": number(1), "half": number(0.5)},
    ),
    "what is not above a number": graph(
        [("Greater", "x t", "g", {}), ("Not", "g", "n", {}), ("Cast", "n", "y", {"to": 1})], (9,), {"t": number(0.1)}
    ),
    "LRN": one("LRN", "x", (5, 3, 3), size=3, alpha=0.1, beta=0.5, bias=2.0),
    "LpNormalization by default": one("LpNormalization", "x", (3, 4)),
    "LpNormalization of channels": of_images(("LpNormalization", "h", "y", {"axis": 1, "p": 1})),
    "InstanceNormalization": one("InstanceNormalization", "x g b", (3, 4, 5), {"g": positive(3), "b": random(3)},
        epsilon=0.1),
    "LayerNormalization": one("LayerNormalization", "x g b", (3, 4), {"g": positive(4), "b": random(4)}, epsilon=0.1),
    "LayerNormalization without a bias": one("LayerNormalization", "x g", (3, 4), {"g": positive(4)}),
    "MaxPool, ceiling": one("MaxPool", "x", (2, 6, 5), kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
    "MaxPool, dilated": one("MaxPool", "x", (2, 6, 7), kernel_shape=[2, 3], dilations=[2, 3]),
    "AveragePool, pads counted": one(
        "AveragePool", "x", (2, 6, 5), kernel_shape=[3, 3], pads=[1, 0, 1, 2], count_include_pad=1
    ),
    "AveragePool, pads left out": one("AveragePool", "x", (2, 6, 5), kernel_shape=[3, 3], pads=[1, 0, 1, 2]),
    "Conv, more in front": one("Conv", "x W", (2, 6, 5), {"W": random(3, 2, 2, 2)}, auto_pad="SAME_LOWER"),
    "Conv, more behind": one("Conv", "x W", (2, 6, 5), {"W": random(3, 2, 2, 2)}, auto_pad="SAME_UPPER"),
    "Conv, dilated in groups": one(
        "Conv", "x W b", (4, 6, 7), {"W": random(6, 2, 2, 2), "b": random(6)}, group=2, dilations=[2, 3], strides=[1,
            2]
    ),
    "DepthToSpace": one("DepthToSpace", "x", (8, 3, 2), blocksize=2),
    "DepthToSpace, columns first": one("DepthToSpace", "x", (8, 3, 2), blocksize=2, mode="CRD"),
    "SpaceToDepth": one("SpaceToDepth", "x", (2, 4, 6), blocksize=2),
    "Pad": one("Pad", "x p v", (3, 4), {"p": ints(0, 1, 0, 0, 0, 2), "v": number(0.5)}),
    "Pad by reflection": one("Pad", "x p", (3, 4), {"p": ints(0, 1, 0, 0, 2, 2)}, mode="reflect"),
    "Pad by the edge": one("Pad", "x p", (3, 4), {"p": ints(0, 1, 0, 0, 2, 2)}, mode="edge"),
    "Dropout that drops in training": one("Dropout", "x r", (4,), {"r": number(0.25)}),
    "MeanVarianceNormalization": one("MeanVarianceNormalization", "x", (3, 4, 5), axes=[2, 3]),
    "Hardmax of rows": one("Hardmax", "x", (3, 4)), "Softsign": one("Softsign", "x", (4,)),
    "Mish": one("Mish", "x", (4,), opset=18), "HardSwish": one("HardSwish", "x", (7,)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_gives_what_onnxruntime_gives(name, tmp_path):
    assert compare(READ[name], tmp_path) <= TOLERANCE


BATCHED = ("g", "b", "m", "v")
REFUSED = {
    "Softmax over two of three axes": (
        graph([("Softmax", "x", "y", {"axis": 2})], (3, 4, 5), {}, opset=12),
            "over all axes from 2 on, as before opset 13",
    ),
    "Softmax of samples": (one("Softmax", "x", (3,), axis=0), "axis 0 is that of the samples"),
    "PRelu of two axes": (one("PRelu", "x s", (3, 4, 5), {"s": random(3, 4, 1)}), "one axis may have numbers"),
    "PRelu of other channels": (one("PRelu", "x s", (3, 4), {"s": random(3)}), "a constant of shape"),
    "Flatten of samples": (one("Flatten", "x", (3, 4), axis=2), "axis 2, which moves the axis of the samples"),
    "Squeeze of more than 1": (one("Squeeze", "x a", (3, 4), {"a": ints(1)}), r"the axes \[1\] of"),
    "Squeeze of samples": (one("Squeeze", "x a", (1, 4), {"a": ints(0)}), r"the axes \[0\] of"),
    "values that do not broadcast": (
        graph([("Transpose", "x", "t", {"perm": [0, 2, 1]}), ("Add", "x t", "y", {})], (3, 4), {}),
        r"Add of the shapes \[\(3, 4\), \(4, 3\)\], which broadcasts",
    ),
    "Concat of samples": (one("Concat", "x x", (3,), axis=0), "axis 0 is that of the samples"),
    "Concat of other shapes": (
        graph([("Transpose", "x", "t", {"perm": [0, 2, 1]}), ("Concat", "x t", "y", {"axis": 1})], (3, 4), {}),
        r"values of the shapes \[\(3, 4\), \(4, 3\)\]",
    ),
    "Split into other sizes": (
        graph([("Split", "x s", "a b", {"axis": 1}), ("Add", "a b", "y", {})], (4, 3), {"s": ints(2, 1)}),
        r"an axis of 4 cut into \[2, 1\]",
    ),
    "Split of samples": (graph([("Split", "x", "y z", {"axis": 0})], (4, 3), {}), "axis 0 is that of the samples"),
    "LpNormalization of samples": (one("LpNormalization", "x", (4,), axis=0), "axis 0 is that of the samples"),
    "a constant of other columns": (one("Add", "x c", (3, 4), {"c": random(3, 3)}),
        r"a constant of shape \(3, 3\) beside"),
    "a constant for each sample": (one("Add", "x c", (3, 4), {"c": random(2, 3, 4)}),
        r"a constant of shape \(2, 3, 4\)"),
    "a constant before samples": (
        one("Concat", "c x", (3,), {"c": random(1, 3)}, axis=0), "axis 0 is that of the samples",
    ),
    "a constant of other width beside samples": (
        one("Concat", "c x", (3, 4), {"c": random(1, 1, 5)}, axis=1), r"a constant of shape \(1, 1, 5\) beside",
    ),
    "MaxPool with places": (
        graph([("MaxPool", "x", "y i", {"kernel_shape": [2, 2]})], (2, 4, 4), {}), "the places of the largest",
    ),
    "Resize of channels": (resized([1, 3, 8, 9]), "all but the channels are known"),
    "Resize to no whole size": (
        one("Resize", "x e s", (2, 4, 6), {"e": np.zeros(0, np.float32), "s": number([1, 1, 1.3, 1])}),
            "no whole sizes",
    ),
    "statistics taken by another node": (
        graph(
            [("BatchNormalization", "x g b m v", "h a c", {"training_mode": 1}), ("Add", "h a", "y", {})], (3, 4),
            {key: NORM[key][:3] for key in BATCHED},
        ),
        "running statistics are taken by another node",
    ),
    "scores of other axes": (one("ReduceMean", "x", (2, 3, 4), axes=[0, 3]), "over the axis of the samples"),
    "a shape of two open sizes": (one("Reshape", "x s", (4,), {"s": ints(-1, -1)}), r"a shape of \[-1, -1\]"),
    "a shape of 0 beyond": (one("Reshape", "x s", (4,), {"s": ints(0, 4, 0)}), "a shape of"),
    "outputs of no input": (
        graph([("Identity", "c", "y", {})], (4,), {"c": random(1, 4)}), "the output 'y' depends on no input",
    ),
    "a kernel of another rank": (one("ConvTranspose", "x W", (4, 5), {"W": random(4, 3, 3, 3)}), "a kernel of shape"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


@pytest.mark.parametrize("to", [1, 10, 11, 16])
def test_a_cast_between_floats_is_none_here(to, tmp_path):
    proto = graph(
        [("Relu", "x", "a", {}), ("Cast", "a", "c", {"to": to}), ("Cast", "c", "y", {"to": 1})], (4,), {}
    )
    assert [type(layer).__name__ for layer in loaded(proto, tmp_path).net.layers] == ["ReLU"]


@pytest.mark.parametrize("to", [6, 7])
def test_a_cast_to_whole_numbers_is_one_of_what_comes_in(to, tmp_path):
    proto = graph([("Cast", "x", "i", {"to": to}), ("Gather", "t i", "y", {})], (4,), {"t": random(5, 3)})
    assert [type(layer).__name__ for layer in loaded(proto, tmp_path).net.layers] == ["Embedding"]
