"""What differs between operating systems, in this one file: locks of folders, flushes, signals, files that are none.

Everything here works on Windows too, where `fcntl`, `os.O_DIRECTORY`, `os.sched_getaffinity` and most signals are
missing; `tests/lint.py` names the calls that no other file may make.
"""

import contextlib
import os
import signal
import stat
import sys
from pathlib import Path
from typing import BinaryIO

KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)
STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGXCPU", "SIGUSR1", "SIGBREAK")
    if hasattr(signal, name)
)
"""Signals that end a training after the batch in hand: Ctrl-C, the request of a scheduler, a closed terminal, a spent
limit of processor time, the warning that Slurm sends before a job's time is over, and Ctrl-Break on Windows."""


def user_path(path: str | os.PathLike[str]) -> Path:
    """The path, `~` and `~name` at its beginning expanded; unchanged where that user is unknown."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A regular file, opened for reading. Raises OSError for a folder, pipe, socket or device.

    It is looked at after opening, so that it cannot be exchanged in between, and opened without waiting: a pipe
    without a writer would block for ever. A link is followed.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    )
    handle = os.open(path, flags)
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            kind = next((words for test, words in KINDS if test(mode)), "it is something else")
            raise OSError(f"{kind}, not a regular file")
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def is_link(path: Path) -> bool:
    """Whether the name stands for a file or folder elsewhere: a symbolic link, or a junction of Windows."""
    junction = getattr(os.path, "isjunction", None)  # Python 3.12
    return path.is_symlink() or bool(junction and junction(path))


def flush_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is. Windows cannot flush a folder, and writes names at once."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def lock_folder(folder: Path) -> int | None:
    """Lock the folder itself, which unlike a file cannot be removed while it is in use: what `unlock_folder` takes.

    None where the system or the file system has no such lock. Raises BlockingIOError where another process holds it.
    """
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (ImportError, AttributeError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    except OSError:  # network file systems lock files only
        os.close(handle)
        return None
    return handle


def unlock_folder(handle: int | None) -> None:
    """Release what `lock_folder` gave, once no forked process holds a copy."""
    if handle is not None:
        with contextlib.suppress(OSError):
            os.close(handle)


def alive(process: int) -> bool:
    """Whether a process of that number runs on this computer; True where that cannot be known."""
    if sys.platform == "win32" or not hasattr(os, "fork"):  # there, signal 0 would be sent as Ctrl-C
        return _listed(process)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _listed(process: int) -> bool:
    try:
        import psutil
    except ImportError:
        return True
    return bool(psutil.pid_exists(process))


def cores() -> int:
    """How many cores this process may use."""
    return len(usable())


def usable() -> set[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def idle_seconds(stat: str = "/proc/stat") -> float | None:
    """For how long the cores of this process have been idle so far, added up; None where the system does not say."""
    try:
        with open(stat) as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
        own = {f"cpu{core}" for core in usable()}
        return sum(int(line[4]) for line in lines if line[0] in own) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


def open_pipe(path: str) -> int | None:
    """A pipe that another process writes to, opened for writing too; None for what is no pipe.

    Raises OSError for a path that is not there, and for a pipe that nobody reads.
    """
    return os.open(path, os.O_WRONLY | os.O_NONBLOCK) if stat.S_ISFIFO(os.stat(path).st_mode) else None
