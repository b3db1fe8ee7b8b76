"""The site: every class has its page, and all of it builds without a warning, every page run, every link followed."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

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
