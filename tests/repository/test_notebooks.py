"""The notebooks are those of their scripts, and run from top to bottom in a kernel."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = {"digits": (4, 3), "own_parts": (3, 1), "spiral": (2, 4)}
"""How many tables and pictures each shows."""
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def test_each_is_made_from_its_script():
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)
    done = subprocess.run(
        [sys.executable, ROOT / "ci" / "notebooks.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_cell_begins_at_its_mark():
    text = runpy.run_path(str(ROOT / "ci" / "notebooks.py"))["notebook"](
        "# %% [markdown]\n# # A title\n#\n# text\n\n# %%\nx = 1\n\n\n# %%\nx\n"
    )
    import json

    cells = json.loads(text)["cells"]
    assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code"]
    assert ["".join(cell["source"]) for cell in cells] == ["# A title\n\ntext", "x = 1", "x"]


@pytest.mark.oracle
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_tables_and_pictures(path, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    book = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(book, timeout=60, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    shown = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    kinds = [kind for output in shown for kind in output.get("data", {})]
    tables, pictures = SHOWN[path.stem]
    assert kinds.count("text/html") >= tables
    assert kinds.count("image/png") == pictures
    assert not [output for output in shown if output.output_type == "stream"], (
        "nothing is printed beside the tables"
    )
    if path.stem == "digits":
        table = next(out["data"]["text/html"] for out in shown if "valid_top_k" in str(out.get("data", "")))
        assert table.count("<tr>") == 5
        assert "<progress" not in table
