"""The Python of the documents runs, and the table of proofs names every public class."""

import pathlib
import re
import subprocess
import sys

import pytest
from proof_table import KINDS, children

ROOT = pathlib.Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.M | re.S)


def run(code, folder):
    """stdout of a fresh interpreter, in a folder of its own."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def blocks(name):
    found = BLOCK.findall((ROOT / name).read_text())
    assert found
    return found


def test_the_guide_runs(tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("onnx")
    out = run("\n".join(blocks("docs/guide.md")), tmp_path)
    assert "Dense" in out
    assert (tmp_path / "pictures" / "lr.png").exists()


def test_the_page_of_own_parts_runs(tmp_path):
    out = run("\n".join(blocks("docs/own-parts.md")), tmp_path)
    lines = out.splitlines()
    assert float(lines[0]) < 0.1
    assert 0.9 < float(lines[1]) < 1.8  # the 0.9-quantile of N(0, 1) is 1.28
    assert (tmp_path / "gain.safetensors").exists()


def test_the_page_for_those_who_come_from_elsewhere_runs(tmp_path):
    pytest.importorskip("sklearn")
    out = run("\n".join(blocks("docs/coming-from.md")), tmp_path)
    assert abs(float(out.splitlines()[-1]) - 1.0986) < 0.01  # log 3


def test_the_block_about_several_processes_runs_in_one(tmp_path):
    before = (
        "import numpy as np\n\nimport xpnn\n\nx, y = np.eye(4), np.arange(4) % 2\n"
        "model = xpnn.Model([xpnn.Dense(2)], (4,), seed=0)\n"
    )
    run(before + "\n".join(blocks("docs/cluster.md")), tmp_path)
    assert (tmp_path / "model.safetensors").exists()


@pytest.mark.slow
def test_the_readme_prints_the_numbers_it_says(tmp_path):
    block = blocks("README.md")[0]
    said = re.search(r"# about \{'loss': ([\d.]+), 'accuracy': ([\d.]+)\}", block)
    out = run(block, tmp_path)
    got = re.search(r"\{'loss': ([\d.]+), 'accuracy': ([\d.]+)\}", out)
    assert abs(float(got[1]) - float(said[1])) < 0.01
    assert abs(float(got[2]) - float(said[2])) < 0.005


def test_the_readme_shows_a_layer_as_it_is():
    """Line by line as in its file, which also has types, limits, checks, docstrings, and a Dense without a bias."""
    (shown,) = (block for block in blocks("README.md") if "(Layer)" in block)
    source = (ROOT / "xpnn" / "layers" / "dense.py").read_text()
    source = re.sub(
        r": (Ctx|Tree|Array|Shape|tuple\[Any, \.\.\.\])\b|: tuple\[Any, \.\.\.\]| -> [^:]*(?=:\n)", "", source
    )
    source = (
        source.replace("self.init", "he_normal")
        .replace("self.bias_init", "zeros")
        .replace(": Count", ": int")
    )
    lines = {line.strip() for line in source.splitlines()}
    assert [line for line in shown.splitlines() if line.strip() not in lines and '"""' not in line] == []


def test_the_readme_fits_and_names_real_files():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    for path in re.findall(r"`((?:xpnn|tests|docs|benchmarks|examples)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path


def test_the_changes_of_a_release_fit_one_screen():
    """Fragments have the names that towncrier knows, and CHANGELOG.md has the line behind which it puts them."""
    fragments = sorted(set((ROOT / "changelog.d").iterdir()) - {ROOT / "changelog.d" / "README.md"})
    assert all(re.fullmatch(r"[\w-]+\.(added|changed|fixed)\.md", path.name) for path in fragments), fragments
    assert sum(len(path.read_text().splitlines()) for path in fragments) <= 64, (
        "join fragments on one subject"
    )
    assert "\n<!-- towncrier release notes start -->\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_table_of_proofs_names_what_there_is():
    """A class that came after the last `ci/coverage` is not in it yet: no other file waits for a full run."""
    rows = re.findall(
        r"^\| (\w+) \| (\w+) \|", (ROOT / "docs" / "coverage.md").read_text().partition("##")[0], re.M
    )
    known = {(kind, cls.__name__) for kind, base in KINDS.items() for cls in children(base)}
    assert len(rows) > 100
    assert set(rows[1:]) <= known, "run ci/coverage"


def test_every_promise_of_security_names_a_test_that_there_is():
    """Each row of a table names one at least; a file in tests/, or a function in it after `::`."""
    text = (ROOT / "docs" / "security.md").read_text()
    text = re.sub(r"<!-- figures.*?<!-- end -->", "", text, flags=re.DOTALL)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith(("| promise |", "| reader |"))]
    assert len(promises) > 20
    for row in promises:
        assert re.search(r"`\w+/test_\w+\.py", row), row
    for file, _, function in re.findall(r"`(\w+/test_\w+\.py)(::(\w+))?`", text):
        path = ROOT / "tests" / file
        assert path.exists(), file
        assert f"def {function}(" in path.read_text() if function else "def test_" in path.read_text(), (
            file,
            function,
        )
