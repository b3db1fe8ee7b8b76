"""Text from files, names and paths as it may be printed: nothing in it commands the terminal or the reader's eye."""

import re
import unicodedata

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode: control characters (ESC begins the commands of terminals), marks without a shape, some of
which turn text around, halves of characters (what a file's name holds that is no UTF-8), and separators of lines."""


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


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in HIDDEN:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_flags(advice: str) -> str:
    """Advice in Python's words in those of a shell: backend='numpy' as --backend numpy."""
    return re.sub(r"\b(backend|device|dtype|precision)='([\w:]+)'", r"--\1 \2", advice)
