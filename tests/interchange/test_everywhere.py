"""One model, trained here, and its answers everywhere: onnxruntime, PyTorch, a C program, a browser, plain NumPy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from browser import opened  # noqa: E402
from onnx_runs import session  # noqa: E402
from test_standalone import compiled, imported, run_c  # noqa: E402
from torch import nn  # noqa: E402

import xpnn  # noqa: E402
from xpnn.interchange import (  # noqa: E402
    load_onnx,
    save_c,
    save_html,
    save_onnx,
    save_python,
    to_torch,
)

pytestmark = pytest.mark.oracle


def in_browser(path, images):
    """What the exported page gives for each image, in Chromium."""
    with opened(path) as page:
        found = page.evaluate(
            "(all) => all.map((x) => Array.from(predict(x)))", [x.ravel().tolist() for x in images]
        )
    return np.array(found, np.float32)


def answered(module, images):
    """The probabilities of a torch.nn module that takes bytes with their channels first."""
    with torch.no_grad():
        return module(torch.from_numpy(np.moveaxis(images, -1, 1).copy())).softmax(1).numpy()


def test_a_model_trained_here_answers_the_same_everywhere(tmp_path):
    x, y, x_test, _ = xpnn.data.mnist()
    layers = [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(6, 5, 2), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.MaxPool2D(2),
        xpnn.Flatten(), xpnn.Dense(32), xpnn.ReLU(), xpnn.Dense(10),
    ]  # fmt: skip
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    model.fit(x[:3000], y[:3000], optimizer=xpnn.Adam(3e-3), epochs=2, verbose=0)
    images = x_test[:1000]
    wanted, classes = model.predict_proba(images), model.predict(images)

    save_onnx(model, tmp_path / "m.onnx")
    save_python(model, tmp_path / "m.py")
    save_c(model, tmp_path / "m.h")
    save_html(model, tmp_path / "m.html")
    module = nn.Sequential(
        nn.Conv2d(1, 6, 5, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(216, 32), nn.ReLU(), nn.Linear(32, 10), nn.Softmax(1),
    ).eval()  # fmt: skip
    pixels = torch.from_numpy(np.moveaxis(images, -1, 1) / np.float32(255))
    with torch.no_grad():
        in_torch = to_torch(model, module)(pixels).numpy()

    found = {
        "onnxruntime": session((tmp_path / "m.onnx").read_bytes()).run(None, {"x": images})[0],
        "PyTorch": in_torch,
        "a module made here": answered(to_torch(model, as_module=True), images),
        "Python": imported(tmp_path / "m.py").predict(images),
        "C": run_c(compiled(tmp_path / "m.h"), {"x": images}, wanted),
        "a browser": in_browser(tmp_path / "m.html", images),
        "xpnn again": load_onnx(tmp_path / "m.onnx").forward(images),
    }
    for where, got in found.items():
        assert np.max(np.abs(got - wanted)) <= 1e-5, where
        assert (got.argmax(axis=1) == classes).all(), where
