"""Exported pages: their JavaScript in node gives what the model gives, and nothing is fetched from anywhere."""

import contextlib
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from cases import LAYERS
from onnx_runs import TOLERANCE, difference, fed, model_of

import xpnn
from xpnn.errors import UsageError
from xpnn.interchange import html_export, javascript, save_html
from xpnn.interchange.trace import program_of

NODE = shutil.which("node")
SINGLE = [case for case in LAYERS if not isinstance(case.shape[:1] and case.shape[0], tuple)]
SINGLE = [case for case in SINGLE if not getattr(case.layer, "multi_output", False)]


RUN = """
const vm = require('vm'), fs = require('fs');
require('readline').createInterface({input: process.stdin}).on('line', (path) => {
    const said = [], console = {log: (word) => said.push(word)};
    let error = null;
    try {
        vm.runInNewContext(fs.readFileSync(path, 'utf8'), {console, require, atob}, {filename: path});
    } catch (caught) {
        error = String(caught.stack);
    }
    process.stdout.write(JSON.stringify({error, said: said.join('\\n')}) + '\\n');
});
"""
"""Runs the scripts whose paths it reads, each with globals of its own: to start node takes longer than most scripts."""


@contextlib.contextmanager
def running_node():
    """call(text, folder): what a script prints, as JSON."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([NODE, "-e", RUN], **pipes) as process:

        def call(text, folder):
            (folder / "run.js").write_text(text)
            process.stdin.write(f"{folder / 'run.js'}\n")
            done = json.loads(process.stdout.readline())
            assert done["error"] is None, done["error"][:2000]
            return json.loads(done["said"])

        yield call
        process.stdin.close()


@pytest.fixture(scope="module")
def node():
    if NODE is None:
        pytest.skip("node is not installed")
    with running_node() as call:
        yield call


def predicted(node, text, x, folder):
    """predict of each sample."""
    (folder / "x.json").write_text(json.dumps([a.ravel().tolist() for a in x]))
    load = f"\nconst all = JSON.parse(require('fs').readFileSync({json.dumps(str(folder / 'x.json'))}));\n"
    found = node(text + load + "console.log(JSON.stringify(all.map((s) => Array.from(predict(s)))));", folder)
    return np.array(found, np.float32)


def model_part(page):
    """The script that holds the model and knows nothing of a page."""
    return re.search(r'<script id="model">\n(.*?)</script>', page, re.S)[1]


@pytest.mark.slow
@pytest.mark.parametrize("case", SINGLE, ids=str)
def test_javascript_gives_what_the_model_gives(node, case, tmp_path):
    model, x = model_of(case)
    program = program_of(model, probabilities=False)
    if len(program.outputs) > 1:
        return
    (a,) = fed(program, x, case.batch).values()
    wanted = model.forward(a)
    got = predicted(node, javascript.script(program), a, tmp_path)
    assert difference(got.reshape(wanted.shape), wanted) <= TOLERANCE


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A model with dense, convolution, pooling and batch norm, its page, and images."""
    x, y, x_test, y_test = xpnn.data.mnist()
    layers = [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(6, 5, 2), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.MaxPool2D(2),
        xpnn.Flatten(), xpnn.Dense(32), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(10),
    ]  # fmt: skip
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    model.fit(x[:3000], y[:3000], optimizer=xpnn.Adam(3e-3), epochs=2, verbose=0)
    path = tmp_path_factory.mktemp("page") / "digits.html"
    save_html(model, path, classes=[f"<{i}>" for i in range(10)])
    return model, path.read_text(), x_test[:1000], y_test[:1000]


def test_a_thousand_images(node, digits, tmp_path):
    model, page, images, _ = digits
    got, wanted = predicted(node, model_part(page), images, tmp_path), model.predict_proba(images)
    assert np.max(np.abs(got - wanted)) <= 1e-5
    assert (got.argmax(axis=1) == model.predict(images)).all()


def test_a_planted_fault_is_noticed(node, digits, tmp_path, monkeypatch):
    monkeypatch.setattr(javascript, "WORDS", (*javascript.WORDS, (r" > best\b", " < best")))
    model, _, images, _ = digits
    got = predicted(node, javascript.script(program_of(model)), images[:50], tmp_path)
    assert not np.allclose(got, model.predict_proba(images[:50]), atol=1e-5)


def test_a_drawing_is_brought_to_the_form_of_the_images(node, digits, tmp_path):
    """An image ten times as large, moved to a corner, comes back close to what it was."""
    model, page, images, labels = digits
    large = [
        np.kron(image[:, :, 0], np.ones((10, 10)))[20:, 20:].round().astype(int) for image in images[:60]
    ]
    text = model_part(page) + f"\nconst all = {json.dumps([a.ravel().tolist() for a in large])};\n"
    found = node(
        text + "console.log(JSON.stringify(all.map((a) => Array.from(cropped(a, 260, 260)))));", tmp_path
    )
    pictures = np.array(found).reshape(-1, 28, 28, 1).astype(np.uint8)
    assert np.abs(pictures.astype(float) - images[:60]).mean() < 20
    assert (model.predict(pictures) == labels[:60]).mean() > (
        model.predict(images[:60]) == labels[:60]
    ).mean() - 0.1


def test_the_page_needs_nothing_else(digits):
    _, page, *_ = digits
    assert not re.search(r"https?:|src=|href=|import\s*\(|fetch\(", page)
    assert "{{" not in page
    assert "<9>" not in page  # names of classes cannot end the script
    assert "\\u003c9>" in page


def test_all_scripts_of_the_page_parse(node, digits, tmp_path):
    _, page, *_ = digits
    scripts = re.findall(r"<script[^>]*>\n(.*?)</script>", page, re.S)
    assert scripts
    for script in scripts:
        assert node(f"new Function({json.dumps(script)}); console.log('true');", tmp_path) is True


REFUSED = {
    "several inputs": (xpnn.Graph(("a", "b"), {"c": (xpnn.Add(), ("a", "b"))}, "c"), ((2,), (2,)), {}),
    "ids": ([xpnn.Embedding(3, 2)], (2,), {}),
    "channels first": ([xpnn.Dense(2)], (2,), {"channels": "first"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_page_cannot_show(name, tmp_path):
    net, shape, settings = REFUSED[name]
    with pytest.raises(UsageError):
        save_html(xpnn.Model(net, shape, seed=0), tmp_path / "m.html", **settings)
    assert not list(tmp_path.iterdir())


def test_what_a_page_knows_of_the_layers():
    """The form of what each gives, and of weights on pixels, for drawing them."""
    layers = [xpnn.Conv2D(3, (2, 4)), xpnn.ReLU(), xpnn.Flatten(), xpnn.Dense(2), xpnn.Softmax()]
    assert described(layers, (4, 5, 1)) == {
        "0 Conv2D": ([3, 2, 3], True, [3, 2, 3], {"form": [2, 4, 1], "count": 3, "kernel": True}),
        "1 ReLU": ([3, 2, 3], True, [3, 2, 3], None),
        "3 Dense": ([2], False, [1, 1, 2], None),
        "4 Softmax": ([2], False, [1, 1, 2], None),
    }
    assert described([xpnn.Flatten(), xpnn.Dense(7), xpnn.Dense(60)], (4, 5, 3)) == {
        "1 Dense": ([7], False, [1, 1, 7], {"form": [4, 5, 3], "count": 7, "kernel": False}),
        "2 Dense": ([60], False, [1, 1, 60], None),
    }
    assert described([xpnn.Conv2D(2, 1), xpnn.Conv2D(4, (3, 2)), xpnn.Tanh()], (4, 5, 3)) == {
        "0 Conv2D": ([4, 5, 2], True, [4, 5, 2], {"form": [1, 1, 3], "count": 2, "kernel": True}),
        "1 Conv2D": ([2, 4, 4], True, [2, 4, 4], None),
        "2 Tanh": ([2, 4, 4], True, [2, 4, 4], None),
    }
    assert described([xpnn.Dense(5), xpnn.ReLU()], (3,)) == {
        "0 Dense": ([5], False, [1, 1, 5], None), "1 ReLU": ([5], False, [1, 1, 5], None),
    }  # fmt: skip


def described(layers, shape):
    """{name: (shape, whether channels come first, form, what is said of its weights)}."""
    model = xpnn.Model(layers, shape, seed=0)
    text = javascript.script(program_of(model), html_export.layers_of(model))
    (line,) = (one for one in text.splitlines() if one.startswith("const layers = "))
    found = {}
    for one in re.findall(
        r"\{\.\.\.(\{.*?\}), values: \w+(?:, weights: \{\.\.\.(\{.*?\}), values: \w+\})?\}", line
    ):
        about, weights = (json.loads(part) if part else None for part in one)
        found[about.pop("name")] = (about.pop("shape"), about.pop("first"), about.pop("form"), weights)
        assert not about
    return found
