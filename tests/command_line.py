"""What the tests of the command line share: a clean place, calls in this process, and a terminal of 80 columns."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import xpnn

ROOT = Path(xpnn.__file__).parents[1]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty current folder, and none of the variables that change what the commands do."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("XPNN_") or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def on_a_terminal(*args, columns=80, **env):
    """What a terminal would have received of a real process, and the exit code."""
    main, sub = pty.openpty()
    fcntl.ioctl(sub, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "xpnn", *map(str, args)],
        stdin=sub, stdout=sub, stderr=sub, env={**os.environ, "TERM": "xterm-256color", **env},
    )  # fmt: skip
    os.close(sub)
    received = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux reports the end of a terminal as an error
            break
        if not piece:
            break
        received += piece
    os.close(main)
    return received.decode(), process.wait()
