"""The one place that writes files: the old content or the new, whole, whatever happens in between."""

import contextlib
import os
import secrets
from pathlib import Path

from xpnn.errors import FileError, first_line


def write_durably(path: Path, data: bytes, *, keep: bool = False) -> None:
    """Write a temporary beside `path`, flush it to the disk, and rename it into place; then flush the folder.

    keep: the file that was there stays as `previous(path)`, in place of an older one.
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
        why = (error.strerror if isinstance(error, OSError) else None) or first_line(error)
        raise FileError(
            f"cannot write {path}",
            why=f"{why} ({len(data):,} bytes to write)",
            fix="free space or choose another folder with --out; a file that was there is whole",
        ) from error


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
    for file in [*folder.glob(".xpnn-*-*.tmp"), *folder.glob("*/.xpnn-*-*.tmp")]:
        writer = file.name.split("-")[1]
        if writer.isdecimal() and (int(writer) == os.getpid() or not alive(int(writer))):
            _remove(file)
            count += 1
    return count


def alive(process: int) -> bool:
    """Whether a process of that number is there, on this host."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _temporary(folder: Path) -> Path:
    return folder / f".xpnn-{os.getpid()}-{secrets.token_hex(8)}.tmp"


def _write(path: Path, data: bytes) -> None:
    """A new file with the permissions that the umask leaves, on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep(path: Path) -> None:
    """A second name for the file; `path` is there all the while, and the older generation until it is replaced."""
    second = _temporary(path.parent)
    try:
        try:
            os.link(path, second)
        except OSError:  # a file system without second names
            _write(second, path.read_bytes())
        os.replace(second, previous(path))
    finally:
        _remove(second)  # it stays where both names were one file already: renaming does nothing then


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only when the folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
