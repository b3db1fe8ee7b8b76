"""Operations in NumPy and in PyTorch, which exported files and modules are made of, against ONNX's own evaluation."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from xpnn.interchange import interpret, operations  # noqa: E402
from xpnn.interchange.interpret import find, function_of, settings_of  # noqa: E402
from xpnn.interchange.program import Node  # noqa: E402

pytestmark = pytest.mark.oracle

RNG = np.random.default_rng(3)
X = (2 * RNG.standard_normal((3, 4, 5))).astype(np.float32)
IMAGES = RNG.standard_normal((2, 4, 6, 7)).astype(np.float32)
ROW = RNG.uniform(0.5, 1.5, 5).astype(np.float32)
FOUR = RNG.uniform(0.5, 1.5, 4).astype(np.float32)
TIES = np.array([[1, 3, 3], [2, 2, 0]], np.float32)
UNEVEN = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 2, 1]}


def ints(*values):
    return np.array(values, np.int64)


def weights(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


CASES = {
    # what: (operation, inputs, attributes); every number differs from its default, every size from every other
    **{kind: (kind, [X], {}) for kind in (
        "Identity", "Relu", "Sigmoid", "Softplus", "Softsign", "Mish", "HardSwish", "Neg", "Abs", "Tanh", "Exp",
        "Sin", "Cos",
    )},
    "Sqrt": ("Sqrt", [np.abs(X)], {}), "Selu": ("Selu", [X], {}),
    "LeakyRelu": ("LeakyRelu", [X], {"alpha": 0.3}), "Elu": ("Elu", [X], {"alpha": 0.7}), "Celu": ("Celu", [X],
        {"alpha": 0.7}),
    "PRelu": ("PRelu", [X, ROW], {}), "HardSigmoid": ("HardSigmoid", [X], {"alpha": 0.3, "beta": 0.4}),
    "Gelu": ("Gelu", [X], {"approximate": "none"}), "Gelu by tanh": ("Gelu", [X], {"approximate": "tanh"}),
    "Clip": ("Clip", [X, np.float32(-0.3), np.float32(0.6)], {}),
    "Softmax": ("Softmax", [X], {"axis": -1}), "Softmax of an axis within": ("Softmax", [X], {"axis": 1}),
    "LogSoftmax": ("LogSoftmax", [X], {"axis": 1}),
    "Hardmax": ("Hardmax", [X], {"axis": 1}), "Hardmax of ties": ("Hardmax", [TIES], {"axis": -1}),
    **{kind: (kind, [X, ROW], {}) for kind in ("Add", "Sub", "Mul", "Div", "Greater")},
    "Where": ("Where", [X > 0, X, ROW], {}), "Sum": ("Sum", [X, X[:1], X[1:2]], {}), "Mean": ("Mean", [X, X[:1],
        X[1:2]], {}),
    "Gemm": ("Gemm", [X[0], weights(5, 2), weights(2)], {}), "MatMul": ("MatMul", [X, weights(5, 2)], {}),
    **{f"{kind} {n}": (kind, [X, axes], {"keepdims": n}) for n, axes in ((0, ints(0, 2)), (1, ints(1)))
       for kind in ("ReduceSum", "ReduceMean", "ReduceMax")},
    "Reshape": ("Reshape", [X, ints(0, 2, -1)], {}), "Transpose": ("Transpose", [X], {"perm": [2, 0, 1]}),
    "Slice": ("Slice", [X, ints(1), ints(4), ints(2), ints(2)], {}),
    "Slice backwards": ("Slice", [X, ints(4), ints(-9), ints(2), ints(-2)], {}),
    "Squeeze": ("Squeeze", [X[:1, :, :, None], ints(3, 0)], {}), "Erf": ("Erf", [X], {}),
    "Concat": ("Concat", [X, X[:, :2]], {"axis": 1}), "Unsqueeze": ("Unsqueeze", [X, ints(3, 0)], {}),
    "Expand": ("Expand", [np.float32(0.5), ints(2, 3)], {}),
    "Shape": ("Shape", [X], {"start": 1, "end": 2}), "Gather": ("Gather", [X, ints(2, 0, 2)], {}),
    "Range": ("Range", [ints(2)[0], ints(9)[0], ints(3)[0]], {}),
    "LayerNormalization": ("LayerNormalization", [X, ROW, ROW - 1], {"axis": -1, "epsilon": 0.1}),
    "InstanceNormalization": ("InstanceNormalization", [IMAGES, FOUR, FOUR - 1], {"epsilon": 0.1}),
    "Pad": ("Pad", [X, ints(1, 0, 2, 0, 3, 1), np.float32(0.5)], {"mode": "constant"}),
    **{f"Pad, {mode}": ("Pad", [X, ints(0, 0, 2, 0, 3, 1)], {"mode": mode}) for mode in ("edge", "reflect", "wrap")},
    "Conv": ("Conv", [IMAGES, weights(6, 2, 3, 2), weights(6)], UNEVEN | {"dilations": [2, 3], "group": 2}),
    "ConvTranspose": (
        "ConvTranspose", [IMAGES, weights(4, 3, 3, 2), weights(3)],
        UNEVEN | {"dilations": [1, 2], "group": 1, "output_padding": [1, 0]},
    ),
    "MaxPool": ("MaxPool", [IMAGES], UNEVEN), "MaxPool, dilated": ("MaxPool", [IMAGES], UNEVEN | {"dilations": [2,
        3]}),
    "AveragePool": ("AveragePool", [IMAGES], UNEVEN),
    "AveragePool, pads counted": ("AveragePool", [IMAGES], UNEVEN | {"count_include_pad": 1}),
    "AveragePool, dilated": ("AveragePool", [IMAGES], UNEVEN | {"dilations": [2, 3]}),
    "AveragePool, ceiling": ("AveragePool", [IMAGES], UNEVEN | {"ceil_mode": 1}),
    "LRN": ("LRN", [weights(4, 4, 3, 2)], {"alpha": 0.3, "beta": 0.5, "bias": 2.0, "size": 3}),
}  # fmt: skip


def wanted(kind, inputs, attributes):
    names = [f"a{i}" for i in range(len(inputs))]
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype), None)
        for name, a in zip(names, inputs, strict=True)
    ]
    node = helper.make_node(kind, names, ["y"], **attributes)
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph([node], "g", values, [result]), opset_imports=[helper.make_opsetid("", 20)]
    )
    return ReferenceEvaluator(model).run(None, dict(zip(names, map(np.asarray, inputs), strict=True)))[0]


@pytest.mark.parametrize("name", CASES)
def test_numpy_gives_what_the_operation_is(name):
    kind, inputs, attributes = CASES[name]
    operation = interpret.ARITHMETIC.get(kind) or find(function_of(kind))
    got = operation(*inputs, **settings_of(Node(kind, [], [], attributes, "0")))
    np.testing.assert_allclose(got, wanted(kind, inputs, attributes), rtol=2e-5, atol=1e-6)


def test_pytorch_gives_what_the_operation_is():
    torch = pytest.importorskip("torch")
    from xpnn.interchange.torch_operations import OPERATIONS

    for name, (kind, inputs, attributes) in CASES.items():
        if kind in OPERATIONS:
            numbers = [a.tolist() if a.dtype == np.int64 else torch.from_numpy(np.array(a)) for a in inputs]
            got = OPERATIONS[kind](*numbers, **attributes)
            one = wanted(kind, inputs, attributes)
            np.testing.assert_allclose(got.numpy(), one, rtol=2e-5, atol=1e-6, err_msg=name)
    assert OPERATIONS.keys() <= {kind for kind, *_ in CASES.values()}


def test_a_steep_slope_below_0_says_nothing_of_numbers_above(recwarn):
    """What is not taken is not computed: e^1000 would be infinite."""
    x = np.array([2.0, -1.0, 0.0], np.float32)
    np.testing.assert_allclose(operations.celu(x, np.float32(1e-3)), [2, -1e-3, 0])
    np.testing.assert_allclose(operations.elu(np.float32([200, -200]), np.float32(0.5)), [200, -0.5])
    np.testing.assert_allclose(operations.softplus(np.float32([1000, -1000])), [1000, 0])
    np.testing.assert_allclose(operations.sigmoid(np.float32([1000, -1000])), [1, 0])
    assert not recwarn.list
