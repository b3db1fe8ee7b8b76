"""ONNX's RotaryEmbedding comes in as RotaryPositions where its tables are those of one base, and is refused else."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402
from onnx_runs import TOLERANCE, difference  # noqa: E402

from xpnn.errors import CheckpointError  # noqa: E402
from xpnn.interchange import load_onnx  # noqa: E402
from xpnn.layers import RotaryPositions  # noqa: E402

pytestmark = [pytest.mark.oracle, pytest.mark.against("ONNX")]
TIME, HEADS, WIDTH, SAMPLES = 7, 2, 6, 3


def tables(pairs, base, rows=TIME):
    angle = np.arange(rows)[:, None] * base ** (-np.arange(pairs) / pairs)
    return {"cos": np.cos(angle).astype(np.float32), "sin": np.sin(angle).astype(np.float32)}


def model_of(constants, inputs="x cos sin place", shape=(SAMPLES, TIME, HEADS * WIDTH), **settings):
    """One node; the tables have more rows than there are steps, and the positions choose among them."""
    given = {"place": np.tile(np.arange(TIME), (SAMPLES, 1))} | constants
    node = helper.make_node("RotaryEmbedding", inputs.split(), ["y"], **settings)
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, shape)],
        [numpy_helper.from_array(a, name) for name, a in given.items() if name in inputs.split()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)


CASES = {
    "halves": (model_of(tables(3, 1e4, 20), num_heads=HEADS), RotaryPositions("half", HEADS)),
    "interleaved": (
        model_of(tables(3, 5e5, 20), num_heads=HEADS, interleaved=1),
        RotaryPositions("interleaved", HEADS, 5e5),
    ),
    "in part": (
        model_of(tables(2, 1e4, 9), num_heads=HEADS, rotary_embedding_dim=4),
        RotaryPositions("half", HEADS, size=4),
    ),
    "one head, a base of its own": (
        model_of(tables(6, 123.4567), num_heads=1),
        None,
    ),
    "tables by sample": (
        model_of(
            {k: np.tile(a, (SAMPLES, 1, 1)) for k, a in tables(3, 1e4).items()}, "x cos sin", num_heads=HEADS
        ),
        RotaryPositions("half", HEADS),
    ),
}


def reference(model, x):
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


def loaded(model, folder):
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    return load_onnx(folder / "m.onnx")


@pytest.mark.parametrize("name", CASES)
def test_it_turns_as_onnx_does(name, tmp_path):

    model, layer = CASES[name]
    x = np.random.default_rng(0).standard_normal((SAMPLES, TIME, HEADS * WIDTH)).astype(np.float32)
    again = loaded(model, tmp_path)
    assert difference(again.forward(x), reference(model, x)) <= TOLERANCE
    if layer is not None:
        assert again.net.layers == (layer,)


def test_heads_on_an_axis_of_their_own(tmp_path):
    """(N, heads, time, features), as it stands between the projections and the scores."""

    model = model_of(tables(3, 1e4), shape=(SAMPLES, HEADS, TIME, WIDTH))
    x = np.random.default_rng(1).standard_normal((SAMPLES, HEADS, TIME, WIDTH)).astype(np.float32)
    got = loaded(model, tmp_path).forward(np.ascontiguousarray(x.transpose(0, 2, 1, 3)))
    assert difference(got.transpose(0, 2, 1, 3), reference(model, x)) <= TOLERANCE


REFUSED = {
    "no base": (
        {"cos": np.ones((TIME, 3), np.float32), "sin": np.zeros((TIME, 3), np.float32)},
        "of one base",
    ),
    "sines of another base": ({**tables(3, 1e4), "sin": tables(3, 9e3)["sin"]}, "of one base"),
    "later positions": (
        tables(3, 1e4, 20) | {"place": np.tile(np.arange(1, TIME + 1), (SAMPLES, 1))},
        "of one base",
    ),
    "positions by sample": (
        tables(3, 1e4, 20) | {"place": np.arange(SAMPLES)[:, None] + np.arange(TIME)},
        "differ from sample to sample",
    ),
    "a table too narrow": (tables(2, 1e4), "for 7 steps and 3 pairs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_tables_are_refused(name, tmp_path):
    constants, message = REFUSED[name]
    with pytest.raises(CheckpointError, match=message):
        loaded(model_of(constants, num_heads=HEADS), tmp_path)
