"""ONNX's own test cases: of those that are read none has a wrong value, and at least as many are read as before."""

import pathlib

import pytest

onnx = pytest.importorskip("onnx")

import node_cases  # noqa: E402
import onnx_optimizers  # noqa: E402
from onnx import numpy_helper  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WHOLE, IN_PART, CONVERTED = 423, 39, 81
"""How many node cases are read with all their outputs, with the first alone or whole numbers as float32, and how many
of the files converted from PyTorch."""


def test_node_cases(tmp_path):
    states, _ = node_cases.table(node_cases.node_cases(), tmp_path)
    assert not states["wrong"]
    found = {state: len(names) for state, names in states.items()}
    print(f"ONNX's node cases: {found}")
    assert sum(found.values()) == 669
    assert found["read"] >= WHOLE, found
    assert found["in part"] >= IN_PART, found


@pytest.mark.parametrize("what", ["the running variance", "Adam's epsilon"])
def test_a_convention_that_is_not_converted_is_noticed(what, tmp_path, monkeypatch):
    """Each of the two that differ from PyTorch's, planted as a fault."""
    if what == "the running variance":
        from xpnn.interchange import onnx_pointwise as module

        real = module.L.BatchNorm
        monkeypatch.setattr(module.L, "BatchNorm", lambda *args, unbiased: real(*args))
        wanted = "test_batchnorm_example_training_mode"
    else:
        real = onnx_optimizers.Adam
        monkeypatch.setattr(
            onnx_optimizers, "Adam", lambda lr, b1, b2, eps, l2: real(lr, b1, b2, 0.01, l2=l2)
        )
        wanted = "test_adam"
    case = next(case for case in node_cases.node_cases() if case.name == wanted)
    assert node_cases.run(case, tmp_path)[0] == "wrong"


def test_converted_from_pytorch(tmp_path):
    import onnx.backend.test

    states = {"read": [], "refused": [], "wrong": []}
    folder = pathlib.Path(onnx.backend.test.__file__).parent / "data" / "pytorch-converted"
    for case in sorted(folder.iterdir()):
        data = case / "test_data_set_0"
        arrays = [numpy_helper.to_array(onnx.load_tensor(str(p))) for p in sorted(data.glob("input_*.pb"))]
        wanted = numpy_helper.to_array(onnx.load_tensor(str(data / "output_0.pb")))
        proto = onnx.load(str(case / "model.onnx"))
        try:
            model, (inputs, outputs) = node_cases.with_layouts(case / "model.onnx")
        except CheckpointError:
            states["refused"].append(case.name)
            continue
        answers = node_cases.answered(model, proto.graph.node[0], arrays, True, inputs)
        state, _ = node_cases.compared(answers, [wanted], True, outputs, 1e-3, 1e-5)
        states[state].append(case.name)
    assert not states["wrong"]
    print(f"refused: {states['refused']}")
    assert len(states["read"]) >= CONVERTED, states["refused"]
