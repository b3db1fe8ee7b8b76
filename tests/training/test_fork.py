"""A process that forks: what the child may do, and what it must leave to its parent."""

import subprocess
import sys
from pathlib import Path

FORK = """
import os, sys
from pathlib import Path
import numpy as np
import xpnn
from xpnn.errors import FileError, UsageError

def child(act):
    number = os.fork()
    if number == 0:
        try:
            act()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
"""
GOES_ON = """
x = np.sin(np.arange(64 * 300.0)).reshape(64, 300)
layers = [xpnn.Dense(400), xpnn.ReLU(), xpnn.Dropout(0.2), xpnn.Dense(2)]
trainer = xpnn.Trainer(xpnn.Model(layers, (300,), seed=0))
y = np.arange(64) % 2
trainer.fit(x, y, epochs=1)

def act():
    trainer.fit(x, y, epochs=1)
    Path("child").write_bytes(trainer.model.theta.tobytes() + trainer.model.forward(x).tobytes())

child(act)
trainer.fit(x, y, epochs=1)
assert Path("child").read_bytes() == trainer.model.theta.tobytes() + trainer.model.forward(x).tobytes()
"""
LOCKED = """
from xpnn.cli.lock import Lock
lock = Lock(Path("."))
child(lock.release)

def act():
    try:
        Lock(Path("."))
    except FileError as error:
        assert f"process {os.getppid()} of host" in str(error), error
    else:
        raise AssertionError("two processes hold one lock")

child(act)
lock.release()
child(lambda: Lock(Path(".")).release())
"""
READS_AHEAD = """
from xpnn.data import Batches
batches = Batches(np.arange(40.0), np.arange(40), batch_size=4, ahead=2)
running = batches.epochs(2)
first = next(running)

def act():
    try:
        next(running)
    except UsageError as error:
        assert f"a thread of process {os.getppid()}" in str(error), error
    else:
        raise AssertionError("it went on")
    restarted = list(batches.epochs(2, start=(1, 1)))
    assert len(restarted) == 19

child(act)
assert len(list(running)) == 19
"""


def forked(folder, code):
    done = subprocess.run(
        [sys.executable, "-c", FORK + code], cwd=folder, capture_output=True, text=True, timeout=60, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_child_goes_on_to_the_same_bits(tmp_path):
    """After BLAS has started its threads, and in both at once as in one."""
    forked(tmp_path, GOES_ON)


def test_the_lock_of_a_run_stays_its_parents(tmp_path):
    """Also when the child cleans up as the parent would."""
    forked(tmp_path, LOCKED)


def test_a_thread_that_reads_ahead_does_not_come_along(tmp_path):
    """An error at once, where the child would wait for ever; the parent reads on."""
    forked(tmp_path, READS_AHEAD)
