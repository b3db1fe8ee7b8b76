"""`xpnn import`: what it writes, says and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from command_line import workplace  # noqa: F401
from onnx_graphs import GRAPHS, graph, one, random
from onnx_runs import TOLERANCE, difference

import xpnn

pytestmark = [pytest.mark.oracle, pytest.mark.usefixtures("workplace")]


def test_a_network_comes_in(xp):
    Path("net.onnx").write_bytes(GRAPHS["LeNet, batch size computed"].SerializeToString())
    code, out, err = xp("import", "net.onnx")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["in     (N, 8, 6, 2)", "out    (N, 3)"]
    assert out.startswith("saved  net.safetensors (")
    x = np.random.default_rng(0).standard_normal((2, 8, 6, 2)).astype(np.float32)
    wanted = xpnn.interchange.load_onnx("net.onnx").forward(x)
    assert difference(xpnn.load("net.safetensors").forward(x), wanted) <= TOLERANCE


def test_there_and_back(xp):
    """What was exported here is the same model again, preparation and probabilities inside."""
    model = xpnn.Model([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(3)], (4, 5, 1), seed=0)
    model.save("m.safetensors")
    assert xp("export", "m.safetensors", "--to", "onnx")[0] == 0
    code, out, _ = xp("import", "m.onnx", "--out", "again.safetensors", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["parameters"] == 63
    assert (told["inputs"], told["outputs"]) == ([[4, 5, 1]], [[3]])
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 1)).astype(np.uint8)
    assert difference(xpnn.load("again.safetensors").forward(x), model.predict_proba(x)) <= TOLERANCE


def test_what_is_not_as_expected_is_said(xp):
    proto = graph([("Conv", "x K", "c", {}), ("Flatten", "c", "y", {})], (2, 4, 3), {"K": random(3, 2, 1, 1)})
    Path("net.onnx").write_bytes(proto.SerializeToString())
    code, _, err = xp("import", "net.onnx")
    assert code == 0
    assert err == "note: flattened images come out with their channels varying fastest\n"


ERRORS = [
    ("missing.onnx", 7, "cannot read missing.onnx"),
    ("weights.pt", 2, "weights.pt is no .onnx file"),
    ("text.onnx", 5, "text.onnx"),
    ("det.onnx", 5, "node 0 'y' Det: no layer here does that"),
]


@pytest.mark.parametrize(("name", "code", "what"), ERRORS, ids=[row[0] for row in ERRORS])
def test_what_is_refused(xp, name, code, what):
    Path("text.onnx").write_text("hello, I am no network")
    Path("det.onnx").write_bytes(one("Det", "x", (3, 3)).SerializeToString())
    got, out, err = xp("import", name)
    assert (got, out) == (code, "")
    assert what in err
    assert not list(Path().glob("*.safetensors"))
