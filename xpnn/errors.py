"""Every error xpnn raises on purpose: what happened, why, and how to fix it.

Each class also derives from the built-in exception a Python user would catch, and carries the exit
code the command line ends with.
"""

import difflib
from collections.abc import Iterable

from xpnn.printing import printable


def first_line(error: BaseException) -> str:
    """The first line of a foreign exception's message, or its class name where the message is empty."""
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


class XpnnError(Exception):
    """The family. `what` is the headline; `why` and `fix` are one line each, and may be empty."""

    exit_code = 1
    agreed = False
    """Whether all processes that share a run raise it, each of them knowing that the others do."""
    reporter = 0
    """The rank of the process that reports it, where all know of it."""

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        self.what, self.why, self.fix = what, why, fix
        lines = [what, f"  why: {why}" if why else "", f"  fix: {fix}" if fix else ""]
        # names from files are in it, and Python prints it to a terminal as it stands
        super().__init__(printable("\n".join(line for line in lines if line)))


class UsageError(XpnnError, ValueError):
    """A setting, flag or call that cannot mean anything."""

    exit_code = 2


class ArgumentError(UsageError, TypeError):
    """An argument that a function does not take."""


class BackendError(XpnnError, RuntimeError):
    """An array library, device or optional package that is missing or does not work."""

    exit_code = 3


class DataError(XpnnError, ValueError):
    """Data that cannot be trained on or predicted from: shape, labels, values, damaged files."""

    exit_code = 4


WAY = 12
"""How many shapes on the way to the failing layer an error shows at most."""


class ShapeError(DataError):
    """Shapes that do not fit: what was wanted and what came.

    A container adds the layer, its path, and the shapes on the way there.
    """

    def __init__(
        self,
        detail: str,
        *,
        why: str = "",
        fix: str = "",
        path: str = "",
        layer: str = "",
        way: tuple[str, ...] = (),
    ) -> None:
        self.detail, self.path, self.layer, self.way = detail, path, layer, way
        if way:
            shown = way if len(way) <= WAY else (way[0], "...", *way[1 - WAY :])
            fix = "shapes on the way: " + " -> ".join(shown)
        super().__init__(f"layer {path} {layer} {detail}" if path else detail, why=why, fix=fix)


class DeviceError(BackendError, TypeError):
    """An array of another library or device, met inside a step."""


class CheckpointError(XpnnError, ValueError):
    """A model file that is damaged, foreign, hostile or of another architecture."""

    exit_code = 5


class DivergedError(XpnnError, ArithmeticError):
    """The loss or a gradient became NaN or infinite. The weights are those of the last good step."""

    exit_code = 6
    agreed = True  # every process has the same sum of all losses


class FileError(XpnnError, OSError):
    """A file or folder that cannot be read or written."""

    exit_code = 7

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        XpnnError.__init__(self, what, why=why, fix=fix)

    def __str__(self) -> str:
        return str(self.args[0])


class TargetMissedError(XpnnError):
    """Training ended below the required accuracy."""

    exit_code = 8


MANY = 60
"""More names than this are too long a list for an error."""


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """`fix` text for a misspelt name: the closest known one, then all of them, or of many the nearest."""
    known, word = list(known), str(word)[:80]
    close = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean {close[0]!r}? " if close else ""
    if len(known) <= MANY:
        return f"{guess}one of: {', '.join(known)}"
    nearest = difflib.get_close_matches(word, known, n=8, cutoff=0)
    return f"{guess}of {len(known)} names these are nearest: {', '.join(nearest)}"


class MissingMethodError(UsageError, NotImplementedError):
    """A layer, loss, metric or optimizer of the user's own lacks a method."""


def missing(thing: object, method: str, gives: str) -> MissingMethodError:
    """The error that names the method, and how it is written."""
    name = type(thing).__name__
    return MissingMethodError(
        f"{name} has no method {method.partition('(')[0]}", fix=f"def {method}: ... return {gives}"
    )
