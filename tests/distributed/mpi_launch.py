"""Several processes under mpiexec, with a deadline; where it passes, the error says which rank was where."""

import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = (ROOT, ROOT / "tests", ROOT / "tests" / "backends", ROOT / "tests" / "distributed")


def mpiexec():
    """Its path: that of the wheel lies beside this Python. Skips without one, or without mpi4py."""
    pytest.importorskip("mpi4py")
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpiexec", path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip("there is no mpiexec")
    return found


def environment(**more):
    """For processes on few cores: one thread each."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "SLURM", "OMPI", "COVERAGE"))}
    return kept | threads | {"PYTHONPATH": os.pathsep.join(map(str, PATHS))} | more


def start(ranks, *args, cwd=None, **more):
    """mpiexec -n RANKS python ARGS, in a process group of its own."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        [mpiexec(), "-n", str(ranks), sys.executable, *map(str, args)],
        env=environment(XPNN_TEST_MARK=mark, **more), cwd=cwd or ROOT, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.mark = mark
    return process


def finish(process, deadline, places=None):
    """(exit code, stdout, stderr). places: a folder with a file for each rank that says where it is."""
    try:
        out, err = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        out, err = process.communicate()
        files = sorted(Path(places).glob("[0-9]*")) if places else []
        where = "\n".join(f"rank {file.name} was at {file.read_text()}" for file in files)
        pytest.fail(f"no end within {deadline} s\n{where}\n{out[-1000:]}\n{err[-2000:]}")
    return process.returncode, out, err


def run(ranks, *args, deadline=120, places=None, cwd=None, **more):
    """Start and finish."""
    return finish(start(ranks, *args, cwd=cwd, **more), deadline, places)
