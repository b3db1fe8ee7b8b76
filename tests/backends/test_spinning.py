"""OpenBLAS's threads are started anew with a short timeout, once, and only where nothing else can be in a product."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys, threading
import numpy as np
import xpnn
from xpnn.backends.cpu.blas import blas

a = np.ones((512, 512), np.float32)

def threads():
    a @ a
    return set(os.listdir("/proc/self/task"))

def trained():
    trainer = xpnn.Trainer(xpnn.Model([xpnn.Dense(2)], (3,), seed=0, backend="numpy"))
    return trainer.step(np.ones((4, 3), np.float32), np.zeros(4, int))

first = threads()
if sys.argv[1] == "beside a thread":
    pause = threading.Event()
    other = threading.Thread(target=pause.wait)
    other.start()
    trained()
    pause.set()
    other.join()
    print(len(first - threads()))
trained()
second = threads()
trained()
print(blas().name, len(first - second), len(second - threads()), blas().threads)
print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
"""


def run(how: str, **environment: str) -> list[str]:
    """What the program prints, with two threads."""
    settings = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", **environment}
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | settings, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="reads Linux's /proc")
@pytest.mark.parametrize(
    ("how", "environment", "want"),
    [
        ("alone", {}, ["OpenBLAS 1 0 2", "None"]),
        ("alone", {"OPENBLAS_THREAD_TIMEOUT": "24"}, ["OpenBLAS 0 0 2", "24"]),
        ("beside a thread", {}, ["0", "OpenBLAS 1 0 2", "None"]),
    ],
    ids=["alone", "user's own timeout", "beside another thread"],
)
def test_the_threads_are_started_anew_once(how: str, environment: dict[str, str], want: list[str]) -> None:
    assert run(how, **environment) == want
