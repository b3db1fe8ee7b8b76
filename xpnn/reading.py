"""Reading small files whole: regular ones, and no more than what was allowed."""

import os
from pathlib import Path

from xpnn.errors import FileError, first_line
from xpnn.system import open_regular


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises FileError for anything else.

    A file that grows while it is read is cut off there.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise OSError(f"it holds {size:,} bytes, at most {most:,} are read")
            return file.read(most)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> FileError:
    """The FileError that says why a file cannot be read."""
    if isinstance(error, FileError):
        return error
    why = getattr(error, "strerror", None) or first_line(error)
    return FileError(f"cannot read {path}", why=why)
