"""`ci/gpu --distributed`: two processes train as one does, on one GPU through MPI, and on two through NCCL.

Needs two GPUs, mpi4py, and an mpiexec of its MPI. Says in a line what is missing, and then checks nothing.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT, ROOT / "tests", ROOT / "tests" / "backends", ROOT / "tests" / "distributed")
WORKER = ROOT / "tests" / "distributed" / "equal_worker.py"
TOLERANCE, DEADLINE = 1e-10, 240
"""In float64. On a GPU sums are made in no fixed order."""


def gpus() -> int:
    """How many there are; 0 without a driver."""
    import cupy

    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:
        return 0


def obstacle() -> str:
    """What is missing, in words; "" where nothing is."""
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed"
    if (found := gpus()) < 2:
        return f"there {'is one GPU' if found else 'is no GPU'}, and two are needed"
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    return "" if shutil.which("mpiexec") else "there is no mpiexec"


def check(engine: str, visible: str) -> bool:
    """Train the rows of the tests by two processes and by one, and print the largest difference."""
    paths = os.pathsep.join(map(str, FOLDERS))
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": visible, "PYTHONPATH": paths}
    with tempfile.TemporaryDirectory() as folder:
        command = ["mpiexec", "-n", "2", sys.executable, str(WORKER), folder, "few", "cupy", engine]
        ended = subprocess.run(command, env=environment, timeout=DEADLINE, check=False)
        if ended.returncode:
            print(f"{engine} on GPU {visible}: exit code {ended.returncode}")
            return False
        worst = max(json.loads((Path(folder) / "report.json").read_text()).values())
    print(f"{engine} on GPU {visible}: two processes differ from one by {worst:.1e} at most")
    return bool(worst <= TOLERANCE)


def main() -> int:
    """The exit code: 0 also where nothing could be checked."""
    if missing := obstacle():
        print(f"ci/gpu --distributed: skipped, {missing}")
        return 0
    return 0 if all([check("mpi", "0"), check("nccl", "0,1")]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
