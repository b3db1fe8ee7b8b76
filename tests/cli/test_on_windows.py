"""The commands where Windows lacks what other systems have: names that are missing, and folders that cannot be opened.

A simulation: the names are taken away in a process of its own, after Python's own modules have used them.
"""

import json
import os
import subprocess
import sys

import pytest

from xpnn.system import cores, usable

HIDE = """if True:
    import asyncio, concurrent.futures, ctypes, logging, multiprocessing.connection, os, platform, shutil, signal
    import socket, subprocess, sys, tempfile, threading, uuid, zipfile
    platform.platform()
    for name in ("fcntl", "grp", "pwd", "resource", "termios"):
        sys.modules[name] = None
    sys.modules["numba"] = None  # which takes longer to load than a command to run
    for module, names in {
        os: ("O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "fork", "getuid", "geteuid", "mkfifo",
             "sched_getaffinity", "fchmod", "waitpid", "setsid"),
        signal: ("SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGKILL", "SIGPIPE"),
    }.items():
        for name in names:
            delattr(module, name)
    real, send = os.open, os.kill

    def kill(process, signum):
        if sys._getframe(1).f_globals["__name__"].startswith("xpnn"):  # filelock has other code for Windows
            raise AssertionError("on Windows, signal 0 is Ctrl-C")
        send(process, signum)

    def opened(path, flags, *more, **named):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *more, **named)

    os.kill, os.open = kill, opened
"""


def windows(folder, code, *args):
    env = {k: v for k, v in os.environ.items() if not k.startswith("XPNN_")}
    done = subprocess.run(
        [sys.executable, "-c", HIDE + code, *map(str, args)],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


MAIN = "    import warnings; warnings.simplefilter('ignore'); from xpnn.cli import main; main(sys.argv[1:])\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a run is."""
    folder = tmp_path_factory.mktemp("windows")
    flags = ["--hidden", 4, "--epochs", 2, "--backend", "numpy", "--schedule", "constant"]
    code, out, err = windows(folder, MAIN, "train", "spiral", *flags)
    assert (code, "saved  runs" in out) == (0, True), err
    return folder


@pytest.mark.parametrize(
    "args",
    [
        ["train", "--resume", "runs/spiral-mlp-1", "--epochs", "3"],
        ["evaluate"],
        ["plot", "--what", "curves,boundary"],
        ["init", "spiral"],
        ["backends"],
        ["gradcheck", "--help"],
        ["tune", "spiral", "--trials", "1", "--epochs", "1", "--backend", "numpy"],
    ],
    ids=lambda args: args[0],
)
def test_a_command_runs(folder, args):
    if args[0] in ("plot", "tune"):
        pytest.importorskip({"plot": "matplotlib", "tune": "optuna"}[args[0]])
    code, _, err = windows(folder, MAIN, *args)
    assert code == 0, err
    assert "a bug" not in err


def test_a_run_leaves_the_same_files(folder):
    names = {path.name for path in (folder / "runs" / "spiral-mlp-1").iterdir()}
    assert names >= {"best.safetensors", "last.safetensors", "metrics.jsonl", "run.json"}
    assert not {name for name in names if name.endswith(".tmp") or name == ".xpnn.holder"}
    assert json.loads((folder / "runs" / "spiral-mlp-1" / "run.json").read_text())["result"]


PREDICT = """
    import numpy as np, xpnn
    from PIL import Image
    xpnn.Model([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)], (28, 28, 1), seed=0).save("m.safetensors")
    pixels = np.zeros((28, 28), np.uint8); pixels[5:20, 10:14] = 255
    Image.fromarray(pixels).save("seven.png")
    from xpnn.cli import main; main(["predict", "seven.png", "--run", "m.safetensors"])
"""


def test_save_and_predict(folder):
    code, out, err = windows(folder, PREDICT)
    assert (code, "%" in out) == (0, True), err


LOCKS = """
    import pathlib, warnings; warnings.simplefilter("ignore")
    from xpnn.cli.lock import Lock
    from xpnn.errors import FileError
    from xpnn.durable import sweep
    folder = pathlib.Path("locked"); folder.mkdir()
    first = Lock(folder)
    try:
        Lock(folder)
    except FileError as error:
        print("refused", error.exit_code)
    first.release()
    Lock(folder).release()
    (folder / f".xpnn-{os.getppid()}-0123456789abcdef.tmp").touch()
    print(sweep(folder))
"""


def test_locks_and_processes(folder):
    """Two trainings never have one folder, and a process that lives (or may live) keeps its temporaries."""
    code, out, err = windows(folder, LOCKS)
    assert (code, out) == (0, "refused 7\n0\n"), err


def test_cores_without_the_call_that_says_which(monkeypatch):
    assert usable() == os.sched_getaffinity(0)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert usable() == {0, 1, 2}
    assert cores() == 3
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable() == {0}
