"""The sdist and the wheel that would be published: built, looked into, installed in a folder of its own, and run."""

import email
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The folder with both, and the paths of the sdist and of the wheel."""
    pytest.importorskip("hatchling")
    out = tmp_path_factory.mktemp("packages")
    command = [sys.executable, "-m", "hatchling", "build", "-d", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out, next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


def test_the_sdist_has_documents_tests_and_examples(packages):
    with tarfile.open(packages[1]) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"docs/guide.md", "docs/own-parts.md", "examples/notebooks/digits.ipynb", "Dockerfile"} <= names
    assert {"tests/conftest.py", "pyproject.toml", "ci/train", "xpnn/py.typed"} <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith((".git/", "runs/"))]


def test_the_wheel_says_what_it_is(packages):
    with zipfile.ZipFile(packages[2]) as file:
        about = email.message_from_bytes(
            file.read(next(n for n in file.namelist() if n.endswith("METADATA")))
        )
        points = file.read(next(n for n in file.namelist() if n.endswith("entry_points.txt"))).decode()
    assert about["Requires-Python"] == ">=3.11"
    assert {"torch", "fast", "plot"} <= set(about.get_all("Provides-Extra"))
    assert "xpnn = xpnn.cli:main" in points  # what `uvx xpnn` and `pipx run xpnn` look for


def test_the_installed_wheel_trains_without_the_checkout(packages, tmp_path):
    target = tmp_path / "site"
    with zipfile.ZipFile(packages[2]) as file:
        file.extractall(target)
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        "PYTHONPATH": str(target)
    }
    where = [sys.executable, "-c", "import xpnn; print(xpnn.__file__)"]
    done = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(target)
    train = [
        sys.executable,
        "-m",
        "xpnn",
        "train",
        "spiral",
        "--epochs",
        "1",
        "--hidden",
        "4",
        "--backend",
        "numpy",
    ]
    done = subprocess.run(train, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "test accuracy" in done.stdout
    assert (tmp_path / "runs" / "spiral-mlp-1" / "best.safetensors").exists()
