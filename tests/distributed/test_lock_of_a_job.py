"""A run folder that a job of another host has left locked: taken over where the scheduler, or the user, says so."""

import json
import os
import stat

import pytest

from xpnn.cli.lock import HOLDER, Lock
from xpnn.errors import FileError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="mpiexec is not installed")


@pytest.fixture
def left(tmp_path, monkeypatch):
    """A folder that process 7 of job 41 on another host holds."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    folder = tmp_path / "run"
    folder.mkdir()
    holder = {"pid": 7, "host": "elsewhere", "since": "2026-11-20T10:00:00+0000", "job": "41", "restart": 0}
    (folder / HOLDER).write_text(json.dumps(holder))
    return folder


def slurm(tmp_path, answer):
    """A squeue that answers so."""
    path = tmp_path / "bin" / "squeue"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    "answer",
    [
        "echo CANCELLED",
        "echo COMPLETED",
        "exit 0",
        "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1",
    ],
)
def test_the_lock_of_an_ended_job_is_taken_over(left, tmp_path, answer):
    slurm(tmp_path, answer)
    lock = Lock(left)
    assert "process 7 of host elsewhere" in lock.stale
    assert "ended without releasing" in lock.stale
    lock.release()


@pytest.mark.parametrize("answer", ["echo RUNNING", "echo PENDING", "echo COMPLETING", "exit 1", None])
def test_where_it_may_run_the_lock_stands(left, tmp_path, answer):
    """None: Slurm is not installed."""
    if answer:
        slurm(tmp_path, answer)
    with pytest.raises(FileError, match="process 7 of host elsewhere") as found:
        Lock(left)
    assert "--force-lock" in found.value.fix
    lock = Lock(left, force=True)
    assert "--force-lock" in lock.stale
    lock.release()


@pytest.mark.parametrize(("restart", "taken"), [("1", True), ("0", False)])
def test_a_requeued_job_knows_its_own_earlier_start(left, monkeypatch, restart, taken):
    monkeypatch.setenv("SLURM_JOB_ID", "41")
    monkeypatch.setenv("SLURM_RESTART_COUNT", restart)
    if taken:
        lock = Lock(left)
        assert json.loads((left / HOLDER).read_text())["restart"] == 1
        lock.release()
    else:
        with pytest.raises(FileError):
            Lock(left)


def test_force_takes_nothing_from_a_process_of_this_host(tmp_path):
    held = Lock(tmp_path)
    with pytest.raises(FileError, match="another training writes"):
        Lock(tmp_path, force=True)
    held.release()
