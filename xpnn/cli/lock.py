"""One training at a time in a run folder: a lock that the system holds, and a file that says who holds it.

The system releases a lock when its process ends, however it ends; what the file says then names a dead process. Two
locks are taken: that of a file, which every system has, and where there is one that of the folder itself, which
stands even when the file is removed. A process of another host may not be seen by this system, so a file that names
one is believed, unless the scheduler of its job says that the job has ended.
"""

import contextlib
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from xpnn.cli.scheduler import current_job, has_ended
from xpnn.durable import write_durably
from xpnn.errors import FileError
from xpnn.printing import printable
from xpnn.system import alive, is_link, lock_folder, open_regular, unlock_folder

LOCK, HOLDER = ".xpnn.lock", ".xpnn.holder"


class Lock:
    """A lock, held until `release`. Raises FileError if another process holds it, OSError for a bad disk.

    `stale` names the dead process whose lock was taken over; "" if there was none. A lock of another host is taken over
    if its scheduler says that the job has ended, or with force; one that a process of this host holds never is.
    """

    def __init__(self, folder: Path, force: bool = False) -> None:
        self.force = force
        self.folder, self.path, self.holder = folder, folder / LOCK, folder / HOLDER
        self.stale, self.owner = "", os.getpid()
        for path in (self.path, self.holder):
            if is_link(path) or (path.exists() and not path.is_file()):
                raise FileError(
                    f"{path} is {'a link' if is_link(path) else 'not a regular file'}",
                    why="a lock is a file of the folder itself; what is there is left alone",
                    fix="remove it, or choose another folder with --out",
                )
        known = holder_of(folder)
        self.handle = self._lock_folder(known)
        try:
            self.file = self._lock_file(known)
        except BaseException:
            unlock_folder(self.handle)
            raise
        if known and self._is_foreign(known) and self.force and not has_ended(known):
            self.stale = f"{_described(known)} holds {folder}: its lock is taken over, as --force-lock says"
        elif known:
            self.stale = f"{_described(known)} ended without releasing {folder}: its lock is taken over"
        try:
            self._write()
        except BaseException:  # a full disk
            self.release()
            raise

    def release(self) -> None:
        """Give the folder back. Its files go first, so that they are never found without a holder.

        A forked process closes its copy alone: the lock is its parent's.
        """
        if self.owner != os.getpid():
            unlock_folder(self.handle)
            return
        self.holder.unlink(missing_ok=True)
        if (
            self.handle is not None
        ):  # without a lock of the folder, others may be about to lock this very file
            self.path.unlink(missing_ok=True)
        if self.file is not None:
            self.file.release()
        if self.handle is None and os.name == "nt":
            with contextlib.suppress(OSError):  # open elsewhere
                self.path.unlink(missing_ok=True)
        unlock_folder(self.handle)

    def _lock_folder(self, known: dict[str, Any]) -> int | None:
        try:
            return lock_folder(self.folder)
        except BlockingIOError as error:
            raise self._refusal(known, here=True) from error

    def _lock_file(self, known: dict[str, Any]) -> Any:
        """Return the lock of the file; None if the file system has no locks, where the holder's file decides."""
        from filelock import FileLock, Timeout

        pid = known.get("pid")
        if self._is_foreign(known) and not self.force and not has_ended(known):
            raise self._refusal(known, here=False)
        lock = FileLock(self.path, timeout=0, thread_local=False, fallback_to_soft=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise self._refusal(known, here=True) from error
        except (OSError, NotImplementedError) as error:
            if not os.access(self.folder, os.W_OK):
                raise
            if type(pid) is int and alive(pid) and self.handle is None:
                raise self._refusal(known, here=False) from error
            return None
        return lock

    def _is_foreign(self, known: dict[str, Any]) -> bool:
        """Whether the holder's process is not to be seen from here: it is of another host."""
        return bool(known.get("host")) and known["host"] != socket.gethostname()

    def _write(self) -> None:
        since = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, **current_job()}
        write_durably(self.holder, json.dumps(holder).encode())

    def _refusal(self, holder: dict[str, Any], here: bool) -> FileError:
        wait = "wait for it, or choose another folder with --out"
        return FileError(
            f"another training writes to {self.folder}",
            why=f"{_described(holder)} holds {self.path}",
            fix=wait if here else f"{wait}; if it has ended, --force-lock",
        )


def holder_of(folder: Path) -> dict[str, Any]:
    """Return what the folder's file says of its holder; {} if it is missing or malformed."""
    try:
        with open_regular(folder / HOLDER) as file:
            holder = json.loads(file.read(1000))
    except (OSError, ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _described(holder: dict[str, Any]) -> str:
    """Return `process 7 of host a, since 2026-11-20T10:00:00+0000,`."""
    if not {"pid", "host", "since"} <= holder.keys():
        return "a process that has not said which"
    return "process {pid} of host {host}, since {since},".format_map(
        {key: printable(str(holder[key])[:80]) for key in ("pid", "host", "since")}
    )
