"""`xpnn plot`: which pictures a run gets, where they go, and what is said of the others."""

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn.cli.plot import PICTURES, NotDrawnError

EVERYTHING = ["curves", "confusion", "weights", "activations", "gradients", "boundary"]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPNN_BACKEND", raising=False)
    monkeypatch.delenv("XPNN_DEBUG", raising=False)


@pytest.fixture
def spiral(xp):
    assert xp("train", "spiral", "--hidden", "8", "--epochs", "3", "--json")[0] == 0
    return Path("runs/spiral-mlp-1")


@pytest.fixture
def digits():
    """A run of MNIST that never took place: an untrained model, and its files."""
    folder = Path("runs/mnist-mlp-1")
    layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)]
    xpnn.Model(layers, (28, 28, 1), seed=0).save(folder / "best.safetensors")
    about = {"dataset": "mnist", "model": "mlp", "seed": 0, "result": {"test_accuracy": 0.125}}
    (folder / "run.json").write_text(json.dumps(about))
    return folder


def words(path):
    found = ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return " ".join("".join(node.itertext()) for node in found)


def test_all_pictures_of_points(xp, spiral):
    code, out, err = xp("plot")
    files = [Path(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert files == [spiral / "plots" / f"{name}.png" for name in EVERYTHING] + [spiral / "plots/film.gif"]
    for file in files:
        with Image.open(file) as image:
            assert image.format == file.suffix[1:].upper()
            assert min(image.size) > 200
            low, high = image.convert("L").getextrema()
            assert high - low > 200
            assert getattr(image, "n_frames", 1) == (4 if file.suffix == ".gif" else 1)


def test_svg_says_what_it_shows(xp, spiral):
    accuracy = json.loads((spiral / "run.json").read_text())["result"]["test_accuracy"]
    code, out, _ = xp("plot", spiral, "--format", "svg", "--out", "pictures", "--json")
    printed = json.loads(out)
    assert code == 0
    assert printed["files"] == [f"pictures/{name}.svg" for name in EVERYTHING] + ["pictures/film.gif"]
    assert printed["skipped"] == {"mistakes": "the samples are no images; boundary rings the mistakes"}
    assert not (spiral / "plots").exists()
    for name in EVERYTHING:
        assert f"spiral, mlp, test accuracy {100 * accuracy:.1f} %" in words(f"pictures/{name}.svg")
    assert "arm 2" in words("pictures/boundary.svg")
    assert "arm 2" in words("pictures/confusion.svg")
    assert "at most 256 samples: gradients" in words("pictures/gradients.svg")


def test_pictures_of_images(xp, digits):
    code, out, err = xp(
        "plot", digits, "--what", "confusion, mistakes,weights,boundary,film", "--format", "svg"
    )
    assert (code, [Path(line).name for line in out.splitlines()]) == (
        0, ["confusion.svg", "mistakes.svg", "weights.svg"],
    )  # fmt: skip
    assert err == "".join(
        f"no {name}: the samples are no points of a plane\n" for name in ("boundary", "film")
    )
    _, _, x, y = xpnn.data.mnist()
    taken = xpnn.load(digits / "best.safetensors").predict(x)
    wrong = int(np.sum(taken != y))
    assert f"{wrong:,} of 10,000 wrong" in words(digits / "plots/mistakes.svg")
    printed = words(digits / "plots/confusion.svg").split()
    for c in range(10):
        assert str(np.sum((y == c) & (taken == c))) in printed
    assert "mnist, mlp, test accuracy 12.5 %" in words(digits / "plots/weights.svg")


def test_what_the_run_did_not_keep_is_named(xp, spiral):
    (spiral / "metrics.jsonl").unlink()
    for file in (spiral / "film").iterdir():
        file.unlink()
    code, out, err = xp("plot", "--what", "curves,film,boundary")
    assert (code, out) == (0, f"{spiral}/plots/boundary.png\n")
    assert err == "no curves: the run has no metrics.jsonl\nno film: the run kept no weights along the way\n"


def test_a_table_whose_labels_are_not_where_they_usually_are(xp):
    rows = [f"{'ab'[i % 2]},{i % 2 + i / 100},{i / 90}" for i in range(90)]
    Path("table.csv").write_text("\n".join(["kind,width,height", *rows]) + "\n")
    flags = ["--data", "table.csv", "--label", "kind", "--epochs", "2", "--hidden", "4", "--json"]
    assert xp("train", "csv", *flags)[0] == 0
    code, out, err = xp("plot", "--what", "confusion")
    assert (code, out, err) == (0, "runs/csv-mlp-1/plots/confusion.png\n", "")


class TestErrors:
    def test_without_matplotlib(self, xp, digits, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        code, _, err = xp("plot", digits, "--what", "weights")
        assert code == 3
        assert err == (
            "xpnn: error: pictures need matplotlib, which is not installed\n  fix: pip install 'xpnn[plot]'\n"
        )

    @pytest.mark.parametrize("line", ['{"epoch": 1}', "[1]", "{", "\x00"])
    def test_damaged_metrics(self, xp, spiral, line):
        (spiral / "metrics.jsonl").write_text(line + "\n")
        code, _, err = xp("plot", "--what", "curves")
        assert code == 5
        assert f"{spiral}/metrics.jsonl is damaged" in err

    def test_damaged_film(self, xp, spiral):
        (spiral / "film/epoch-0001.safetensors").write_bytes(b"123")
        assert xp("plot", "--what", "film")[0] == 5

    def test_names(self, xp, spiral):
        code, _, err = xp("plot", "--what", "curves,boundry")
        assert code == 2
        assert "unknown picture 'boundry'" in err
        assert "did you mean 'boundary'?" in err
        assert xp("plot", "--format", "jpg")[0] == 2

    def test_a_model_without_its_run(self, xp):
        xpnn.Model([xpnn.Dense(2)], (2,), seed=0).save("model.safetensors")
        code, _, err = xp("plot", "model.safetensors")
        assert code == 2
        assert "no run.json beside model.safetensors" in err
        assert xp("plot", "nowhere")[0] == 7


POINTS, LINE = {"input_shape": (2,), "classes": "ab"}, {"input_shape": (2,), "classes": ()}
UNDRAWN = [
    ("confusion", LINE, "a regression has no classes"),
    ("boundary", LINE, "a regression has no boundary"),
    ("boundary", {"input_shape": (3,), "classes": "ab"}, "no points of a plane"),
    ("film", LINE, "a regression has no boundary"),
    ("film", POINTS, "kept no weights"),
    ("film", {"input_shape": (3,), "classes": "ab"}, "no points of a plane"),
    ("mistakes", POINTS, "no images"),
    ("curves", POINTS, r"no metrics\.jsonl"),
]


@pytest.mark.parametrize(("name", "samples", "why"), UNDRAWN)
def test_why_a_picture_is_not_drawn(tmp_path, name, samples, why):
    saved = SimpleNamespace(weights=tmp_path / "best.safetensors", folder=tmp_path, about={})
    subject = SimpleNamespace(samples=SimpleNamespace(**samples), saved=saved, history=())
    with pytest.raises(NotDrawnError, match=why):
        PICTURES[name](subject, tmp_path / "a.png")
