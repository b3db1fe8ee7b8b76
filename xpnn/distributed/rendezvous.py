"""How processes of MPI meet: within a time, or the error names the one that did not come.

MPI itself waits without end for a process that runs another program or has ended: in MPI_Init for one that does not use
MPI, in the first message for one that does. Neither can be left, so the process that gives up ends, and all with it.
"""

import contextlib
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xpnn.errors import BackendError, UsageError

VARIABLE, SECONDS = "XPNN_RENDEZVOUS_TIMEOUT", 120.0
"""The variable of the environment that says how long processes wait for each other at the start, and its default."""
TURN = 1.0
"""Seconds by which each rank waits longer than the one before it, up to 10 of them: one of them speaks for all."""
PAUSE = 0.002
"""Seconds between two looks for those that are to come."""
FORWARDED = 0.5
"""Seconds that the launcher gets to pass on what was printed: an abort may cut it off."""
KILLED = 5.0
"""Seconds that the launcher has to end all, before this process ends by itself."""
COME, ALL_HERE = 71, 72
"""Tags of the messages."""
SHOWN = 80
"""Characters of another program's command line."""


def timeout() -> float:
    """Seconds to wait for the others. Raises UsageError for a variable that is no number above 0."""
    given = os.environ.get(VARIABLE, str(SECONDS))
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise UsageError(
            f"{VARIABLE}={given!r}: wanted seconds above 0, and no more than {threading.TIMEOUT_MAX:.0e}",
            fix=f"unset it: without it, it is {SECONDS:g}",
        )
    return seconds


def import_mpi(seconds: float) -> Any:
    """mpi4py's module MPI, initialized. Ends this process where others keep MPI_Init waiting for longer.

    MPI_Init is called without the lock of Python's interpreter, which mpi4py keeps: the timer could not run.
    """
    import mpi4py

    if "mpi4py.MPI" not in sys.modules:
        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
    from mpi4py import MPI

    if not MPI.Is_initialized():
        rank = os.environ.get("PMI_RANK", "")
        turn = TURN * min(int(rank) if rank.isdecimal() else 0, 10)
        timer = threading.Timer(seconds + turn, lambda: give_up(absent(), seconds, end_before_init))
        timer.daemon = True
        timer.start()
        try:
            initialize(MPI)
        finally:  # also of an MPI that raises: this process may go on without it
            timer.cancel()
    return MPI


def end_before_init() -> None:
    """End all processes with exit code 3, as MPI_Abort does later.

    The launcher is told the code in its own words (PMI, version 1): of processes that it kills because one has ended,
    it may return the code of any. Without such a launcher this process ends by itself.
    """
    with contextlib.suppress(KeyError, ValueError, OSError):
        os.write(int(os.environ["PMI_FD"]), b"cmd=abort exitcode=3\n")
        time.sleep(KILLED)
    os._exit(3)


def initialize(mpi: Any) -> None:
    """Call MPI_Init_thread, without the interpreter's lock where its library shows that name."""
    try:
        function = ctypes.CDLL(mpi.__file__).MPI_Init_thread
    except (AttributeError, OSError):  # as on Windows, where a library shows no names but its own
        mpi.Init_thread()
    else:
        function(None, None, ctypes.c_int(mpi.THREAD_MULTIPLE), ctypes.byref(ctypes.c_int()))


def wait_for_all(mpi: Any, seconds: float) -> None:
    """Return once all processes have called this. Each reports to rank 0, and rank 0 tells each that all are there."""
    world = mpi.COMM_WORLD
    rank, size, nothing = world.Get_rank(), world.Get_size(), [None, 0, mpi.BYTE]

    def wait_for(ranks: list[int], tag: int) -> None:
        requests = [world.Irecv(nothing, source, tag) for source in ranks]
        end = time.monotonic() + seconds + TURN * min(rank, 10)
        while not all(request.Test() for request in requests):
            if time.monotonic() > end:
                late = [source for source, request in zip(ranks, requests, strict=True) if not request.Test()]
                give_up(", ".join(f"rank {source}" for source in late), seconds, lambda: world.Abort(3))
            time.sleep(PAUSE)

    if rank == 0:
        wait_for(list(range(1, size)), COME)
        for other in range(1, size):
            world.Send(nothing, other, ALL_HERE)
    else:
        world.Send(nothing, 0, COME)
        wait_for([0], ALL_HERE)


def give_up(who: str, seconds: float, end: Callable[[], None]) -> None:
    """Say who did not come, and end, whether or not anybody can read it."""
    longer = f"; where hosts start slowly {VARIABLE}={10 * seconds:g}"
    error = BackendError(
        f"waited {seconds:g} s for {who}",
        why="processes that a launcher starts together begin together",
        fix="the same command for all of them" + (longer if is_timeout(seconds) else ""),
    )
    try:
        sys.stderr.write(f"xpnn: error: {error}\n")
        flush_and_discard()
        time.sleep(FORWARDED)
    finally:
        end()


def is_timeout(seconds: float) -> bool:
    """Whether the variable sets that time: a process that ends for another reason has one of its own."""
    try:
        return seconds == timeout()
    except UsageError:
        return False


def flush_and_discard() -> None:
    """Print what is still to be printed, and nothing after it: what MPI says of an end is not for users."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def absent() -> str:
    """The processes of this launcher that run another program or have ended, as far as this host shows them."""
    size, here = int(os.environ.get("PMI_SIZE", 0)), programs()
    mine = here.get(int(os.environ.get("PMI_RANK", 0)))
    found = [f"rank {rank}, which runs {line[:SHOWN]!r}" for rank, line in here.items() if line != mine]
    if os.environ.get("MPI_LOCALNRANKS") == str(size):
        found += [f"rank {rank}, which has ended" for rank in range(size) if rank not in here]
    return " and ".join(found) or "processes that this host does not show"


def programs() -> dict[int, str]:
    """{rank: command line} of the processes that the same launcher runs on this host, where the system shows them."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            words = (folder / "environ").read_bytes().split(b"\0")
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended, or is another user's
            continue
        rank = next((word[9:] for word in words if word.startswith(b"PMI_RANK=")), b"")
        if rank.isdigit() and parent == str(os.getppid()):
            found[int(rank)] = line
    return dict(sorted(found.items()))
