"""Several processes under a launcher, with a deadline; where it passes, the error says which ranks were where."""

import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = (ROOT, ROOT / "tests", ROOT / "tests" / "backends", ROOT / "tests" / "distributed")
RANK = ("PMI_RANK", "RANK", "JAX_PROCESS_ID")
"""Where mpiexec, torchrun and a user of JAX say which process it is."""


def mpiexec():
    """Its path: that of the wheel lies beside this Python. Skips without one, or without mpi4py."""
    pytest.importorskip("mpi4py")
    beside = str(Path(sys.executable).parent)
    found = shutil.which("mpiexec", path=os.pathsep.join((beside, os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip("mpiexec is not installed")
    return found


def environment(numba=False, **more):
    """For processes on few cores: one thread each. A signal that ends them shows where they were."""
    hidden = () if numba else (ROOT / "tests" / "without_numba",)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    threads |= {"PYTHONFAULTHANDLER": "1"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "SLURM", "OMPI", "COVERAGE"))}
    return kept | threads | {"PYTHONPATH": os.pathsep.join(map(str, (*hidden, *PATHS)))} | more


def launch(command, cwd=None, **more):
    """The command, in a process group of its own."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        list(map(str, command)), env=environment(XPNN_TEST_MARK=mark, **more), cwd=cwd or ROOT, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.mark = mark
    return process


def start(ranks, *args, **more):
    """mpiexec -n RANKS python ARGS. A colon among them begins the arguments of one process more."""
    command = [mpiexec(), "-n", str(ranks), sys.executable]
    for arg in args:
        command += [":", "-n", "1", sys.executable] if arg == ":" else [arg]
    return launch(command, **more)


def torchrun(ranks, *args, **more):
    """The same by PyTorch's launcher."""
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return launch([*command, *args], **more)


def ranks_of(process):
    """{rank: process id} of those that the launcher has started and that still run."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = dict(
                pair.split("=", 1) for pair in (folder / "environ").read_text().split("\0") if "=" in pair
            )
        except (OSError, ValueError):
            continue
        if words.get("XPNN_TEST_MARK") == process.mark:
            found |= {int(words[name]): int(folder.name) for name in RANK if name in words}
    return found


def finish(process, deadline, places=None):
    """(exit code, stdout, stderr). places: a folder with a file for each rank that says where it is."""
    try:
        out, err = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        waiting = ranks_of(process)
        for pid in waiting.values():
            os.kill(pid, signal.SIGABRT)  # each prints its stack
        try:
            out, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        files = sorted(Path(places).glob("[0-9]*")) if places else []
        where = "\n".join(f"rank {file.name} was at {file.read_text()}" for file in files)
        pytest.fail(
            f"no end within {deadline} s, ranks {sorted(waiting)} still ran\n{where}\n{out[-1000:]}\n{err[-4000:]}"
        )
    return process.returncode, out, err


def run(ranks, *args, deadline=120, places=None, **more):
    """Start and finish."""
    return finish(start(ranks, *args, **more), deadline, places)
