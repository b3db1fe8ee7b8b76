"""The derivations of the site compute what they say. `ci/docs` builds the pages; here their cells run by themselves."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "docs" / "site"
PAGES = sorted((SITE / "derivations").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```", re.M | re.S)
INCLUDED = re.compile(r"^```\{literalinclude\} (\S+)\n:pyobject: (\S+)\n```", re.M)


def test_every_page_is_in_the_contents_and_computes_something():
    listed = re.findall(r"^derivations/(\w[\w-]*)$", (SITE / "index.md").read_text(), re.M)
    assert sorted(listed) == [page.stem for page in PAGES]
    for page in PAGES:
        assert "assert" in "".join(CELL.findall(page.read_text())), page.name


def test_the_code_shown_is_code_that_there_is():
    found = [(page, *pair) for page in PAGES for pair in INCLUDED.findall(page.read_text())]
    assert len(found) >= 5
    for page, path, name in found:
        source, cls, _, method = (page.parent / path).resolve().read_text(), *name.partition(".")
        assert re.search(rf"^class {cls}\b", source, re.M), (page.name, name)
        assert not method or f"def {method}(" in source.partition(f"class {cls}")[2], (page.name, name)


def test_the_cells_run(tmp_path):
    """All pages in one interpreter, each in names of its own."""
    pytest.importorskip("matplotlib")
    pages = {page.stem: "\n".join(CELL.findall(page.read_text())) for page in PAGES}
    code = f"for name, text in {pages!r}.items():\n    exec(compile(text, name, 'exec'), {{}})"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
