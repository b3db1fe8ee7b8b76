"""One training at a time in a run folder: a lock that the kernel holds, and a file that says who holds it.

The kernel lets go of a lock when its process ends, however it ends; what is in the file then names a dead process.
A lock of another host may not be seen by this kernel, so a file that names one is believed.
"""

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any, TextIO

from xpnn.durable import alive
from xpnn.errors import FileError

LOCK = ".xpnn.lock"


class Lock:
    """Held from its making to `release`. Raises FileError where another process holds it, OSError for a bad disk.

    `stale` names the dead process whose lock was taken over; empty where there was none.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.stale, self.owner = folder / LOCK, "", os.getpid()
        self.file, free = _open(self.path)
        try:
            holder = _read(self.file)
            pid, host = holder.get("pid"), holder.get("host")
            mine = host == socket.gethostname()
            if free is False or (host and not mine) or (free is None and type(pid) is int and alive(pid)):
                raise self._refusal(holder, mine or free is False)
        except BaseException:
            self.file.close()
            raise
        if holder:
            self.stale = f"{_told(holder)} ended without releasing {folder}: its lock is taken over"
        try:
            self._write()
        except BaseException:  # a full disk
            self.release()
            raise

    def release(self) -> None:
        """Let go of it. The file goes first, so that nobody finds it without a holder.

        A forked process lets go of its copy alone: the lock is its parent's.
        """
        if self.owner == os.getpid() and _same(self.file, self.path):
            self.path.unlink()
        self.file.close()

    def _write(self) -> None:
        # In place: the lock belongs to this file, not to its name. Cut short it reads as nobody's.
        since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        os.ftruncate(self.file.fileno(), 0)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        os.write(self.file.fileno(), json.dumps(holder).encode())

    def _refusal(self, holder: dict[str, Any], here: bool) -> FileError:
        wait = "wait for it, or choose another folder with --out"
        return FileError(
            f"another training writes to {self.path.parent}",
            why=f"{_told(holder)} holds {self.path}",
            fix=wait if here else f"{wait}; if it has ended, delete {self.path}",
        )


def _open(path: Path) -> tuple[TextIO, bool | None]:
    """The file, and whether the lock is now ours; None where this file system cannot tell."""
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return file, False
        except OSError:
            return file, None
        if _same(file, path):
            return file, True
        file.close()  # it was released, and its name removed, between the two calls


def _same(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except OSError:
        return False


def _read(file: TextIO) -> dict[str, Any]:
    """What the file says; nothing where it says nothing sensible."""
    file.seek(0)
    try:
        holder = json.loads(file.read(1000))
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _told(holder: dict[str, Any]) -> str:
    """`process 7 of host a, since 2026-11-20T10:00:00+0000,`."""
    if not {"pid", "host", "since"} <= holder.keys():
        return "a process that has not said which"
    return "process {pid} of host {host}, since {since},".format_map(
        {key: str(holder[key])[:80] for key in ("pid", "host", "since")}
    )
