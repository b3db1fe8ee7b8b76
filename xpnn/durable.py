"""The one place that writes files: the old content or the new, whole, whatever happens in between."""

import contextlib
import os
from pathlib import Path

from xpnn.errors import FileError


def write_durably(path: Path, data: bytes) -> None:
    """Write a temporary beside `path`, flush it to the disk, and rename it into place; then flush the folder.

    Raises FileError; the temporary is gone then, and a previous file is untouched.
    """
    import tempfile  # brings shutil and the archive formats, lzma among them: only when a file is written

    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask())  # mkstemp's files are for their owner alone
            os.fsync(file.fileno())
        os.replace(temporary, path)
        temporary = ""
        _flush_folder(path.parent)
    except OSError as error:
        raise FileError(
            f"cannot write {path}",
            why=f"{error.strerror or error} ({len(data):,} bytes to write)",
            fix="free space or choose another folder with --out; the previous file, if any, is intact",
        ) from error
    finally:  # on Ctrl-C too
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _flush_folder(folder: Path) -> None:
    """A rename is on the disk only when the folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
