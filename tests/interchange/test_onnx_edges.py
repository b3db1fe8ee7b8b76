"""Nodes at the edges of what is read: axes of the samples elsewhere, constants of every shape, old versions of them."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, one, positive, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, difference, laid, loaded, samples  # noqa: E402
from test_onnx_rare_nodes import flat, of_images, resized  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402

pytestmark = pytest.mark.oracle
TO_TIME = ("Transpose", "x", "t", {"perm": [1, 0, 2]})
BACK = ("Transpose", "r", "y", {"perm": [1, 0, 2]})


def turned(*nodes, shape=(3, 4), **constants):
    """Nodes from t, the sequence with its steps before the samples, to r."""
    return graph([TO_TIME, *nodes, BACK], shape, constants)


def behind_dense(*nodes, units=3, shape=(4,), **constants):
    """Nodes behind p, a product with a matrix."""
    return graph([("MatMul", "x W", "p", {}), *nodes], shape, {"W": random(shape[-1], units)} | constants)


def beside(inputs, shape=(3, 4), *, axis, **constants):
    """Constants, repeated for each of three samples, on both sides of x, of -x, or of the result h of a convolution."""
    nodes = [("Neg", "x", "n", {})]
    if len(shape) == 3:
        nodes.append(("Conv", "x K", "h", {}))
    given = {name: np.repeat(a, 3, 0) for name, a in constants.items()} | {"K": random(4, shape[0], 1, 1)}
    return graph(
        [*nodes, ("Concat", inputs, "j", {"axis": axis}), ("Relu", "j", "y", {})], shape, given, samples=3
    )


SEQUENCE = [("Conv", "x K", "h", {"pads": [1, 1]}), ("LayerNormalization", "x g", "n", {})]
"""h with its channels last here, n with its axes as they are."""


def two_layouts(*nodes):
    return graph([*SEQUENCE, *nodes], (3, 4), {"K": random(3, 3, 3), "g": positive(4)})


READ = {
    "Transpose without perm": graph(
        [("Transpose", "x", "t", {}), ("Relu", "t", "r", {}), ("Transpose", "r", "y", {})], (3, 4), {}
    ),
    "Squeeze before the samples": graph(
        [("Transpose", "x", "t", {"perm": [1, 0, 2]}), ("Squeeze", "t zero", "s", {}), ("Relu", "s", "y", {})],
        (1, 4), {"zero": ints(0)},
    ),
    "Squeeze behind the samples": graph(
        [("Transpose", "x", "t", {"perm": [2, 0, 1]}), ("Squeeze", "t two", "s", {}),
         ("Transpose", "s", "y", {"perm": [1, 0]})],
        (1, 4), {"two": ints(2)},
    ),
    "Squeeze of whatever is 1, samples second": turned(
        ("Unsqueeze", "t at", "u", {}), ("Squeeze", "u", "r", {}), at=ints(0, 3),
    ),
    "Unsqueeze before and behind the samples": turned(
        ("Unsqueeze", "t at", "u", {}), ("Relu", "u", "v", {}), ("Squeeze", "v at", "r", {}), at=ints(1, 3),
    ),
    "Unsqueeze in front": graph(
        [("Unsqueeze", "x at", "u", {}), ("Relu", "u", "v", {}), ("Squeeze", "v at", "y", {})], (3, 4), {"at": ints(0)}
    ),
    "Reshape, kept": graph([("Reshape", "x s", "r", {}), ("Softmax", "r", "y", {})], (3, 4), {"s": ints(0, 2, 6)}),
    "a number beside steps first": turned(("Add", "t c", "r", {}), c=random(4)),
    "an array beside steps first": turned(("Mul", "t c", "r", {}), c=random(3, 1, 4)),
    "numbers of steps beside steps first": turned(("Sub", "c t", "r", {}), c=random(3, 1, 1)),
    "an array of one more axis": graph(
        [("Mul", "x c", "m", {}), ("Squeeze", "m at", "y", {})], (4,), {"c": random(1, 1, 1, 4), "at": ints(0, 1)}
    ),
    "an array of one more axis beside steps first": turned(
        ("Add", "t c", "m", {}), ("Squeeze", "m at", "r", {}), c=random(1, 3, 1, 4), at=ints(0),
    ),
    "two layouts": two_layouts(("Add", "h n", "s", {}), ("Relu", "s", "y", {})),
    "two layouts, the other way round": two_layouts(("Sub", "n h", "s", {}), ("Relu", "s", "y", {})),
    "two layouts side by side": two_layouts(("Concat", "n h", "y", {"axis": 1})),
    "a sum of one": graph([("Sum", "x", "s", {}), ("Relu", "s", "y", {})], (4,), {}),
    "an array for each position": one("Add", "x c", (3, 4), {"c": random(3, 4)}),
    "an array for each position, first": one("Add", "c x", (3, 4), {"c": random(3, 4)}),
    "less an array for each position": one("Sub", "x c", (3, 4), {"c": random(3, 4)}),
    "an array for each position of images": of_images(("Add", "h c", "y", {}), c=random(4, 6, 5)),
    "an array for each position of channels": graph(
        [("Conv", "x K", "h", {"pads": [1, 1]}), ("Add", "h c", "s", {}), ("Conv", "s K", "y", {})], (3, 4),
        {"K": random(3, 3, 3), "c": random(3, 4)},
    ),
    "scales of two axes": one("Mul", "x c", (3, 4, 2), {"c": random(3, 4, 1)}),
    "over numbers of two axes": one("Div", "x c", (3, 4, 2), {"c": positive(3, 1, 2)}),
    "a mean with numbers of two axes": one("Mean", "x c", (3, 4, 2), {"c": random(3, 1, 2)}),
    "scales of rows of images": of_images(("Mul", "h c", "y", {}), c=random(1, 6, 1)),
    "shifts of columns of images": of_images(("Add", "h c", "y", {}), c=random(5)),
    "scales of five axes": one("Mul", "x c", (2, 3, 4, 5), {"c": random(5)}),
    "shifts of five axes": one("Sub", "x c", (2, 3, 4, 5), {"c": random(5)}),
    "a constant repeated for each sample": graph(
        [("Add", "x c", "y", {})], (4,), {"c": np.repeat(random(1, 4), 3, 0)}, samples=3
    ),
    "a product and one number": behind_dense(("Add", "p c", "y", {}), c=random(1)),
    "a product of one unit and its bias": behind_dense(("Add", "p c", "y", {}), units=1, c=random(1)),
    "a product and scales": behind_dense(("Mul", "p c", "y", {}), c=random(3)),
    "a product less numbers": behind_dense(("Sub", "p c", "y", {}), c=random(3)),
    "numbers less a product": behind_dense(("Sub", "c p", "y", {}), c=random(3)),
    "a product and two biases": behind_dense(
        ("Add", "p c", "q", {}), ("Add", "d q", "y", {}), c=random(3), d=random(3)
    ),
    "a product and a shift of steps": behind_dense(("Add", "p c", "y", {}), shape=(3, 4), units=3, c=random(3, 1)),
    "the smaller": graph([("Tanh", "x", "t", {}), ("Min", "t x", "y", {})], (7,), {}),
    "the smallest of three": graph(
        [("Tanh", "x", "t", {}), ("Neg", "x", "n", {}), ("Min", "t x n", "y", {})], (7,), {}
    ),
    "the largest of three": graph(
        [("Tanh", "x", "t", {}), ("Neg", "x", "n", {}), ("Max", "t x n", "y", {})], (7,), {}
    ),
    "the larger of flattened images": flat(("Tanh", "f", "t", {}), ("Max", "t f", "y0", {}), W=random(24, 2)),
    "constants before": beside("c x", axis=1, c=random(1, 2, 4)),
    "constants behind": beside("x c", axis=2, c=random(1, 3, 1)),
    "constants on both sides": beside("c d x n c", axis=-1, c=random(1, 3, 1), d=random(1, 3, 2)),
    "constants beside values that go on": graph(
        [("Neg", "x", "n", {}), ("Concat", "c x n", "j", {"axis": 1}), ("Concat", "j x", "y", {"axis": 1})], (3, 4),
        {"c": np.repeat(random(1, 2, 4), 3, 0)}, samples=3,
    ),
    "a row of images beside a product": flat(
        ("MatMul", "f M", "d", {}), ("Concat", "d f", "y0", {"axis": 1}), M=random(24, 3), W=random(27, 2)
    ),
    "a constant that is 0": beside("x c", axis=1, c=np.zeros((1, 2, 4), np.float32)),
    "constants beside images": beside("c h d", axis=1, shape=(3, 4, 5), c=random(1, 2, 4, 5), d=random(1, 1, 4, 5)),
    "one place of steps first": graph(
        [TO_TIME, ("Gather", "t i", "y", {"axis": 0})], (3, 4), {"i": np.array(1)}
    ),
    "one place of features, steps first": graph(
        [TO_TIME, ("Gather", "t i", "g", {"axis": 2}), ("Transpose", "g", "y", {"perm": [1, 0]})], (3, 4),
        {"i": np.array(-2)},
    ),
    "places backwards": one("Gather", "x i", (5, 4), {"i": ints(3, 2, 1, 0)}, axis=1),
    "places three apart, backwards": one("Gather", "x i", (5, 4), {"i": ints(-1, 1)}, axis=1),
    "places backwards but for the first": one("Gather", "x i", (5, 4), {"i": ints(4, 3, 2, 1)}, axis=1),
    "the first place, from behind": one("Gather", "x i", (5, 4), {"i": np.array(-5)}, axis=1),
    "every place": graph([("Gather", "x i", "g", {"axis": 1}), ("Relu", "g", "y", {})], (3, 4), {"i": ints(0, 1, 2)}),
    "one place, its axis kept": one("Gather", "x i", (5, 4), {"i": ints(4)}, axis=1),
    "an axis of one place": one("Gather", "x i", (1, 4), {"i": np.array(0)}, axis=1),
    "Slice of two axes backwards": one(
        "Slice", "x b e a s", (5, 4), {"b": ints(-1, 2), "e": ints(-6, -9), "a": ints(-2, -1), "s": ints(-2, -1)}
    ),
    "Slice in steps beyond the end": one(
        "Slice", "x b e a s", (5, 4), {"b": ints(1), "e": ints(5), "a": ints(1), "s": ints(3)}
    ),
    "Split uneven": graph(
        [("Split", "x", "a b c", {"axis": 1, "num_outputs": 3}), ("ReduceSum", "c one", "d", {}),
         ("Mul", "a d", "y", {})],
        (5, 4), {"one": ints(1)}, opset=18,
    ),
    "Split by sizes": graph(
        [("Split", "x s", "a b", {"axis": -1}), ("ReduceMax", "a", "m", {"axes": [-1]}), ("Mul", "b m", "y", {})],
        (3, 5), {"s": ints(2, 3)},
    ),
    "a sum over steps that come first": graph(
        [TO_TIME, ("ReduceSum", "t at", "r", {"keepdims": 0}), ("Relu", "r", "y", {})], (3, 4), {"at": ints(0)}
    ),
    "a largest over features, steps first": turned(("ReduceMax", "t", "r", {"axes": [2]})),
    "the smallest of two axes": one("ReduceMin", "x", (3, 4, 5), axes=[1, -1], keepdims=0),
    "the largest over all but samples": one("ReduceMax", "x", (3, 4, 5), axes=[1, 2, 3], keepdims=0),
    "a mean over rows of images": of_images(
        ("ReduceMean", "h", "m", {"axes": [2], "keepdims": 0}), ("Relu", "m", "y", {})
    ),
    "a mean over positions, dropped": of_images(
        ("ReduceMean", "h", "m", {"axes": [2, 3], "keepdims": 0}), ("Relu", "m", "y", {})
    ),
    "a largest over positions, dropped": of_images(
        ("ReduceMax", "h", "m", {"axes": [2, 3], "keepdims": 0}), ("Relu", "m", "y", {})
    ),
    "a mean over steps": one("ReduceMean", "x", (3, 4), axes=[1], keepdims=0),
    "a largest over steps, kept": one("ReduceMax", "x", (3, 4), axes=[1]),
    "a mean over images without convolutions": one("ReduceMean", "x", (3, 4, 5), axes=[-1, -2], keepdims=0),
    "a mean over channels first axes": one("ReduceMean", "x", (3, 4, 5), axes=[1, 2], keepdims=0),
    "LpNormalization of steps first": turned(("LpNormalization", "t", "r", {"axis": 0, "p": 1})),
    "Hardmax of channels": of_images(("Hardmax", "h", "y", {"axis": 1})),
    "a largest of pieces": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0}), units=6, s=ints(0, 3, 2),
    ),
    "a largest of pieces, kept": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [-1]}), units=6, s=ints(0, 3, 2),
    ),
    "a largest of pieces of the other axis": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [1], "keepdims": 0}), units=6, s=ints(0, 3, 2),
    ),
    "a largest of pieces with a bias": behind_dense(
        ("Add", "p b", "pb", {}), ("Reshape", "pb s", "q", {}), ("ReduceMax", "q", "y", {"axes": [2], "keepdims": 0}),
        units=6, s=ints(0, 3, 2), b=random(6),
    ),
    "a largest of pieces of each step": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0}), units=6, shape=(5, 4),
        s=ints(0, 5, 3, 2),
    ),
    "a largest of pieces of each step, of the other axis": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [2], "keepdims": 0}), units=6, shape=(5, 4),
        s=ints(0, 5, 3, 2),
    ),
    "a largest of pieces of steps that were cut": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0}), units=6, shape=(4, 4),
        s=ints(0, 2, 2, 3, 2),
    ),
    "a largest of pieces of two units": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0}), units=6, shape=(4, 4),
        s=ints(0, 4, 2, 3),
    ),
    "a largest of pieces of no product": graph(
        [("Tanh", "x", "t", {}), ("Reshape", "t s", "q", {}), ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0})],
        (6,), {"s": ints(0, 3, 2)},
    ),
    "a largest of a product": behind_dense(("ReduceMax", "p", "y", {"axes": [-1], "keepdims": 0}), shape=(5, 4)),
    "a largest of pieces of a name": graph(
        [("Relu", "x", "re", {}), ("MatMul", "re W", "p", {}), ("Reshape", "p s", "q", {}),
         ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0})],
        (4,), {"W": random(4, 6), "s": ints(0, 3, 2)},
    ),
    "a largest of pieces of flattened images": graph(
        [("Conv", "x K", "h", {}), ("Flatten", "h", "f", {}), ("MatMul", "f W", "p", {}), ("Reshape", "p s", "q", {}),
         ("ReduceMax", "q", "y", {"axes": [-1], "keepdims": 0})],
        (2, 3, 4), {"K": random(3, 2, 1, 1), "W": random(36, 6), "s": ints(0, 3, 2)},
    ),
    "a smallest of pieces": behind_dense(
        ("Reshape", "p s", "q", {}), ("ReduceMin", "q", "y", {"axes": [-1], "keepdims": 0}), units=6, s=ints(0, 3, 2),
    ),
    "Resize, shrunk": resized([2, 3], axes=[2, 3], mode="linear"),
    "Resize of a sequence": resized([9], axes=[2], shape=(2, 6), mode="linear"),
    "Resize of volumes": resized([6, 4, 5], axes=[2, 3, 4], shape=(2, 3, 4, 5)),
    "Resize, one axis": resized([7], axes=[-1], mode="linear", coordinate_transformation_mode="align_corners"),
    "Resize to one pixel": resized([1, 1], axes=[2, 3], mode="linear", coordinate_transformation_mode="half_pixel"),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_gives_what_onnxruntime_gives(name, tmp_path):
    assert compare(READ[name], tmp_path) <= TOLERANCE


C1, C3, C34, SLOPE, KERNEL = random(1), random(3), random(3, 4), random(3), random(60, 2)
C324 = np.repeat(random(1, 2, 4), 3, 0)
OLD = {
    # versions that onnxruntime no longer runs: the file, and what its nodes are said to give
    "Add, along an axis": (
        one("Add", "x c", (3, 4, 5), {"c": C3}, opset=6, broadcast=1, axis=1), lambda x: x + C3[:, None, None],
    ),
    "Mul, along two axes": (
        one("Mul", "x c", (3, 4, 5), {"c": C34}, opset=6, broadcast=1, axis=1), lambda x: x * C34[:, :, None],
    ),
    "Sub of one number": (
        one("Sub", "x c", (3, 4, 5), {"c": C1}, opset=6, broadcast=1, axis=3), lambda x: x - C1,
    ),
    "Gemm of images": (
        one("Gemm", "x W", (3, 4, 5), {"W": KERNEL}, opset=6), lambda x: x.reshape(len(x), -1) @ KERNEL,
    ),
    "PRelu of channels": (
        one("PRelu", "x s", (3, 4, 5), {"s": SLOPE}, opset=6),
        lambda x: np.where(x > 0, x, SLOPE[:, None, None] * x),
    ),
    "Reshape by an attribute": (
        graph([("Reshape", "x", "r", {"shape": [0, 4, -1]}), ("Relu", "r", "y", {})], (2, 6), {}, opset=1),
        lambda x: np.maximum(x.reshape(-1, 4, 3), 0),
    ),
    "Concat on the first axis": (
        graph([("Neg", "x", "n", {}), ("Concat", "x n", "y", {})], (3, 4), {}, opset=3),
        lambda x: np.concatenate([x, -x], axis=1),
    ),
    "Concat of constants on the first axis": (
        graph([("Concat", "c x", "j", {}), ("Relu", "j", "y", {})], (3, 4), {"c": C324}, opset=3, samples=3),
        lambda x: np.maximum(np.concatenate([C324, x], axis=1), 0),
    ),
    "Upsample by an attribute": (
        one("Upsample", "x", (2, 3, 4), opset=7, scales=[1.0, 1.0, 2.0, 3.0]),
        lambda x: x.repeat(2, 2).repeat(3, 3),
    ),
    "Resize by its second input": (
        one("Resize", "x s", (2, 3, 4), {"s": np.array([1, 1, 3, 1], np.float32)}, opset=10), lambda x: x.repeat(3, 2),
    ),
    "Pad under its first name": (
        one("Pad", "x", (3, 4), opset=1, paddings=[0, 1, 0, 0, 0, 2], value=0.5),
        lambda x: np.pad(x, [(0, 0), (1, 0), (0, 2)], constant_values=0.5),
    ),
    "Clip by attributes": (one("Clip", "x", (9,), opset=6, min=-0.25, max=0.5), lambda x: np.clip(x, -0.25, 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", OLD)
def test_an_old_version_of_an_operation(name, tmp_path):
    proto, wanted = OLD[name]
    model, x = loaded(proto, tmp_path), samples(proto)
    got = model.forward(laid(x, model.input_shape))
    assert difference(got, laid(wanted(x), got.shape[1:])) <= TOLERANCE


SUMMED = [("ReduceSum", "x one", "s", {"keepdims": 0}), ("Add", "x s", "y", {})]
NO_ROW = ("MatMul", "f M", "d", {})
REFUSED = {
    "a constant of more axes, with numbers along one that is added": (
        one("Add", "x c", (3,), {"c": random(4, 1, 3)}),
        r"a constant of shape \(4, 1, 3\) beside samples of shape \(1, 3\)",
    ),
    "a constant of more axes, with one number along one that is added": (
        one("Mul", "x c", (3,), {"c": np.full((4, 1, 1), 2, "float32")}),
        r"a constant of shape \(4, 1, 1\) beside samples of shape \(1, 3\): one axis",
    ),
    "steps before the samples, constants of other sizes": (
        turned(("Concat", "t c", "r", {"axis": 0}), c=random(2, 1, 5)),
        r"a constant of shape \(2, 1, 5\) beside samples of shape \(3, 4\)",
    ),
    "Reshape to no size": (
        one("Reshape", "x s", (4,), {"s": ints(0, -1)}, allowzero=1), r"Reshape: a shape of \[0, -1\]",
    ),
    "Reshape to a size of 0": (one("Reshape", "x s", (4,), {"s": ints(0, 4)}, allowzero=1), r"becomes \(0, 4\)"),
    "values of other ranks": (graph(SUMMED, (4, 4), {"one": ints(1)}), r"Add of the shapes \[\(4, 4\), \(4,\)\]"),
    "the larger of values that broadcast": (
        of_images(("GlobalMaxPool", "h", "g", {}), ("Max", "h g", "y", {})), "Max of the shapes .* which broadcasts",
    ),
    "the smaller of values that broadcast": (
        of_images(("GlobalMaxPool", "h", "g", {}), ("Min", "h g", "y", {})), "Min of the shapes .* which broadcasts",
    ),
    "a row of images beside another row": (
        flat(NO_ROW, ("Add", "f d", "y0", {}), M=random(24, 24), W=random(24, 2)), "flattened images meet other values",
    ),
    "a row beside one of images": (
        flat(NO_ROW, ("Add", "d f", "y0", {}), M=random(24, 24), W=random(24, 2)), "flattened images meet other values",
    ),
    "a table that is computed": (
        graph([("Neg", "x", "n", {}), ("Gather", "n x", "y", {})], (4,), {}), "the table is computed from the samples",
    ),
    "places of samples": (one("Gather", "x i", (5, 4), {"i": ints(1)}), "Gather: axis 0 is that of the samples"),
    "a constant among three": (one("Sum", "x c x", (4,), {"c": random(4)}), "Sum: a constant stands where a layer"),
    "values that say that they broadcast": (
        one("Add", "x x", (4,), opset=6, broadcast=1), "Add: values that broadcast",
    ),
    "a constant that differs between samples": (
        graph([("Add", "x c", "y", {})], (4,), {"c": random(3, 4)}, samples=3), "a constant of shape",
    ),
    "more places than there are": (
        one("Gather", "x i", (3, 4), {"i": ints(0, 1, 2, 0)}, axis=1), "4 places of an axis of 3",
    ),
    "places of two axes": (
        one("Gather", "x i", (5, 4), {"i": ints([0, 1], [1, 2])}, axis=1), r"places \[0, 1, 1, 2\] of an axis of 5",
    ),
    "no places": (one("Gather", "x i", (5, 4), {"i": ints()}, axis=1), r"places \[\] of an axis of 5"),
    "a sum over everything": (one("ReduceSum", "x", (3, 4)), "ReduceSum: over the axis of the samples"),
    "a largest over everything": (one("ReduceMax", "x", (), keepdims=0), "ReduceMax: over the axis of the samples"),
    "a Split of samples": (graph([("Split", "x", "y z", {})], (4, 3), {}), "Split: axis 0 is that of the samples"),
    "one place twice": (one("Gather", "x i", (5, 4), {"i": ints(1, 1)}, axis=1), "places that do not lie evenly apart"),
    "a place before the first": (one("Gather", "x i", (5, 4), {"i": ints(-6)}, axis=1), r"places \[-6\] of an axis"),
    "a part of nothing": (
        graph([("Split", "x s", "a b", {"axis": 1}), ("Relu", "a", "y", {})], (4, 3), {"s": ints(4, 0)}),
        r"an axis of 4 cut into \[4, 0\]",
    ),
    "more sizes than parts": (
        graph([("Split", "x s", "a b", {"axis": 1}), ("Relu", "a", "y", {})], (4, 3), {"s": ints(1, 1, 2)}),
        r"an axis of 4 cut into \[1, 1, 2\]",
    ),
    "a constant of another rank beside samples": (
        one("Concat", "x c", (3, 4), {"c": random(3, 4)}, axis=1), r"a constant of shape \(3, 4\) beside",
    ),
    "axes of sequences pooled": (one("GlobalMaxPool", "x", (3,)), "sequences, images and volumes are known"),
    "a cast to other numbers": (
        graph([("Relu", "x", "r", {}), ("Cast", "r", "y", {"to": 6})], (4,), {}), "a cast of computed values",
    ),
    "numbers added to none": (
        one("PRelu", "x s", (3, 4), {"s": random(1, 3, 4)[:, :, :2]}), "one axis may have numbers",
    ),
    "a vector times a matrix of three axes": (
        one("MatMul", "x W", (3, 4), {"W": random(4)[None, None]}), "a product of",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


ONE_LAYER = {
    "a product of one unit and its bias": ["Dense"], "a product and two biases": ["Dense"],
    "a product and one number": ["Dense", "Rescale"], "an array for each position": ["PositionalEncoding"],
    "less an array for each position": ["Offset"], "scales of two axes": ["Scale"],
    "a mean over positions, dropped": ["Conv2D", "GlobalAveragePool", "ReLU"],
    "a largest of pieces": ["Maxout"], "a largest of pieces of each step": ["Maxout"],
    "a largest of pieces with a bias": ["Maxout"], "a largest of pieces of a name": ["ReLU", "Maxout"],
    "a largest of pieces of flattened images": ["Conv2D", "Flatten", "Maxout"],
    "a smallest of pieces": ["Dense", "Reshape", "Rescale", "ReduceMax", "Rescale"],
    "a largest over positions, dropped": ["Conv2D", "GlobalMaxPool", "ReLU"],
    "a mean over steps": ["GlobalAveragePool"],
    "a mean over rows of images": ["Conv2D", "ReduceMean", "ReLU"],
    "a largest of pieces, kept": ["Dense", "Reshape", "ReduceMax"],
    "every place": ["ReLU"], "a sum of one": ["ReLU"],
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_LAYER)
def test_layers_are_those_one_would_write(name, tmp_path):
    assert [type(layer).__name__ for layer in loaded(READ[name], tmp_path).net.layers] == ONE_LAYER[name]


WAVES = np.zeros((16, 4), np.float32)
WAVES[:, ::2], WAVES[:, 1::2] = (f(np.arange(16)[:, None] * [1, 0.01]) for f in (np.sin, np.cos))


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (WAVES, "sinusoidal"),
        (WAVES + 3e-6, "sinusoidal"),
        (WAVES + 5e-6, "learned"),
        (1.5 * WAVES, "learned"),
    ],
    ids=["waves", "waves but for rounding", "nearly waves", "larger waves"],
)
def test_an_array_of_sines_and_cosines_is_known(table, kind, tmp_path):
    """Up to what rounding in float32 makes of them."""
    (layer,) = loaded(one("Add", "x c", (16, 4), {"c": table.astype(np.float32)}), tmp_path).net.layers
    assert layer.kind == kind


TWO = np.random.default_rng(1).standard_normal((2, 3, 2, 5, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [("Add", lambda a, b: a + b), ("Sub", lambda a, b: a - b), ("Mul", lambda a, b: a * b)],
)
def test_two_inputs_have_one_layout(kind, wanted, tmp_path):
    """That which a convolution of their sum asks for."""
    K = random(3, 2, 1, 1)
    proto = graph([(kind, "x z", "s", {}), ("Conv", "s K", "y", {})], (2, 5, 4), {"K": K})
    proto.graph.input.append(onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["N", 2, 5, 4]))
    model = loaded(proto, tmp_path)
    assert model.input_shape == ((5, 4, 2), (5, 4, 2))
    got = model.forward(tuple(np.ascontiguousarray(np.moveaxis(a, 1, -1)) for a in TWO))
    np.testing.assert_allclose(got, np.moveaxis(wanted(*TWO), 1, -1) @ K[:, :, 0, 0].T, rtol=1e-4, atol=1e-5)


def test_ids_that_were_turned_find_their_rows(tmp_path):
    proto = graph(
        [("Transpose", "x", "t", {"perm": [0, 2, 1]}), ("Gather", "E t", "y", {})],
        (3, 4),
        {"E": random(7, 2)},
        dtype=onnx.TensorProto.INT64,
    )
    assert compare(proto, tmp_path) <= TOLERANCE


def of_two_states(place, axis=None):
    """Of the last states of two recurrent layers side by side those at that place."""
    cells = {"W": random(1, 3, 4), "V": random(1, 3, 4), "R": random(1, 3, 3)}
    nodes = [TO_TIME, ("RNN", "t W R", " h", {"hidden_size": 3}), ("RNN", "t V R", " g", {"hidden_size": 3})]
    nodes += [
        ("Concat", "h g", "both", {"axis": 0}),
        ("Gather", "both i", "s", {} if axis is None else {"axis": axis}),
        ("Squeeze", "s zero", "y", {}) if isinstance(place, list) else ("Relu", "s", "y", {}),
    ]
    return graph(nodes, (5, 4), cells | {"i": np.array(place), "zero": ints(0)})


@pytest.mark.parametrize("place", [0, 1, -1, -2, [1]])
def test_a_first_state_may_be_one_of_two(place, tmp_path):
    proto = of_two_states(place)
    assert compare(proto, tmp_path) <= TOLERANCE


@pytest.mark.parametrize(("place", "axis"), [(2, 0), (-3, 0), ([0, 1], 0), (0, 1)])
def test_states_taken_otherwise_than_one_are_refused(place, axis, tmp_path):
    with pytest.raises(
        CheckpointError, match="states of several directions or layers, taken otherwise than one"
    ):
        loaded(of_two_states(place, axis), tmp_path)
