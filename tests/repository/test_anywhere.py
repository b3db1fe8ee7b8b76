"""The suite runs in any order, in a folder with spaces, without a home to write to, and without a network."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from alone import NetworkError

TOP = Path(__file__).parents[2]
SAMPLE = [
    "cli/test_cli_plot.py", "data/test_sources.py", "files/test_ownership.py", "training/test_lines.py",
    "losses/test_reductions.py", "plots/test_plots.py", "repository/test_docs.py",
]  # fmt: skip
"""A file of many a folder, those first that make files, folders and processes."""


@pytest.mark.slow
def test_a_copy_in_a_folder_with_spaces_without_a_home(tmp_path):
    """HOME is a place that even root cannot write to; the order is another one; temporary files have spaces too."""
    copy = tmp_path / "a folder with spaces"
    leave = shutil.ignore_patterns(".git", ".venv*", ".mutants", "__pycache__", ".*_cache", "runs")
    shutil.copytree(TOP, copy, ignore=leave)
    (tmp_path / "temporary files").mkdir()
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("XPNN_", "XDG_", "PYTEST_"))
    }
    env |= {"HOME": "/proc/nowhere", "PYTHONPATH": str(copy), "TMPDIR": str(tmp_path / "temporary files")}
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
    command += ["--shuffle", "3", "-m", "not slow and not oracle", *(f"tests/{name}" for name in SAMPLE)]
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


def test_shuffled_tests_are_the_same_in_another_order():
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "--collect-only",
        "tests/training",
        "-m",
        "not slow",
    ]
    orders = []
    for more in ([], ["--shuffle", "1"], ["--shuffle", "1"], ["--shuffle", "2"]):
        done = subprocess.run([*command, *more], cwd=TOP, capture_output=True, text=True, check=True)
        orders.append([line for line in done.stdout.splitlines() if "::" in line])
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[1] == orders[2]
    assert orders[0] != orders[1] != orders[3]
