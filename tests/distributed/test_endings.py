"""How several processes end, whatever ends one of them: together, with one message, one exit code, one saved state."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from mpi_launch import finish, mpiexec, run, start

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no mpiexec")
LONG = ("spiral", "--epochs", "100000", "--hidden", "8", "--batch-size", "500")
DEADLINE = 90


def train(folder, ranks, *args, **more):
    return start(ranks, "-m", "xpnn", "train", *args, cwd=folder, **more)


def events(process, folder, wanted):
    """Read the JSON lines until `wanted` epochs have been reported. Where none comes, the processes are ended."""
    timer = threading.Timer(DEADLINE, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "epoch" and event["epoch"] >= wanted:
                return
        pytest.fail(f"no epoch {wanted} within {DEADLINE} s: {process.stderr.read()[-2000:]}")
    finally:
        timer.cancel()


def ranks_of(process):
    """{rank: process id} of what mpiexec has started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = dict(
                pair.split("=", 1) for pair in (folder / "environ").read_text().split("\0") if "=" in pair
            )
        except (OSError, ValueError):
            continue
        if words.get("XPNN_TEST_MARK") == process.mark and "PMI_RANK" in words:
            found[int(words["PMI_RANK"])] = int(folder.name)
    return found


def one_run(folder):
    (found,) = (folder / "runs").iterdir()
    return found


@pytest.mark.parametrize(
    ("signum", "target", "code", "word"),
    [
        (signal.SIGINT, "launcher", 130, "interrupted"),
        (signal.SIGTERM, "launcher", 143, "terminated"),
        (signal.SIGTERM, 1, 143, "terminated"),
        (signal.SIGUSR1, 2, 138, "stopped by SIGUSR1"),
    ],
)
def test_a_signal_to_one_stops_all_at_one_step_and_saves(tmp_path, signum, target, code, word):
    process = train(tmp_path, 3, *LONG, "--json")
    events(process, tmp_path, 2)
    os.kill(process.pid if target == "launcher" else ranks_of(process)[target], signum)
    ended, _, err = finish(process, DEADLINE)
    assert ended == code, err
    assert err.count(f"xpnn: {word}: saved in ") == 1
    folder = one_run(tmp_path)
    assert (folder / "last.safetensors").exists()
    assert not (folder / ".xpnn.lock").exists()
    assert not (folder / ".xpnn.holder").exists()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    more = str(rows[-1]["epoch"] + 3)
    code, _, err = run(2, "-m", "xpnn", "train", "--resume", folder, "--epochs", more, "--schedule", "constant",
                         cwd=tmp_path, deadline=DEADLINE)  # fmt: skip
    assert code == 2, "one-cycle spreads over the whole run"  # the error is the run's, not that of the ranks
    assert err.count("xpnn: error:") == 1


def test_a_killed_rank_ends_all(tmp_path):
    process = train(tmp_path, 3, *LONG, "--json")
    events(process, tmp_path, 2)
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    code, _, _ = finish(process, DEADLINE)
    assert code == 9
    code, _, err = run(2, "-m", "xpnn", "train", "--resume", one_run(tmp_path), "--time-limit", "0.0001",
                       cwd=tmp_path, deadline=DEADLINE)  # fmt: skip
    assert code == 0, err
    assert "ended without releasing" in err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("spiral", "--data", "nowhere.csv"), 2, ""),
        (("table", "--data", "nowhere.csv"), 7, "nowhere.csv"),
        (("spiral", "--bach-size", "3"), 2, "unknown option --bach-size"),
        (("spiral", "--lr", "1e300", "--optimizer", "sgd", "--epochs", "2"), 6, "loss became"),
    ],
)
def test_an_error_of_all_is_reported_once(tmp_path, args, code, message):
    ended, out, err = run(3, "-m", "xpnn", "train", *args, cwd=tmp_path, deadline=DEADLINE)
    assert ended == code, err
    assert err.count("xpnn: error:") == 1
    assert message in err
    assert "BAD TERMINATION" not in err
    assert out == ""


FAILING = """
import os, sys
import numpy as np, xpnn
from xpnn.distributed import connect
group = connect("mpi")
def fail(run, row):
    if group.rank == 1:
        raise xpnn.errors.DataError("the disk of this host is gone")
model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
model.fit(np.ones((8, 3)), np.arange(8) % 2, epochs=5, callbacks=[fail], verbose=0, communicator=group)
"""


def test_an_error_of_one_rank_ends_all_with_its_code(tmp_path):
    """Without an end to all, the others would wait for it in the next sum for ever."""
    code, _, err = run(3, "-c", FAILING, deadline=DEADLINE)
    assert code == 4, err
    assert err.count("the disk of this host is gone") == 1


def test_rank_0_alone_prints_and_writes(tmp_path):
    code, out, err = run(3, "-m", "xpnn", "train", "spiral", "--epochs", "2", "--hidden", "8", cwd=tmp_path,
                         deadline=DEADLINE)  # fmt: skip
    assert code == 0, err
    assert out.count("test accuracy") == 1
    assert err.count("xpnn 0.") == 1
    assert err.count("epoch   train_loss") == 1
    assert "3 processes" in err
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["spiral-mlp-1"]
    assert len((one_run(tmp_path) / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_time_limit_of_one_is_that_of_all(tmp_path):
    code, out, err = run(
        2, "-m", "xpnn", "train", *LONG, "--time-limit", "0.01", cwd=tmp_path, deadline=DEADLINE
    )
    assert code == 0, err
    assert out.count("stopped by the time limit") == 1


@pytest.mark.parametrize("name", ["PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS"])
def test_processes_that_do_not_find_each_other_are_refused(tmp_path, monkeypatch, name):
    import subprocess
    import sys

    from mpi_launch import environment

    mpiexec()
    ended = subprocess.run(
        [sys.executable, "-m", "xpnn", "train", "spiral", "--epochs", "1"], cwd=tmp_path, text=True,
        capture_output=True, env=environment(**{name: "4"}), timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert f"{name}=4" in ended.stderr
    assert "fix:" in ended.stderr
    assert not (tmp_path / "runs").exists()
