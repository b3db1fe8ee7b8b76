"""Output by way of mpiexec, whose reader may go away, as in `mpiexec -n 2 xpnn train --json | head -1`.

What rank 0 prints, mpiexec passes on. If nobody reads that any more, mpiexec ends at the next line and has every
process killed, which can then let go of nothing. So rank 0 looks before it prints, and ends all, as one process does.
"""

import errno
import io
import os
import select
import sys
from pathlib import Path
from typing import Any

from xpnn.system import open_pipe

ABOVE = 6
"""How far above this process the launcher is looked for: MPICH has one process between, a script may add others."""


class WatchedOutput(io.FileIO):
    """Standard output that raises BrokenPipeError, once, where the reader of the pipe `beyond` has gone."""

    def __init__(self, number: int, beyond: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.beyond = select.poll()
        self.beyond.register(beyond, 0)
        self.ended = False

    def write(self, data: Any, /) -> int:
        """Write, if somebody reads it."""
        if not self.ended and self.beyond.poll(0):
            self.ended = True  # what is left goes to the null device
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        return super().write(data)


def watch_reader() -> None:
    """Let standard output raise BrokenPipeError where mpiexec's reader has gone. Nothing where that cannot be seen."""
    beyond = launchers_pipe()
    if beyond is not None:
        raw = WatchedOutput(sys.stdout.fileno(), beyond)
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(raw), sys.stdout.encoding, "replace")


def launchers_pipe() -> int | None:
    """The pipe that mpiexec on this host prints to, opened; None without one, and where the system does not show it."""
    if "PMI_RANK" not in os.environ:
        return None
    try:
        process = os.getppid()
        for _ in range(ABOVE):
            if (Path("/proc") / str(process) / "comm").read_text().startswith(("mpiexec", "mpirun")):
                return open_pipe(f"/proc/{process}/fd/1")
            process = int((Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # another system, another user's process, or a pipe that nobody reads
        return None
    return None
