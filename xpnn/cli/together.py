"""Which of several processes this one is, for what the command line says at its end. Imports nothing that is slow."""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from xpnn.errors import UsageError, XpnnError

if TYPE_CHECKING:
    from xpnn.distributed import Communicator

PATIENCE = 1.0
"""Seconds that other ranks leave rank 0 to say what all have met."""
FORWARDED = 0.5
"""Seconds that the launcher gets to pass on what was printed: an abort may cut it off."""
LAUNCHERS = (
    ("PMI_RANK", "PMI_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    ("RANK", "WORLD_SIZE"),
    ("JAX_PROCESS_ID", "JAX_NUM_PROCESSES"),
)
"""Where launchers say which process this is, of how many."""

group: "Communicator | None" = None
"""The processes of the command under way, once they have met."""


def place() -> tuple[int, int]:
    """The number of this process, and how many there are: 0 and 1 of one alone."""
    if group is not None:
        return group.rank, group.size
    for rank, size in LAUNCHERS:
        found = os.environ.get(rank, ""), os.environ.get(size, "")
        if all(value.isdecimal() for value in found):
            return int(found[0]), int(found[1])
    return 0, 1


def end_all(error: XpnnError, report: Callable[[XpnnError], int]) -> int:
    """Report the error and end all processes with its code. What every rank has met, rank 0 alone reports."""
    rank, size = place()
    if size > 1 and rank and group is None and isinstance(error, UsageError):
        return error.exit_code  # the same command line everywhere
    if size > 1 and rank:
        time.sleep(PATIENCE)
        click.echo(f"xpnn: rank {rank} of {size}:", err=True)
    code = report(error)
    if size > 1 and group is not None:
        time.sleep(FORWARDED)
        group.abort(code)
    return code
