"""The one place that writes files: the old content or the new, whole, whatever happens in between."""

import contextlib
import os
import secrets
from pathlib import Path

from xpnn.errors import FileError, first_line


def write_durably(path: Path, data: bytes) -> None:
    """Write a temporary beside `path`, flush it to the disk, and rename it into place; then flush the folder.

    Raises FileError, also for a `path` that is a folder, a device or a pipe. The temporary is gone then, and
    `path` is untouched, or whole and new where only the last flush failed.
    """
    temporary = path.parent / f".xpnn-{secrets.token_hex(8)}.tmp"
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is there, and is not a regular file")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, data)
            os.replace(temporary, path)
        except BaseException:  # on Ctrl-C too
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        _flush_folder(path.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        why = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise FileError(
            f"cannot write {path}",
            why=f"{why} ({len(data):,} bytes to write)",
            fix="free space or choose another folder with --out; a file that was there is whole",
        ) from error


def _write(path: Path, data: bytes) -> None:
    """A new file with the permissions that the umask leaves, on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only when the folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
