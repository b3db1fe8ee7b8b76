"""How several processes end, whatever ends one of them: together, with one message, one exit code, one saved state."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mpi_launch import environment, finish, mpiexec, ranks_of, run, start, torchrun

from xpnn.cli import process_group
from xpnn.cli.ranks import check_data
from xpnn.distributed import Communicator
from xpnn.distributed.connect import refuse_singleton
from xpnn.distributed.rendezvous import timeout
from xpnn.errors import UsageError, XpnnError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="mpiexec is not installed")
LONG = ("spiral", "--epochs", "100000", "--hidden", "8", "--batch-size", "500")
DEADLINE, SOON = 90, 20
"""Seconds for a whole run, and from a signal to the end, of which docs/cluster.md says how long it takes."""
PHASES = Path(__file__).with_name("phase_worker.py")


def train(folder, ranks, *args, **more):
    return start(ranks, "-m", "xpnn", "train", *args, cwd=folder, **more)


def events(process, folder, wanted):
    """Read the JSON lines until `wanted` epochs have been reported. Where none comes, the processes are ended."""
    there = {}

    def stop():
        there.update(ranks_of(process))
        for pid in there.values():
            os.kill(pid, signal.SIGABRT)  # each prints its stack
        os.kill(process.pid, signal.SIGTERM)

    timer = threading.Timer(DEADLINE, stop)
    timer.start()
    try:
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "epoch" and event["epoch"] >= wanted:
                return
        pytest.fail(
            f"no epoch {wanted} within {DEADLINE} s, ranks {sorted(there)}: {process.stderr.read()[-2000:]}"
        )
    finally:
        timer.cancel()


def one_run(folder):
    (found,) = (folder / "runs").iterdir()
    return found


def ended_and_saved(process, folder, word):
    """The run folder, once the processes have ended: one line says so, the state is there, and the lock is not."""
    code, _, err = finish(process, SOON)
    assert err.count(f"xpnn: {word}: saved in ") == 1, err
    found = one_run(folder)
    assert (found / "last.safetensors").exists()
    assert not (found / ".xpnn.lock").exists()
    assert not (found / ".xpnn.holder").exists()
    return code, found


@pytest.mark.parametrize(
    ("signum", "target", "ranks", "code", "word"),
    [
        (signal.SIGINT, "launcher", 2, 130, "interrupted"),
        (signal.SIGTERM, "launcher", 2, 143, "terminated"),
        (signal.SIGTERM, 1, 2, 143, "terminated"),
        (signal.SIGUSR1, 2, 3, 138, "stopped by SIGUSR1"),
    ],
)
def test_a_signal_to_one_stops_all_at_one_step_and_saves(tmp_path, signum, target, ranks, code, word):
    process = train(tmp_path, ranks, *LONG, "--json")
    events(process, tmp_path, 2)
    os.kill(process.pid if target == "launcher" else ranks_of(process)[target], signum)
    assert ended_and_saved(process, tmp_path, word)[0] == code


@pytest.mark.oracle
def test_a_signal_to_a_process_of_jax(tmp_path):
    """With psum inside the step. Nothing but the run's own lines is on stdout, though gloo would print there."""
    pytest.importorskip("jax")
    process = train(tmp_path, 2, *LONG, "--json", "--distributed", "jax", "--backend", "jax")
    events(process, tmp_path, 1)
    os.kill(ranks_of(process)[1], signal.SIGTERM)
    assert ended_and_saved(process, tmp_path, "terminated")[0] == 143


@pytest.mark.oracle
def test_a_signal_to_a_process_of_torchrun(tmp_path):
    """Which has an exit code of its own for processes that failed."""
    process = torchrun(2, "-m", "xpnn", "train", *LONG, "--json", "--backend", "torch", cwd=tmp_path)
    events(process, tmp_path, 1)
    os.kill(ranks_of(process)[1], signal.SIGTERM)
    assert ended_and_saved(process, tmp_path, "terminated")[0] == 1


SHORT = ("train", "spiral", "--epochs", "1", "--hidden", "4", "--batch-size", "500")


@pytest.mark.parametrize(
    ("phase", "rank", "signum", "code"),
    [
        ("start", 1, signal.SIGTERM, 143),
        ("loading", 1, signal.SIGTERM, 143),
        ("first step", 1, signal.SIGINT, 130),
        ("validation", 1, signal.SIGTERM, 143),
        ("saving", 0, signal.SIGINT, 130),
        ("test", 0, signal.SIGTERM, 143),
    ],
)
def test_a_signal_to_one_in_any_phase_ends_all(tmp_path, phase, rank, signum, code):
    """While the data is read and at the test nobody looks for signals of others: the one that gets it ends all."""
    ended, _, err = run(2, PHASES, phase, rank, int(signum), *SHORT, cwd=tmp_path, deadline=DEADLINE)
    assert ended == code, err
    assert "Traceback" not in err
    if phase in ("start", "loading"):
        assert not (tmp_path / "runs").exists()
        return
    folder = one_run(tmp_path)
    assert err.count("xpnn: interrupted: " if code == 130 else "xpnn: terminated: ") == 1
    assert not (folder / ".xpnn.holder").exists()
    assert (folder / "last.safetensors").exists()


def test_a_full_disk_ends_all(tmp_path):
    code, _, err = run(2, PHASES, "saving", 0, "disk full", *SHORT, cwd=tmp_path, deadline=DEADLINE)
    assert code == 7, err
    assert err.count("xpnn: error:") == 1
    assert "No space left" in err


def test_data_that_one_rank_does_not_find_ends_all(tmp_path):
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{i},{i % 2}\n" for i in range(60)))
    table = ("-m", "xpnn", "train", "table", "--epochs", "1", "--data")
    code, _, err = run(1, *table, "a.csv", ":", *table, "gone.csv", cwd=tmp_path, deadline=DEADLINE)
    assert code == 7, err
    assert "xpnn: rank 1 of 2:\nxpnn: error: " in err
    assert "gone.csv" in err
    assert err.count("xpnn: error:") == 1
    assert not (tmp_path / "runs").exists()
    group = Communicator()
    group.size = 2
    with pytest.raises(UsageError, match="--data - by 2 processes"):
        check_data(group, Path("-"))


def test_a_process_that_is_to_train_alone_is_named(tmp_path):
    """The others would wait for it forever."""
    together = ("-m", "xpnn", *SHORT)
    code, _, err = run(1, *together, ":", *together, "--distributed", "none", cwd=tmp_path, deadline=DEADLINE)
    assert code == 2, err
    assert err.count("xpnn: error: rank 1 was started with the engine 'none', rank 0 with 'mpi'") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("other", "rank"), [("", 0), ("from mpi4py import MPI; ", 1)], ids=["not MPI", "MPI"]
)
def test_a_process_of_another_program_is_named(tmp_path, other, rank):
    """MPI would wait for it forever: to begin, or for its first message."""
    programs = [("-m", "xpnn", *SHORT)]
    programs.insert(rank, ("-c", f"{other}import signal; signal.pause()"))
    process = start(1, *programs[0], ":", *programs[1], cwd=tmp_path, XPNN_RENDEZVOUS_TIMEOUT="1")
    code, _, err = finish(process, SOON)
    assert code == 3, err
    assert err.count(f"xpnn: error: waited 1 s for rank {rank}") == 1, err
    assert "fix: the same command for all of them" in err


def test_the_time_to_meet_is_a_number(monkeypatch):
    monkeypatch.setenv("XPNN_RENDEZVOUS_TIMEOUT", "a minute")
    with pytest.raises(UsageError, match="XPNN_RENDEZVOUS_TIMEOUT='a minute': wanted seconds above 0"):
        timeout()
    monkeypatch.setenv("XPNN_RENDEZVOUS_TIMEOUT", "90")
    assert timeout() == 90


def test_a_reader_that_goes_away_ends_all_and_the_lock_is_let_go(tmp_path):
    """As with `| head -1`: mpiexec would have all killed at the next line."""
    process = train(tmp_path, 2, *LONG, "--json")
    assert json.loads(process.stdout.readline())["event"] == "start"
    process.stdout.close()
    code, _, err = finish(process, SOON)
    assert code == 7, err
    assert err == ""
    assert not (one_run(tmp_path) / ".xpnn.holder").exists()


@pytest.mark.parametrize(
    ("rank", "mine", "codes", "says"),
    [
        (0, 7, [7, 7], True),
        (1, 7, [7, 7], False),
        (1, 4, [0, 4], True),
        (2, 7, [0, 4, 7], False),
    ],
)
def test_of_errors_while_all_prepare_the_first_rank_reports(monkeypatch, capsys, rank, mine, codes, says):
    """However late a process is: all ask each other, and none waits for a time."""

    class Known(Communicator):
        def each(self, number):
            assert number == mine
            return codes

    known = Known()
    known.rank, known.size = rank, len(codes)
    monkeypatch.setattr(process_group, "group", known)
    monkeypatch.setattr(process_group, "preparing", True)
    error = XpnnError("the disk is gone")
    error.exit_code = mine
    reported = []
    code = process_group.end_all(error, lambda found: reported.append(found) or mine)
    assert code == next(filter(None, codes))
    assert reported == [error] * says
    assert capsys.readouterr().err == (f"xpnn: rank {rank} of {len(codes)}:\n" if says and rank else "")


def test_a_deadline_says_which_rank_was_waited_for():
    waiting = "import signal; from xpnn.distributed import connect; g = connect()\n"
    waiting += "if g.rank == 1: print('here\\n', end='', flush=True); signal.pause()\n"
    waiting += "print('here\\n', end='', flush=True); g.any(True)"
    process = start(2, "-c", waiting)
    assert [process.stdout.readline() for _ in range(2)] == ["here\n"] * 2
    with pytest.raises(pytest.fail.Exception, match=r"ranks \[0, 1\] still ran") as found:
        finish(process, 0.1)
    assert "(most recent call first)" in str(found.value)  # of both, written at the same time, piece by piece


def test_a_killed_rank_ends_all(tmp_path, xp):
    process = train(tmp_path, 3, *LONG, "--json")
    events(process, tmp_path, 2)
    os.kill(ranks_of(process)[1], signal.SIGKILL)
    code, _, _ = finish(process, SOON)
    assert code == 9
    code, _, err = xp("train", "--resume", one_run(tmp_path), "--time-limit", "0.0001")
    assert code == 0, err
    assert "ended without releasing" in err


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("table", "--data", "nowhere.csv"), 7, "nowhere.csv"),
        (("spiral", "--bach-size", "3"), 2, "unknown option --bach-size"),
        (("spiral", "--lr", "1e300", "--optimizer", "sgd", "--epochs", "2"), 6, "loss became"),
    ],
)
def test_an_error_of_all_is_reported_once(tmp_path, args, code, message):
    ended, out, err = run(2, "-m", "xpnn", "train", *args, cwd=tmp_path, deadline=DEADLINE)
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
    code, _, err = run(2, "-c", FAILING, deadline=DEADLINE)
    assert code == 4, err
    assert err.count("the disk of this host is gone") == 1


def test_rank_0_alone_prints_and_writes(tmp_path):
    code, out, err = run(2, "-m", "xpnn", "train", "spiral", "--epochs", "2", "--hidden", "8", cwd=tmp_path,
                         deadline=DEADLINE)  # fmt: skip
    assert code == 0, err
    assert out.count("test accuracy") == 1
    assert err.count("xpnn 0.") == 1
    assert err.count("epoch   train_loss") == 1
    assert "2 processes" in err
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["spiral-mlp-1"]
    assert len((one_run(tmp_path) / "metrics.jsonl").read_text().splitlines()) == 2


def test_the_time_limit_of_one_is_that_of_all(tmp_path):
    code, out, err = run(
        2, "-m", "xpnn", "train", *LONG, "--time-limit", "0.01", cwd=tmp_path, deadline=DEADLINE
    )
    assert code == 0, err
    assert out.count("stopped by the time limit") == 1


LAUNCHED = {
    "PMI_SIZE": ("mpiexec started 4 processes, and MPI sees one", "pip install mpich"),
    "OMPI_COMM_WORLD_SIZE": ("Open MPI's mpiexec started 4", "mpi4py built for Open MPI"),
    "MV2_COMM_WORLD_SIZE": (
        "MVAPICH2's mpiexec started 4",
        "mpi4py built for the MPI library of this cluster",
    ),
    "FLUX_JOB_SIZE": ("flux run started 4", "mpi4py built for the MPI library of this cluster"),
    "JSM_NAMESPACE_SIZE": ("jsrun started 4", "mpi4py built for the MPI library of this cluster"),
    "SLURM_NTASKS": ("Slurm started 4", "--distributed none to train in one process"),
    "SLURM_STEP_NUM_TASKS": ("srun started 4", "srun --mpi=pmi2"),
    "WORLD_SIZE": ("torchrun started 4", "the engine torch"),
    "JAX_NUM_PROCESSES": ("JAX's launcher started 4", "the engine jax"),
}


@pytest.mark.parametrize("name", LAUNCHED)
def test_processes_that_do_not_find_each_other_are_refused(name):
    """One that its launcher says is one of four, and that MPI says is alone."""
    pytest.importorskip("mpi4py")
    given = {name: "4"} | ({"TORCHELASTIC_RUN_ID": "a"} if name == "WORLD_SIZE" else {})
    with pytest.raises(UsageError, match=LAUNCHED[name][0]) as found:
        refuse_singleton(MPIAlone(), given)
    assert f"{name}=4" in found.value.why
    assert LAUNCHED[name][1] in found.value.fix
    refuse_singleton(MPIAlone(), given | {name: "1"})


class MPIAlone(Communicator):
    engine = "mpi"


def test_the_command_refuses_before_it_makes_a_folder(tmp_path):
    mpiexec()
    ended = subprocess.run(
        [sys.executable, "-m", "xpnn", "train", "spiral", "--epochs", "1"], cwd=tmp_path, text=True,
        capture_output=True, env=environment(SLURM_NTASKS="4"), timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "SLURM_NTASKS=4" in ended.stderr
    assert "fix:" in ended.stderr
    assert not (tmp_path / "runs").exists()
