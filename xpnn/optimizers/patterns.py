"""Parameters chosen by the pattern of their path: as file names are, by * and ? and [12]."""

import fnmatch
from collections.abc import Iterable

from xpnn.errors import UsageError, did_you_mean


def fits(path: str, pattern: str) -> bool:
    """Whether "0.W" fits "*.W". The star takes dots too; capitals count."""
    return fnmatch.fnmatchcase(path, pattern)


def fitting(pattern: str, paths: Iterable[str]) -> list[str]:
    """The paths that fit. Raises UsageError where none does."""
    paths = list(paths)
    found = [path for path in paths if fits(path, pattern)]
    if not found:
        raise UsageError(f"the pattern {pattern!r} fits no parameter", fix=did_you_mean(pattern, paths))
    return found
