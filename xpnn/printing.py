"""Text from files, names and paths as it may be printed: nothing in it commands the terminal or the reader's eye."""

import contextlib
import re
import sys
import unicodedata
from collections.abc import Iterable

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode: control characters (ESC begins the commands of terminals), marks without a shape, some of
which turn text around, halves of characters (what a file's name holds that is no UTF-8), and separators of lines."""
LISTED = 8
"""Names in one message."""


def printable(text: object) -> str:
    r"""The text with every character that would not show as one written out: `\x1b`, `\u202e`.

    Newlines and tabs stay. Letters of all scripts stay, right-to-left ones too.
    """
    found = str(text)
    return found if found.isprintable() else "".join(map(_shown, found))


def one_line(text: object, most: int = 80) -> str:
    """`printable`, without newlines and tabs, cut after `most` characters."""
    flat = printable(text).replace("\n", r"\n").replace("\t", r"\t")
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def in_comment(text: object) -> str:
    """The text for a comment or docstring of a program, which it cannot end: what might becomes a question mark.

    Letters, digits, spaces and a few marks stay; quotes, slashes, stars, backslashes and newlines do not.
    """
    return re.sub(r"[^\w .,:;()\[\]=+-]", "?", str(text))


def library_of(a: object) -> str:
    """The package that the object's class comes from."""
    return type(a).__module__.partition(".")[0]


def name_of(a: object) -> str:
    """Return the name of its type, such as `scipy.csr_matrix` or `list`."""
    library = library_of(a)
    return type(a).__name__ if library in ("builtins", "numpy") else f"{library}.{type(a).__name__}"


def listed(names: Iterable[object]) -> str:
    """The first names, quoted, and how many more."""
    return joined([repr(str(name)[:40]) for name in names])


def joined(parts: list[str]) -> str:
    """The first parts, and how many more."""
    more = f" and {len(parts) - LISTED:,} more" if len(parts) > LISTED else ""
    return ", ".join(parts[:LISTED]) + more


def count_of(names: list[str], noun: str) -> str:
    """`column` of one, `columns` of more; of class `classes`."""
    return noun if len(names) == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"


def counted(number: int, noun: str) -> str:
    """`1 picture`, `2,000 pictures`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def to_stderr(lines: Iterable[str]) -> None:
    """Print what a user should know besides the result. A stream that is closed, or None, stops nothing."""
    for line in lines:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.write(printable(line) + "\n")


def as_flags(advice: str) -> str:
    """Advice in Python's words in those of a shell: backend='numpy' as --backend numpy."""
    return re.sub(r"\b(backend|device|dtype|precision)='([\w:]+)'", r"--\1 \2", advice)
