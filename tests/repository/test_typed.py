"""What the documents show passes mypy --strict and pyright: names for objects, lists for chains and groups.

Functions of the documents have no annotations, as people write them there; their bodies are checked all the same.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
DOCUMENTS = {
    "readme": ("README.md", 1),
    "guide": ("docs/guide.md", None),
    "parts": ("docs/own-parts.md", None),
}
BY_HAND = '# mypy: disable-error-code="no-untyped-def,no-untyped-call"\n'
FORMS = """
import xpnn
from xpnn.losses import MeanSquaredError, MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.optimizers import Constrained, Group, Groups, MaxNorm

net = xpnn.Sequential([xpnn.Dense(4), xpnn.Residual([xpnn.Dense(4), xpnn.Tanh()]), xpnn.Recompute([xpnn.ReLU()])])
both = xpnn.Parallel([[xpnn.Dense(2), xpnn.ReLU()], xpnn.Dense(2)], merge="add")
graph = xpnn.Graph(inputs=["a", "b"], nodes={"c": (xpnn.Add(), ["a", "b"])}, outputs="c")
rows = xpnn.Graph(inputs="a", nodes=[("c", xpnn.Dense(2), "a"), ("d", xpnn.Shared("c"), "a")], outputs=("c", "d"))
loss = MultiOutputLoss([SoftmaxCrossEntropy(), MeanSquaredError()], weights=[1, 2])
rule = Groups(Constrained(xpnn.Adam(1e-3), [MaxNorm("*.W")]), [Group("0.*", frozen=True)])
model = xpnn.Model([net, both], (3,), backend="numpy", loss="softmax_cross_entropy")
history = model.fit([[0.0, 1.0, 2.0]], [1], optimizer="adam", schedule="cosine", metrics=["f1"], verbose=0)
best: float = min(history["loss"])
chain: tuple[xpnn.Layer, ...] = net.layers
"""
WRONG = """
import xpnn

xpnn.Sequential([xpnn.Dense(4), 7])
xpnn.Model([xpnn.Dense(2)], (3,), optimizer="adam")
xpnn.Groups(xpnn.Adam(1e-3), ["0.*"])
xpnn.Model([xpnn.Dense(2)], (3,)).fit([[0.0]], [1], epoch=3)
xpnn.Model([xpnn.Dense(2)], (3,)).compile()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file for each document and example, and one of forms and one of mistakes."""
    made = tmp_path_factory.mktemp("typed")
    texts = {
        name: "\n".join(BLOCK.findall((ROOT / path).read_text())[:n]) for name, (path, n) in DOCUMENTS.items()
    }
    examples = [*(ROOT / "examples").glob("*.py"), *(ROOT / "examples" / "notebooks").glob("*.py")]
    texts |= {path.stem: path.read_text() for path in examples}
    assert all(texts.values())
    for name, text in texts.items():
        (made / f"shown_{name}.py").write_text(BY_HAND + text)
    (made / "shown_forms.py").write_text(FORMS)
    (made / "wrong.py").write_text(WRONG)
    (made / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{ROOT}"], "typeCheckingMode": "standard"}}')
    return made


def errors(text, name):
    """The lines of wrong.py, or of all other files, that are in a checker's answer."""
    found = re.findall(r"(\w+)\.py:(\d+).*?error: (.*)", text)
    return [one for one in found if (one[0] == "wrong") == (name == "wrong")]


def held(command, folder):
    """Everything shown passes; each of the five mistakes is found, or this would show nothing."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    out = done.stdout + done.stderr
    assert errors(out, "shown") == [], out
    assert {line for _, line, _ in errors(out, "wrong")} == {"4", "5", "6", "7", "8"}, out


def test_mypy_passes(folder):
    pytest.importorskip("mypy")
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    files = sorted(path.name for path in folder.glob("*.py"))
    done = [sys.executable, "-m", "mypy", "--strict", *settings, *files]
    held(["env", f"MYPYPATH={ROOT}", *done], folder)


@pytest.mark.oracle
def test_pyright_passes(folder):
    """basedpyright is pyright with its own Node.js in the wheel."""
    pytest.importorskip("basedpyright")
    held([sys.executable, "-m", "basedpyright", "--project", str(folder)], folder)
