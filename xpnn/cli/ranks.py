"""Commands that several processes run together: rank 0 prints and writes, and what ends one ends all."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpnn.cli import process_group
from xpnn.cli.launcher import watch_reader
from xpnn.cli.options import Name
from xpnn.cli.runs import Run
from xpnn.cli.state import state
from xpnn.data.tables.files import STDIN
from xpnn.errors import UsageError
from xpnn.system import STOPPING

if TYPE_CHECKING:
    from xpnn.distributed import Communicator

ENGINES = ("auto", "mpi", "nccl", "torch", "jax", "none")
BATCH_NORMS = ("global", "local")
COMPRESSIONS = ("bf16",)


def distributed_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--distributed, --batch-norm and --gradient-compression."""
    for option in (
        click.option(
            "--gradient-compression",
            type=Name("compression", COMPRESSIONS),
            help="Send gradients between processes in 16 bits.",
        ),
        click.option(
            "--batch-norm",
            type=Name("batch norm", BATCH_NORMS),
            default="global",
            show_default=True,
            help="Normalize by the whole batch, or each process by its own rows.",
        ),
        click.option(
            "--distributed",
            type=Name("engine", ENGINES),
            default="auto",
            show_default=True,
            help="Share each batch with the processes that mpiexec, srun or torchrun started.",
        ),
    ):
        command = option(command)
    return command


def join(engine: str, batch_norm: str, compression: str | None) -> "Communicator":
    """The processes that run this command; all but rank 0 fall silent. Raises what `xpnn.distributed.connect` does."""
    from xpnn.distributed.connect import check_versions, open_group

    group = open_group(engine, batch_norm, compression or "", os.environ)
    process_group.group = group  # from here on an error of one ends all
    check_versions(group)
    process_group.preparing = group.size > 1
    if group.rank == 0:
        watch_reader()
    else:
        state().quiet = True
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
    return group


class NoLock:
    """In place of a lock, in the processes that write nothing."""

    stale = ""

    def release(self) -> None:
        """Do nothing: rank 0 holds the lock."""


class ReadOnlyRun(Run):
    """A run's folder as the other processes see it: they read from it, and write nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, made=False, lock=NoLock())  # type: ignore[arg-type]

    def write(self, about: dict[str, Any]) -> None:
        """Do nothing: rank 0 writes."""

    def close(self) -> None:
        """Do nothing: rank 0 closes the run."""


def shared_run(group: "Communicator", make: Callable[[], Run]) -> Run:
    """The run that rank 0 makes or takes, for all ranks."""
    process_group.go_on_together()  # all have their data: no error of one leaves a folder behind
    process_group.preparing = False
    run = make() if group.rank == 0 else None
    folder = group.text("" if run is None else str(run.folder))
    return run or ReadOnlyRun(Path(folder))


def leave_the_rest(group: "Communicator") -> None:
    """Ignore what stops a command: from here on rank 0 works alone, and this process waits for it to end."""
    if group.size > 1 and threading.current_thread() is threading.main_thread():
        for signum in STOPPING:
            signal.signal(signum, signal.SIG_IGN)


def check_data(group: "Communicator", data: Path | None) -> None:
    """Raise UsageError for data that only one of several processes can read."""
    if group.size > 1 and str(data) == STDIN:
        raise UsageError(
            f"--data - by {group.size} processes",
            why="a launcher gives standard input to one of them, and each reads the data",
            fix="--data FILE, in a folder that all of them see",
        )
