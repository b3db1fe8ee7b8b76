"""Constants that are computed when a file of ONNX is read: what each rule gives, and how large it may be."""

import math

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from xpnn.interchange import onnx_constants  # noqa: E402
from xpnn.interchange.onnx_values import Refusal  # noqa: E402

pytestmark = pytest.mark.oracle

A = np.array([[-2.5, -1.0, 0.0], [0.5, 1.5, 4.0]], np.float32)
B = np.array([[1.0, 2.0, -3.0], [0.5, 2.5, 4.0]], np.float32)
COUNTS, BOOLS = np.array([[-7, 2, 5], [0, 3, 4]]), np.array([[True, False, True], [False, False, True]])


def ints(*values):
    return np.array(values, np.int64)


CASES = [
    # (operation, its inputs, attributes); where a size or an axis has a default, without it too
    ("Identity", [A], {}),
    ("Unsqueeze", [A, ints(0, -1)], {}), ("Squeeze", [A[None, :, None], ints(0)], {}), ("Squeeze", [A[None]], {}),
    ("Reshape", [A, ints(3, 2)], {}), ("Reshape", [A, ints(0, -1, 1)], {}),
    ("Reshape", [np.zeros((0, 3), np.float32), ints(3, 0)], {"allowzero": 1}),
    ("Flatten", [A[None]], {}), ("Flatten", [A[None]], {"axis": 2}), ("Flatten", [A[None]], {"axis": 0}),
    ("Transpose", [A[None]], {}), ("Transpose", [A[None]], {"perm": [1, 0, 2]}),
    ("Concat", [A, B], {"axis": 1}), ("Concat", [A, B], {"axis": 0}),
    ("Gather", [A, ints(1, 0, 1)], {}), ("Gather", [A, ints(2, -1)], {"axis": 1}),
    ("Slice", [COUNTS, ints(1), ints(3), ints(1)], {}), ("Slice", [COUNTS, ints(0, 0), ints(1, 2)], {}),
    ("Slice", [COUNTS, ints(2), ints(-9), ints(1), ints(-1)], {}),
    ("Slice", [COUNTS, ints(2), ints(-3), ints(1), ints(-1)], {}),
    ("Slice", [COUNTS, ints(0, 1), ints(9, 2), ints(1, 0), ints(2, 1)], {}),
    ("ConstantOfShape", [ints(2, 3)], {}),
    ("ConstantOfShape", [ints(4)], {"value": numpy_helper.from_array(ints(7))}),
    ("ConstantOfShape", [ints(1, 1, 1, 1, 1, 1, 1, 2)], {}),
    ("Expand", [A[:, :1], ints(3, 1, 2)], {}), ("Tile", [A, ints(2, 3)], {}),
    ("Range", [ints(2)[0], ints(9)[0], ints(3)[0]], {}), ("Range", [ints(5)[0], ints(1)[0], ints(1)[0]], {}),
    ("Cast", [A], {"to": 7}), ("Cast", [COUNTS], {"to": 1}), ("Cast", [A], {"to": 9}),
    ("Shape", [A[None]], {}), ("Shape", [A[None]], {"start": 1}), ("Shape", [A[None]], {"end": -1}), ("Size", [A], {}),
    *((kind, [A, B], {}) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Equal", "Greater", "Less",
                                      "GreaterOrEqual", "LessOrEqual")),
    ("Add", [A, B[:, :1]], {}), ("Div", [COUNTS, ints(2)], {}), ("Div", [COUNTS, ints(-3)], {}),
    ("Pow", [A, ints(2).astype(np.float32)], {}),
    *((kind, [A], {}) for kind in ("Neg", "Abs", "Sin", "Cos", "Exp", "Floor", "Ceil", "Sign", "Round")),
    *((kind, [np.abs(A) + 1], {}) for kind in ("Sqrt", "Log", "Reciprocal")),
    ("IsNaN", [np.array([np.nan, 1, np.inf], np.float32)], {}), ("Not", [BOOLS], {}),
    *((kind, [BOOLS, ~BOOLS[:1]], {}) for kind in ("And", "Or", "Xor")),
    ("Mod", [COUNTS, ints(3)], {}), ("Mod", [COUNTS, ints(-3)], {}), ("Mod", [A, B], {"fmod": 1}),
    ("Mod", [COUNTS, ints(3)], {"fmod": 1}),
    ("Trilu", [A], {}), ("Trilu", [A, ints(1)[0]], {}), ("Trilu", [A], {"upper": 0}),
    ("Trilu", [A, ints(-1)[0]], {"upper": 0}),
    ("CumSum", [A, ints(1)[0]], {}), ("CumSum", [COUNTS, ints(0)[0]], {}),
    ("ScatterND", [A, ints([1], [0]), B], {}), ("ScatterND", [A, ints([1, 2]), np.float32([9])], {}),
    ("GatherND", [A, ints([1, 2], [0, 0])], {}), ("GatherND", [A, ints([1], [0], [1])], {}),
    ("GatherElements", [A, ints([1, 0, 1])], {}), ("GatherElements", [A, ints([2, 0], [1, 1])], {"axis": 1}),
    ("Einsum", [A, B], {"equation": "ij, kj -> ik"}), ("Einsum", [A], {"equation": "ij->j"}),
    ("Where", [BOOLS, A, B], {}), ("MatMul", [A, B.T], {}), ("MatMul", [A, B[0]], {}),
    *((kind, [A, ints(1)], {}) for kind in ("ReduceSum", "ReduceProd", "ReduceMean", "ReduceMax", "ReduceMin")),
    ("ReduceSum", [A[None], ints(0, -1)], {"keepdims": 0}), ("ReduceMax", [A], {}),
    ("ReduceMean", [COUNTS, ints(1)], {}),
]  # fmt: skip


def computed(kind, arrays, attributes):
    given = {
        name: numpy_helper.to_array(a) if isinstance(a, onnx.TensorProto) else a
        for name, a in attributes.items()
    }
    return onnx_constants.RULES[kind](arrays, given)


@pytest.mark.parametrize(
    ("kind", "arrays", "attributes"), CASES, ids=lambda part: part if isinstance(part, str) else ""
)
def test_a_constant_is_what_the_operation_gives(kind, arrays, attributes):
    names = [f"a{i}" for i in range(len(arrays))]
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(a).dtype), None)
        for name, a in zip(names, arrays, strict=True)
    ]
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node(kind, names, ["y"], **attributes)], "g", values, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    (wanted,) = ReferenceEvaluator(model).run(None, dict(zip(names, map(np.asarray, arrays), strict=True)))
    got = computed(kind, arrays, attributes)
    assert got.dtype == np.asarray(wanted).dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_every_rule_has_a_case():
    assert {kind for kind, *_ in CASES} == onnx_constants.RULES.keys()


GROWING = (
    "Concat",
    "Gather",
    "ConstantOfShape",
    "Expand",
    "Tile",
    "Range",
    "MatMul",
    "GatherND",
    "GatherElements",
)


@pytest.mark.parametrize(
    ("kind", "arrays", "attributes"), [case for case in CASES if case[0] in (*GROWING, "Add")]
)
def test_a_result_may_be_just_so_large(kind, arrays, attributes, monkeypatch):
    size = computed(kind, arrays, attributes).size
    monkeypatch.setattr(onnx_constants, "MOST", size)
    assert computed(kind, arrays, attributes).size == size
    monkeypatch.setattr(onnx_constants, "MOST", size - 1)
    with pytest.raises(Refusal, match=f"a constant of {size:,} numbers"):
        computed(kind, arrays, attributes)


@pytest.mark.parametrize(("kind", "arrays", "attributes", "message"), [
    ("Div", [ints(1, 2), ints(1, 0)], {}, "a whole number divided by 0"),
    ("Mod", [ints(1, 2), ints(1, 0)], {}, "a whole number divided by 0"),
    ("Range", [ints(1)[0], ints(2)[0], ints(0)[0]], {}, "a range in steps of 0"),
    ("ConstantOfShape", [ints(*[1] * 9)], {}, "a constant of the shape"),
    ("ConstantOfShape", [ints(2, -1)], {}, "a constant of the shape"),
    ("GatherElements", [A, ints(1)], {}, r"places of shape \(1,\) of an array of shape \(2, 3\)"),
    ("GatherND", [A, ints([1])], {"batch_dims": 1}, "places of their own for each part of a batch"),
    ("CumSum", [A, ints(1)[0]], {"exclusive": 1}, "a sum from behind"),
    ("CumSum", [A, ints(1)[0]], {"reverse": 1}, "a sum from behind"),
    ("ScatterND", [A, ints([1]), A[:1]], {"reduction": "add"}, "values that are added to others"),
    ("Einsum", [A], {"equation": "..->."}, "the equation '..->.'"),
    ("Einsum", [A[:, :1].repeat(2**15, 1)] * 2, {"equation": "ij,kl->ijkl"}, "a constant of"),
    ("MatMul", [np.broadcast_to(np.float32(1), (2**12, 2**13)), np.broadcast_to(np.float32(1), (2**13, 2**12))], {},
     "a constant of 2,147,483,648 numbers"),
])  # fmt: skip
def test_what_is_not_computed_says_why(kind, arrays, attributes, message):
    with pytest.raises(Refusal, match=message):
        computed(kind, arrays, attributes)


def test_whole_numbers_are_divided_towards_zero():
    assert computed("Div", [ints(-7, 7), ints(2)], {}).tolist() == [math.trunc(-3.5), 3]
