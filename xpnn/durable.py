"""The one place that writes files: the old content or the new, whole, whatever happens in between."""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from xpnn.errors import FileError, first_line
from xpnn.system import alive, flush_folder, is_link, open_regular

TEMPORARY = re.compile(r"\.xpnn-(\d+)-[0-9a-f]{16}\.tmp")
"""The name of a file before it is whole: the number of the process that writes it, and a draw."""


def write_durably(path: Path, data: bytes | Iterable[bytes], *, keep: bool = False) -> None:
    """Write a temporary beside `path`, flush it to the disk, and rename it into place; then flush the folder.

    data: the bytes at once, or in pieces. keep: the file that was there stays as `previous(path)`, in place of an older
    one.
    Raises FileError, also for a `path` that is a folder, a device or a pipe. The temporary is gone then, and
    `path` is untouched, or whole and new where only the last flush failed.
    """
    temporary = _temporary(path.parent)
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is there, and is not a regular file")
        make_folder(path.parent)
        try:
            _write(temporary, data)
            if keep and path.exists():
                _keep(path)
            os.replace(temporary, path)
        except BaseException:  # on Ctrl-C too
            _remove(temporary)
            raise
        _flush_folder(path.parent)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise _cannot_write(path, data, error) from error


def append_durably(path: Path, data: bytes) -> None:
    """Add `data` to the end of a file, and flush it to the disk. Raises FileError, also for a `path` that is a link.

    What was there stays; of `data` any part may be there after an error or a power cut, so it needs a checksum.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        if path.exists() and (is_link(path) or not path.is_file()):
            raise OSError("it is there, and is not a regular file")
        with open(os.open(path, flags, 0o666), "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as error:
        raise _cannot_write(path, data, error) from error


def previous(path: Path) -> Path:
    """Where `write_durably` keeps the file before this one: best.1.safetensors for best.safetensors."""
    return path.with_name(f"{path.stem}.1{path.suffix}")


def make_folder(folder: Path, *, new: bool = False) -> None:
    """The folder and those above it; its name is on the disk when this returns.

    Raises OSError; with `new`, FileExistsError for a folder that is there.
    """
    if folder.is_dir() and not new:
        return
    try:
        folder.mkdir(exist_ok=not new)
    except FileNotFoundError:
        make_folder(folder.parent)
        folder.mkdir(exist_ok=not new)
    try:
        _flush_folder(folder.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise


def sweep(folder: Path) -> int:
    """Remove the temporaries that killed writers left in `folder` and in the folders in it: how many.

    Those of processes that live are let be; of our own number too are those of an earlier process that had it.
    """
    count = 0
    folders = [folder, *(path for path in folder.iterdir() if path.is_dir() and not is_link(path))]
    for file in (path for place in folders for path in place.glob(".xpnn-*-*.tmp")):
        found = TEMPORARY.fullmatch(file.name)
        if found and (int(found[1]) == os.getpid() or not alive(int(found[1]))):
            _remove(file)
            count += 1
    return count


def _cannot_write(path: Path, data: bytes | Iterable[bytes], error: OSError | ValueError) -> FileError:
    why = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
    return FileError(
        f"cannot write {path}",
        why=f"{why} ({len(data):,} bytes to write)" if isinstance(data, bytes) else why,
        fix="free space or choose another folder with --out; a file that was there is whole",
    )


def _temporary(folder: Path) -> Path:
    return folder / f".xpnn-{os.getpid()}-{secrets.token_hex(8)}.tmp"


def _write(path: Path, data: bytes | Iterable[bytes]) -> None:
    """A new file with the permissions that the umask leaves, on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with open(handle, "wb") as file:
        for piece in [data] if isinstance(data, bytes) else data:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _keep(path: Path) -> None:
    """A second name for the file; `path` is there all the while, and the older generation until it is replaced."""
    second = _temporary(path.parent)
    try:
        try:
            os.link(path, second)
        except OSError:  # a file system without second names
            with open_regular(path) as file:
                _write(second, file.read())
        os.replace(second, previous(path))
    finally:
        _remove(second)  # it stays where both names were one file already: renaming does nothing then


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only when the folder is."""
    flush_folder(folder)
