"""The site: every class has its page, and all of it builds without a warning, every page run, every link followed."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from xpnn.names import classes_in

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHAPTERS = sorted((DOCS / "site" / "chapters").glob("*.md"))


def test_every_layer_loss_and_optimizer_has_its_derivation():
    """One section in one chapter, with a text; the chapters are all in the contents, in their order."""
    sections = [re.split(r"^## (\w+)\n", path.read_text(), flags=re.M)[1:] for path in CHAPTERS]
    names = Counter(name for parts in sections for name in parts[::2])
    public = {name for package in ("layers", "losses", "optimizers") for name in classes_in(package)}
    assert set(names) == public | {"Neuron"}
    assert set(names.values()) == {1}
    assert all(len(text.split()) > 6 for parts in sections for text in parts[1::2])
    listed = re.findall(r"^pages/derivations/([\w-]+)$", (DOCS / "index.md").read_text(), re.M)
    assert listed == [path.stem for path in CHAPTERS]


def test_every_document_is_in_the_contents():
    listed = set(re.findall(r"^([\w-]+)$", (DOCS / "index.md").read_text(), re.M))
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= listed


@pytest.mark.oracle
def test_the_site_builds(tmp_path):
    """`ci/docs --fast`, in a copy: its pages lie beside the documents. Pictures and the gallery's runs are left out."""
    for module in ("sphinx_gallery", "myst_nb", "pydata_sphinx_theme", "latex2mathml"):
        pytest.importorskip(module)
    made = shutil.ignore_patterns("pages", "_build", "__pycache__", "out")
    for folder in ("docs", "examples", "ci"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=made)
    for name in ("xpnn", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["bash", "ci/docs", "--fast"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    dense = (
        tmp_path / "docs" / "site" / "_build" / "html" / "pages" / "derivations" / "Dense.html"
    ).read_text()
    assert "<math" in dense
    text = re.sub(r"<[^>]+>", "", dense)
    for shown in ("Step by step", "cx.be.matmul(rows.T, drows)", "grads.W", "directions"):
        assert shown in text, shown


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "a.html").write_text('<p id="here"><a href="b.html#there">b</a><a href="#gone">c</a>')
    (tmp_path / "b.html").write_text(
        '<a href="a.html#here"></a><img src="none.png"><a href="https://x.org/y">d</a>'
    )
    links = ROOT / "docs" / "site" / "links.py"
    done = subprocess.run([sys.executable, links, tmp_path], capture_output=True, text=True, check=False)
    lines = [
        "a.html: b.html#there leads nowhere",
        "a.html: #gone leads nowhere",
        "b.html: none.png leads nowhere",
    ]
    assert (done.returncode, done.stdout.splitlines()) == (1, lines)
