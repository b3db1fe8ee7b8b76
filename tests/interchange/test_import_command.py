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
    result = json.loads(out)
    assert result["parameters"] == 63
    assert (result["inputs"], result["outputs"]) == ([[4, 5, 1]], [[3]])
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


def pictures():
    """A model of pictures of two classes, and some of them."""
    layers = [xpnn.Rescale(1 / 255), xpnn.Conv2D(3, 3), xpnn.ReLU(), xpnn.Flatten(), xpnn.Dense(2)]
    model = xpnn.Model(layers, (8, 8, 3), seed=0)
    return model, np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)


def test_what_a_model_remembers_of_its_data_comes_back(xp):
    """Names, crop and background; then predict takes a picture, and says a name."""
    from PIL import Image

    model, x = pictures()
    model.preparation = xpnn.data.image_preparation.ImagePreparation(8, 8, 3, ("cat", "dog"), background=7)
    model.save("m.safetensors")
    assert xp("export", "m.safetensors", "--to", "onnx")[0] == 0
    code, out, err = xp("import", "m.onnx", "--out", "again.safetensors")
    assert (code, err) == (0, "")
    assert "classes  2: cat, dog" in out
    again = xpnn.load("again.safetensors")
    assert again.preparation == model.preparation
    Image.fromarray(x[0]).save("x.png")
    code, out, _ = xp("predict", "again.safetensors", "x.png", "--json")
    assert code == 0
    assert ("cat", "dog")[model.predict(x[:1])[0]] == json.loads(out)["predictions"][0]["class"]


def torchvision(opset=17):
    """A network that wants pixels as torchvision's Normalize makes them, and its answers to bytes."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    proto = graph(
        [("Conv", "x K k", "c", {}), ("Relu", "c", "r", {}), ("Flatten", "r", "f", {}),
         ("Gemm", "f W b", "y", {"transB": 1})],
        (3, 8, 8),
        {name: a.detach().numpy() for name, a in zip("KkWb", module.parameters(), strict=True)},
    )  # fmt: skip
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    with torch.no_grad():
        wanted = module(
            torch.from_numpy(np.moveaxis((x / np.float32(255) - mean) / std, -1, 1).copy())
        ).numpy()
    return proto, x, wanted


def test_pixels_are_scaled_in_front_and_classes_named(xp):
    proto, x, wanted = torchvision()
    Path("net.onnx").write_bytes(proto.SerializeToString())
    Path("names.txt").write_text("cat\ndog\n")
    scale = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
    code, out, err = xp("import", "net.onnx", "--classes", "names.txt", *scale, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["classes"] == ["cat", "dog"]
    model = xpnn.load("net.safetensors")
    assert difference(model.forward(x), wanted) <= 2e-6
    assert model.preparation.class_names == ("cat", "dog")


SETTINGS = {
    "three names for two outputs": (["--classes", "three.txt"], 2, "3 names of classes for outputs of shape (2,)"),
    "no names": (["--classes", "empty.txt"], 4, "empty.txt holds no names"),
    "no such file": (["--classes", "none.txt"], 7, "cannot read none.txt"),
    "words for numbers": (["--mean", "grey"], 2, "'grey': wanted a number"),
    "a spread of 0": (["--std", "0"], 2, "wanted numbers above 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_do_not_fit(xp, name):
    options, code, what = SETTINGS[name]
    Path("net.onnx").write_bytes(torchvision()[0].SerializeToString())
    Path("three.txt").write_text("a\nb\nc")
    Path("empty.txt").write_text("\n")
    got, out, err = xp("import", "net.onnx", *options)
    assert (got, out) == (code, "")
    assert what in err.replace("\n", " ")


def test_metadata_of_others_and_damaged_ones(xp):
    """Names where they can be kept, a note where not; a damaged preparation is refused."""
    import onnx

    proto, *_ = torchvision()
    onnx.helper.set_model_props(proto, {"classes": '["a", "b", "c"]'})
    Path("net.onnx").write_bytes(proto.SerializeToString())
    code, _, err = xp("import", "net.onnx")
    assert code == 0
    assert (
        err
        == "note: the file's names of classes are left out: 3 names of classes for outputs of shape (2,)\n"
    )
    for text in ('{"kind": "Path", "x": 1}', "[" * 99999, '{"kind": "ImagePreparation", "height": -1}'):
        onnx.helper.set_model_props(proto, {"preparation": text})
        Path("net.onnx").write_bytes(proto.SerializeToString())
        code, out, err = xp("import", "net.onnx")
        assert (code, out) == (5, ""), text[:30]
