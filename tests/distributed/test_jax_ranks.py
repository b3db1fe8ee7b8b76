"""Processes of jax.distributed: found by the environment alone, or by MPI under mpiexec."""

import json
import socket
import subprocess
import sys

import pytest
from mpi_launch import ROOT, environment, run
from test_ranks import CONTROL, WORKER

pytestmark = pytest.mark.oracle
DEADLINE = 90


def started_alone(ranks, *args):
    """(exit code, stdout, stderr) of each of the processes, which no launcher knows of."""
    pytest.importorskip("jax")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    given = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(ranks), "JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, args)], env=environment(JAX_PROCESS_ID=str(rank), **given), cwd=ROOT,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(ranks)
    ]  # fmt: skip
    try:
        ended = [process.communicate(timeout=DEADLINE) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, ended, strict=True)]


def test_processes_find_each_other_by_the_environment(tmp_path):
    ended = started_alone(3, WORKER, tmp_path, "control", "steps")
    for code, _, err in ended:
        assert code == 0, err[-3000:]
    found = dict(map(json.loads, ended[0][1].splitlines()))
    assert found["control"] == CONTROL
    assert found["steps"] < 1e-12
    assert ended[1][1] == ended[2][1] == ""


def test_the_command_trains_under_mpiexec(tmp_path):
    """Nothing but the run's own lines on stdout; a batch that cannot be divided equally is refused."""
    pytest.importorskip("jax")
    train = ("-m", "xpnn", "train", "spiral", "--epochs", "1", "--distributed", "jax", "--backend", "jax")
    code, out, err = run(2, *train, "--json", "--batch-size", "500", cwd=tmp_path, deadline=DEADLINE)
    assert code == 0, err
    assert [json.loads(line)["event"] for line in out.splitlines()][-1] == "end"
    code, out, err = run(3, *train, "--batch-size", "500", cwd=tmp_path, deadline=DEADLINE)
    assert code == 2, err
    assert err.count("batches of 500 samples for 3 processes") == 1
    assert "498 or 501" in err
