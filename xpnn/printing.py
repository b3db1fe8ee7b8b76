"""Text from files, names and paths as it may be printed: nothing in it commands the terminal or the reader's eye."""

import re

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline: ESC begins commands of terminals
    "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # marks without width, and those that turn text around
    "\U000e0000-\U000e007f"  # tags without a picture
    "\ud800-\udfff]"  # halves of a character: what a file's name holds that is no UTF-8
)


def printable(text: object) -> str:
    r"""The text with every character that would not show as one written out: `\x1b`, `\u202e`.

    Newlines and tabs stay. Letters of all scripts stay, right-to-left ones too.
    """
    return UNSAFE.sub(_written_out, str(text))


def one_line(text: object, most: int = 80) -> str:
    """`printable`, without newlines and tabs, cut after `most` characters."""
    flat = printable(text).replace("\n", r"\n").replace("\t", r"\t")
    return flat if len(flat) <= most else flat[: most - 1] + "…"


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
