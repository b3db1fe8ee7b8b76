"""`xpnn export`: what it writes, says and refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import workplace  # noqa: F401
from onnx_runs import TOLERANCE, difference, session

import xpnn

pytestmark = pytest.mark.usefixtures("workplace")
LAYERS = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(3)]


@pytest.fixture
def trained(workplace):  # noqa: F811
    """A run of a tiny classifier of images."""
    xpnn.Model(LAYERS, (4, 5, 1), seed=0).save("runs/some-mlp-1/best.safetensors")
    about = {"input_shape": [4, 5, 1], "classes": ["cat", "dog", "mouse"]}
    Path("runs/some-mlp-1/run.json").write_text(json.dumps(about))
    return Path("runs/some-mlp-1")


@pytest.mark.oracle
def test_the_newest_run_as_onnx(xp, trained):
    code, out, err = xp("export", "--to", "onnx")
    assert (code, err) == (0, "")
    assert out.splitlines()[1:] == ["in     x uint8 (N, 4, 5, 1)", "out    y float32 (N, 3)"]
    assert out.startswith("saved  runs/some-mlp-1/best.onnx (")
    ready = session((trained / "best.onnx").read_bytes())
    x = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 1)).astype(np.uint8)
    wanted = xpnn.load(trained / "best.safetensors").predict_proba(x)
    assert difference(ready.run(None, {"x": x})[0], wanted) <= TOLERANCE
    assert json.loads(ready.get_modelmeta().custom_metadata_map["classes"]) == ["cat", "dog", "mouse"]


@pytest.mark.oracle
def test_flags_reach_the_file(xp, trained):
    args = [
        "--logits",
        "--channels",
        "first",
        "--no-preprocessing",
        "--opset",
        18,
        "--out",
        "sub/m.onnx",
        "--json",
    ]
    code, out, _ = xp("export", trained, "--to", "onnx", *args)
    assert code == 0
    result = json.loads(out)
    assert result["file"] == "sub/m.onnx"
    assert result["bytes"] == Path("sub/m.onnx").stat().st_size
    assert result["inputs"] == [{"name": "x", "dtype": "float32", "shape": [20]}]
    assert result["classes"] == ["cat", "dog", "mouse"]
    import onnx

    found = onnx.load("sub/m.onnx")
    assert found.opset_import[0].version == 18
    assert not any(node.op_type == "Softmax" for node in found.graph.node)


def test_a_wider_dtype_is_said(xp):
    pytest.importorskip("onnx")
    xpnn.Model([xpnn.Dense(2)], (3,), seed=0, dtype="float64").save("wide.safetensors")
    code, _, err = xp("export", "wide.safetensors", "--to", "onnx")
    assert (code, err) == (0, "the weights are float64 and are written as float32\n")


def test_as_python_and_as_c(xp, trained):
    code, out, err = xp("export", "--to", "py", "--out", "digits.py", "--weights-beside")
    assert (code, err) == (0, "")
    assert out.startswith("saved  digits.py (")
    assert Path("digits.weights").stat().st_size == 4 * 63
    assert "CLASSES: Any = ['cat', 'dog', 'mouse']" in Path("digits.py").read_text()
    code, out, err = xp("export", "--to", "c")
    assert (code, err) == (0, "")
    text = (trained / "best.h").read_text()
    assert 'best_classes[3] = {"cat", "dog", "mouse"};' in text
    assert "static void best_predict(const unsigned char *x, float *out0)" in text
    assert xp("export", "--to", "html")[0] == 0
    assert "<title>best</title>" in (trained / "best.html").read_text()


def examples_on(page):
    return json.loads(re.search(r"const about = (.*);", Path(page).read_text())[1])["examples"]


def test_a_page_has_examples_of_what_everybody_has(xp):
    """A test image of each class of MNIST; none of the user's own pictures; a line where the data is gone."""
    net = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)]
    xpnn.Model(net, (28, 28, 1), seed=0).save("best.safetensors")
    names = [str(i) for i in range(10)]
    for about, count, said in (
        ({"dataset": "mnist", "data": None, "classes": names}, 10, ""),
        ({"dataset": "images", "data": "/elsewhere/photos", "classes": names}, 0, ""),
        ({"dataset": "no such dataset", "data": None, "classes": names}, 0, "no examples on the page: "),
    ):
        Path("run.json").write_text(json.dumps(about))
        code, _, err = xp("export", "best.safetensors", "--to", "html")
        assert code == 0
        assert err.startswith(said)
        assert bool(err) == bool(said)
        assert len(examples_on("best.html")) == count


ERRORS = [
    (["--to", "c", "--opset", "20"], 2, "--opset beside --to c"),
    (["--to", "c", "--weights-beside"], 2, "--weights-beside beside --to c"),
    (["--to", "onxx"], 2, "unknown kind of file 'onxx'"),
    (["--to", "onnx", "--opset", "3"], 2, "opset=3: wanted a version"),
    (["nowhere", "--to", "onnx"], 7, "no trained model at nowhere"),
]


@pytest.mark.parametrize(("args", "code", "what"), ERRORS, ids=lambda value: str(value)[:40])
def test_what_is_refused(xp, trained, args, code, what):
    got, out, err = xp("export", *args)
    assert (got, out) == (code, "")
    assert what in err
    assert not list(trained.glob("*.onnx"))


def test_a_missing_package_names_the_extra(xp, trained, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    code, _, err = xp("export", "--to", "onnx")
    assert code == 3
    assert "pip install 'xpnn[onnx]'" in err


def test_a_table_says_what_goes_in(xp):
    from xpnn.data.tables.columns import CategoryColumn, NumberColumn
    from xpnn.data.tables.preparation import TablePreparation

    towns = tuple(f"town {i}" for i in range(30))
    columns = NumberColumn("age", 40.0, 12.0, 40.0), CategoryColumn("town", towns)
    p = TablePreparation("price", "regression", (), columns, label_mean=5.0)
    layers = [xpnn.Dense(1)]
    xpnn.Model(layers, (31,), seed=0, loss="mean_squared_error", preparation=p).save("best.safetensors")
    code, out, _ = xp("export", "best.safetensors", "--to", "c")
    assert code == 0
    assert "       x holds age, town=town 0, town=town 1" in out
    assert out.splitlines()[2].endswith("characters, in the file)")
    printed = json.loads(xp("export", "best.safetensors", "--to", "py", "--no-preprocessing", "--json")[1])
    assert printed["inputs"][0]["holds"].startswith("(age - 40) over 12, town=town 0, ")
