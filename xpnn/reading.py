"""Reading small files whole: regular ones, no more than what was allowed, and what in them may be of which type."""

import math
import os
from pathlib import Path
from typing import Any

from xpnn.errors import FileError, first_line
from xpnn.printing import one_line
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
            return file.read(size)  # of `most`, Python would make room first
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> FileError:
    """The FileError that says why a file cannot be read."""
    if isinstance(error, FileError):
        return error
    why = getattr(error, "strerror", None) or first_line(error)
    return FileError(f"cannot read {path}", why=why)


def misfit(value: Any, wanted: Any, place: str = "") -> str:
    """What does not fit, such as `seed is -1`; "" where all does.

    wanted: a type, None, a word, [for each item], {key: for its value} or a tuple of these, of which one must fit.
    """
    if isinstance(wanted, tuple):
        return "" if any(not misfit(value, one) for one in wanted) else _is(value, place)
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return _is(value, place)
        return next(
            (bad for i, one in enumerate(value) if (bad := misfit(one, wanted[0], f"{place}[{i}]"))), ""
        )
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return _is(value, place)
        places = ((key, f"{place}.{key}" if place else key) for key in wanted if key in value)
        return next((bad for key, where in places if (bad := misfit(value[key], wanted[key], where))), "")
    if wanted is None or isinstance(wanted, str):
        return "" if value == wanted else _is(value, place)
    fits = type(value) is wanted and not (wanted is int and value < 0)
    return "" if fits and not (wanted is float and not math.isfinite(value)) else _is(value, place)


def _is(value: Any, place: str) -> str:
    return f"{place or 'it'} is {one_line(repr(value), 60)}"
