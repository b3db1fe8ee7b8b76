"""Which of several processes this one is, for what the command line says at its end. Imports nothing that is slow."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from xpnn.errors import BackendError, UsageError, XpnnError

if TYPE_CHECKING:
    from xpnn.distributed import Communicator

PATIENCE = 1.0
"""Seconds that other ranks leave rank 0 to say what all have met."""
MEETING = 20
"""Seconds for which a process that ends waits for others that have not joined."""
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
shared = False
"""Whether the command runs in several processes."""
preparing = False
"""Whether each process still prepares the run by itself: of what one meets then, the others hear when all meet next."""


class OtherRankError(XpnnError):
    """Another process cannot go on, and reports why."""

    agreed = True

    def __init__(self, rank: int, code: int) -> None:
        super().__init__(f"rank {rank} cannot go on")
        self.reporter, self.exit_code = rank, code


def go_on_together() -> None:
    """Wait for the others, where all are ready for what comes next. Raises OtherRankError if one is not."""
    failed = first_failure(0)
    if failed is not None:
        raise failed


def first_failure(code: int) -> OtherRankError | None:
    """Tell the others the exit code of what this process has met, or 0, and return the first that has met anything."""
    codes = [int(one) for one in group.each(code)] if group is not None else []
    failed = next((rank for rank, one in enumerate(codes) if one), None)
    return None if failed is None else OtherRankError(failed, codes[failed])


def place() -> tuple[int, int]:
    """The number of this process, and how many there are: 0 and 1 of one alone."""
    if group is not None:
        return group.rank, group.size
    for rank, size in LAUNCHERS:
        found = os.environ.get(rank, ""), os.environ.get(size, "")
        if all(value.isdecimal() for value in found):
            return int(found[0]), int(found[1])
    return 0, 1


def meet() -> None:
    """Join the others, which MPI lets wait for this process, before it ends them. Nothing where they have met.

    Other launchers end the rest by themselves where a process fails; mpiexec does not if it has not joined.
    """
    global group
    if group is not None or not shared or "PMI_SIZE" not in os.environ:
        return
    from xpnn.distributed.mpi import MPICommunicator

    with contextlib.suppress(BackendError):
        group = MPICommunicator(MEETING)


def end_all(error: XpnnError, report: Callable[[XpnnError], int]) -> int:
    """Report the error and end all processes with its code. Of what all know of, one process reports."""
    rank, size = place()
    agreed: XpnnError | None = error if error.agreed else None
    if agreed is None and preparing:
        agreed = first_failure(error.exit_code)
    if agreed is not None and size > 1:
        if rank == agreed.reporter:
            if rank:
                click.echo(f"xpnn: rank {rank} of {size}:", err=True)
            report(error)
        return agreed.exit_code
    return end(error.exit_code, lambda: report(error), isinstance(error, UsageError))


def stop_all(code: int, agreed: bool, report: Callable[[], int]) -> int:
    """Report why this process stopped and, unless all have agreed to stop, end the others: they would wait for it."""
    rank, size = place()
    if agreed and size > 1:
        return code if rank else report()
    return end(code, report, everywhere=True)


def end(code: int, report: Callable[[], int], everywhere: bool) -> int:
    """Report, and end all with the code. everywhere: whether all ranks are likely to have met the same."""
    rank, size = place()
    if size == 1:
        return report()
    if rank:
        meet()
        if group is None and everywhere:
            return code
        time.sleep(PATIENCE)
        click.echo(f"xpnn: rank {rank} of {size}:", err=True)
    code = report()
    meet()
    if group is not None:
        from xpnn.distributed.rendezvous import FORWARDED

        time.sleep(FORWARDED)
        group.abort(code)
    return code
