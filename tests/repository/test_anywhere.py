"""The suite runs in any order, in a folder with spaces, without a home to write to, and without a network."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import conftest
import pytest
from no_network import NetworkError

TOP = Path(__file__).parents[2]
SAMPLE = [
    "cli/test_lock.py", "data/test_sources.py", "files/test_ownership.py", "training/test_lines.py",
    "optimizers/test_schedules.py", "plots/test_plots.py",
]  # fmt: skip
"""A file of many a folder, those first that make files, folders and processes."""


@pytest.mark.slow
def test_a_copy_in_a_folder_with_spaces_without_a_home(tmp_path):
    """HOME is a place that even root cannot write to; the order is another one; temporary files have spaces too."""
    copy = tmp_path / "a folder with spaces"
    half_written = ("*.pyc.*", "*.tmp.*")
    leave = shutil.ignore_patterns(
        ".git", ".venv*", ".mutants", "*-pytest-*", ".*_cache", "runs", *half_written
    )
    shutil.copytree(TOP, copy, ignore=leave)
    (tmp_path / "temporary files").mkdir()
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("XPNN_", "XDG_", "PYTEST_"))
    }
    env |= {"HOME": "/proc/nowhere", "PYTHONPATH": str(copy), "XPNN_TEST_MODES": "numpy"}
    env |= {"TMPDIR": str(tmp_path / "temporary files")}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = (
        "1"  # those of other packages look for a home before conftest.py finds one
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "_hypothesis_pytestplugin",
        "-p",
        "no:cacheprovider",
    ]
    command += ["--shuffle", "3", "-m", "not slow and not oracle"]
    command += [f"tests/{name}" for name in SAMPLE]
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_no_test_reaches_another_machine():
    with pytest.raises(NetworkError, match=r"example\.org"):
        urllib.request.urlopen("https://example.org", timeout=1)
    with socket.socket() as plug, pytest.raises(NetworkError, match="203"):
        plug.connect(("203.0.113.1", 80))


def test_this_machine_may_be_asked():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


@dataclass(frozen=True)
class Test:
    __test__ = False
    path: str
    name: int


def test_shuffled_tests_are_the_same_in_another_order():
    tests = [Test(f"test_{file}.py", i) for file in "abcdef" for i in range(9)]

    def order(seed):
        items = list(tests)
        hook = SimpleNamespace(pytest_deselected=lambda items: None)
        conftest.pytest_collection_modifyitems(SimpleNamespace(hook=hook, getoption=lambda name: seed), items)
        return [(item.path, item.name) for item in items]

    plain, first, second = order(None), order("1"), order("2")
    assert plain == [(item.path, item.name) for item in tests]
    assert first == order("1")
    assert plain != first != second != plain
    assert sorted(first) == sorted(second) == plain
    files = [path for path, _ in first]
    assert sum(a != b for a, b in pairwise(files)) == 5  # the tests of a file stay together
