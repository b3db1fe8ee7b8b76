"""What a cluster's scheduler knows of jobs: whether one that holds a lock on another host has ended."""

import os
import subprocess
from collections.abc import Mapping
from typing import Any

PATIENCE = 20
"""Seconds that Slurm may take to answer."""
ENDED = (
    "CANCELLED",
    "COMPLETED",
    "FAILED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "BOOT_FAIL",
    "DEADLINE",
)
"""States in which no process of a job is left, by `man squeue`."""


def current_job(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """{"job": Slurm's id, "restart": how often it was requeued} of the job this process is in; {} outside of one."""
    job, restart = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_RESTART_COUNT", "0")
    if not job.isdecimal():
        return {}
    return {"job": job, "restart": int(restart) if restart.isdecimal() else 0}


def has_ended(holder: dict[str, Any]) -> bool:
    """Whether the scheduler says that the job of a lock's holder is over: an earlier start of this job, or no job left.

    False where that is unknown: without a job, without Slurm, or where Slurm does not answer.
    """
    job, restart, mine = holder.get("job"), holder.get("restart"), current_job()
    if not isinstance(job, str) or not job.isdecimal():
        return False
    if job == mine.get("job"):
        return type(restart) is int and restart < mine["restart"]
    try:
        answer = subprocess.run(
            ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    if answer.returncode:
        return "Invalid job id" in answer.stderr
    states = answer.stdout.split()
    return all(state in ENDED for state in states)
