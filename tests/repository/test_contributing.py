"""docs/contributing.md, followed word for word in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "contributing.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
BLOCK = re.compile(r"^`([\w./]+)`:\n\n```python\n(.*?)^```", re.M | re.S)
CHANGES = re.compile(r"^`([\w./]+)`:\n\n((?:```diff\n.*?^```\n)+)", re.M | re.S)
CHANGE = re.compile(r"^```diff\n(.*?)^```", re.M | re.S)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)


@pytest.fixture
def copy(tmp_path):
    """A copy of what the commands need, with what Python and numba have compiled already."""
    half_written = ("*.pyc.*", "*.tmp.*")
    leave = shutil.ignore_patterns("reports", "_build", "*-pytest-*", *half_written)
    for name in ("xpnn", "tests", "ci", "examples", "benchmarks", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=leave)
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def run(folder, command):
    """A line of the page, by this Python."""
    words = command.replace("python ", f"{sys.executable} ", 1)
    env = os.environ | {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    env["PYTEST_ADDOPTS"] = "-p no:cacheprovider -p _hypothesis_pytestplugin"
    return subprocess.run(
        ["sh", "-c", words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def changed(text, diff):
    """The text after a change: the lines with " " and "-" are found once and replaced by those with " " and "+"."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
    assert text.count(old) == 1, old
    return text.replace(old, new)


def follow(folder, section):
    """Write the files of a section, make its changes and run its commands; the output of the last one."""
    for path, text in BLOCK.findall(SECTIONS[section]):
        (folder / path).write_text(text)
    for path, diffs in CHANGES.findall(SECTIONS[section]):
        for diff in CHANGE.findall(diffs):
            (folder / path).write_text(changed((folder / path).read_text(), diff))
    for line in COMMANDS.search(SECTIONS[section])[1].splitlines():
        done = run(folder, line)
        assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "least"),
    [
        ("A layer", 40),
        ("A loss", 20),
        ("An optimizer", 4),
        ("A fusion rule", 6),
        ("A kernel that a backend does better", 2),
        ("A command", 4),
    ],
)
def test_a_section_passes_its_checks(copy, section, least):
    passed = re.search(r"(\d+) passed", follow(copy, section))
    assert int(passed[1]) >= least
    for path, _ in BLOCK.findall(SECTIONS[section]) + CHANGES.findall(SECTIONS[section]):
        for check in ("check --ignore I001", "format --check"):  # outside git, ruff takes xpnn for a library
            done = run(copy, f"python -m ruff {check} --no-cache {path}")
            assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_layer_without_a_row_fails_with_the_place_to_add_it(copy):
    (path, text), _ = BLOCK.findall(SECTIONS["A layer"])
    (copy / path).write_text(text)
    done = run(
        copy, "python -m pytest -q tests/repository -k 'has_a_row or has_faults or with_a_gradient or stubs'"
    )
    assert done.returncode == 1
    for said in (
        "add a row to a file of tests/cases/layers: Squareplus",
        "add to PLANTED in a file of tests/cases/layers: Squareplus",
        "run `python ci/names.py`",
    ):
        assert said in done.stdout


@pytest.mark.oracle
def test_the_backend_of_the_page_passes_its_checks(copy):
    pytest.importorskip("dask.array")
    (_, text), *_ = BLOCK.findall(SECTIONS["A backend"])
    example = (ROOT / "examples" / "dask_backend.py").read_text().replace("\nimport xpnn\n", "\n")
    assert text.partition("@register")[2] in example
    assert " passed" in follow(copy, "A backend")


def test_the_page_names_real_files():
    for path in re.findall(r"`((?:xpnn|tests|examples|ci)/[\w./]+)`(?!:)", TEXT):
        assert (ROOT / path).exists(), path
    for path in re.findall(
        r"`((?:layers|fusion|backends|cli|cpu|cuda|optimizers|interchange)/[\w./]+\.py)`", TEXT
    ):
        assert any(path in str(file) for file in (ROOT / "xpnn").rglob("*.py")), path


def test_commits_are_checked_as_ci_test_checks():
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    script = (ROOT / "ci" / "test").read_text()
    checked = [hook.removesuffix(" --force-exclude") for hook in hooks if hook != "python ci/names.py"]
    assert checked == ["ruff check", "ruff format", "mypy", "python ci/sizes.py"]
    assert all(any(line.startswith(hook) for line in script.splitlines()) for hook in checked)


def test_the_citation_is_of_this_version():
    version = re.search(r'__version__ = "(.+)"', (ROOT / "xpnn" / "__init__.py").read_text())[1]
    assert f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()
