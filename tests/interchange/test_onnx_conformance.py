"""ONNX's own test cases: of those that are read none has a wrong value, and at least as many are read as before."""

import collections
import importlib
import itertools
import pathlib
import pkgutil

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402

from xpnn.errors import CheckpointError, XpnnError  # noqa: E402
from xpnn.interchange import load_onnx  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

OPERATORS = {
    "Gemm",
    "MatMul",
    "Conv",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "RMSNormalization",
    "Relu",
    "LeakyRelu",
    "PRelu",
    "Elu",
    "Celu",
    "Selu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Mish",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
    "Clip",
    "Softmax",
    "LogSoftmax",
    "Dropout",
    "LSTM",
    "GRU",
    "RNN",
    "Concat",
    "Add",
    "Mul",
    "Sub",
    "Div",
    "Sum",
    "Mean",
    "Max",
    "Min",
    "Flatten",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Identity",
    "Pad",
    "Resize",
    "Upsample",
    "Gather",
    "ReduceMean",
    "ReduceMax",
    "Neg",
}
"""Those of which layers here are made."""
JOIN = {"Concat", "Add", "Mul", "Sub", "Div", "Sum", "Mean", "Max", "Min"}
"""Those whose inputs all depend on the samples."""
LAYOUTS = (
    lambda rank: tuple(range(rank)),
    lambda rank: (0, *range(2, rank), 1)[:rank],
    lambda rank: (1, 0, *range(2, rank)) if rank > 1 else tuple(range(rank)),
)


def node_cases():
    """One node each, with inputs and outputs."""
    import onnx.backend.test.case.node as cases

    np.random.seed(0)
    for module in sorted(m.name for m in pkgutil.iter_modules(cases.__path__)):
        importlib.import_module(f"{cases.__name__}.{module}")
    return [c for c in cases._NodeTestCases if "_expanded" not in c.name and len(c.model.graph.node) == 1]


def as_network(case):
    """The case with its parameters as constants: a ModelProto, and the arrays that depend on the samples."""
    node = case.model.graph.node[0]
    arrays = [a if isinstance(a, np.ndarray) else None for a in case.data_sets[0][0]]
    named = dict(zip((name for name in node.input if name), arrays, strict=False))
    if any(a is None for a in named.values()) or not named:
        return None, []
    kind, names = node.op_type, list(named)
    fed = names if kind in JOIN else names[1:2] if kind == "Gather" else names[:1]
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    del proto.graph.input[:]
    for name, a in named.items():
        if name in fed:
            dtype = helper.np_dtype_to_tensor_dtype(a.dtype)
            proto.graph.input.append(helper.make_tensor_value_info(name, dtype, a.shape))
        else:
            proto.graph.initializer.append(numpy_helper.from_array(a, name))
    return proto, [named[name] for name in fed]


def outcome(proto, arrays, wanted, folder, rtol, atol):
    """ "read", "refused" or "wrong"; the layout of samples and results is whichever fits."""
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    try:
        model = load_onnx(path)
    except CheckpointError:
        return "refused"
    answered = False
    for layout in LAYOUTS:
        given = tuple(np.ascontiguousarray(a.transpose(layout(a.ndim))) for a in arrays)
        try:
            y = model.forward(given if model.net.multi_input else given[0])
        except XpnnError:  # another layout, or numbers that models here do not take
            continue
        answered = True
        y = y[0] if isinstance(y, tuple) else y
        for order in itertools.permutations(range(y.ndim)):
            z = y.transpose(order)
            if z.shape == wanted.shape and np.allclose(z, wanted, rtol=max(rtol, 1e-5), atol=max(atol, 1e-6)):
                return "read"
    return "wrong" if answered else "refused"


def test_node_cases(tmp_path):
    count, wrong = collections.Counter(), []
    for case in node_cases():
        if case.model.graph.node[0].op_type not in OPERATORS:
            continue
        proto, arrays = as_network(case)
        if proto is None:
            continue
        wanted = np.asarray(case.data_sets[0][1][0])
        found = outcome(proto, arrays, wanted, tmp_path, case.rtol, case.atol)
        count[found] += 1
        if found == "wrong":
            wrong.append(case.name)
    assert not wrong
    assert count["read"] >= NODES, count


def test_converted_from_pytorch(tmp_path):
    import onnx.backend.test

    count, wrong = collections.Counter(), []
    folder = pathlib.Path(onnx.backend.test.__file__).parent / "data" / "pytorch-converted"
    for case in sorted(folder.iterdir()):
        proto = onnx.load(str(case / "model.onnx"))
        data = case / "test_data_set_0"
        arrays = [numpy_helper.to_array(onnx.load_tensor(str(p))) for p in sorted(data.glob("input_*.pb"))]
        wanted = numpy_helper.to_array(onnx.load_tensor(str(data / "output_0.pb")))
        found = outcome(proto, arrays, wanted, tmp_path, 1e-3, 1e-5)
        count[found] += 1
        if found == "wrong":
            wrong.append(case.name)
    assert not wrong
    assert count["read"] >= CONVERTED, count


NODES, CONVERTED = 200, 63
"""How many are read."""
