"""Where lines go: results to stdout, talk to stderr, JSON to stdout with nothing beside it."""

import contextlib
import json
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from xpnn.cli.state import state
from xpnn.printing import printable

if TYPE_CHECKING:
    from rich.console import Console


BAR = 24
"""Characters of a bar."""
INDENT = 7
"""Where the second column of what `train` says begins; the rest of a long line goes there."""


def status(line: str) -> None:
    """Talk; not with --quiet."""
    if not state().quiet:
        line = printable(line)
        with contextlib.suppress(OSError):  # stderr is closed; the work goes on
            click.echo(folded(line) if sys.stderr.isatty() else line, err=True)


def reading_bar(done: int, total: int) -> None:
    """How many pictures are read so far, on a terminal; the line is gone once all are."""
    if state().quiet or not sys.stderr.isatty():
        return
    full = done * BAR // max(total, 1)
    line = f"reading pictures  {'█' * full}{'·' * (BAR - full)}  {done:,} of {total:,}"
    click.echo("\r" + (line if done < total else " " * len(line) + "\r"), nl=False, err=True)


def detail(line: str) -> None:
    """Lines of talk for those who want to know more: with -v."""
    if state().verbose:
        for one in line.splitlines():
            status(one)


def echo(line: str) -> None:
    """A result for people; not with --quiet."""
    if not state().quiet:
        line = printable(line)
        click.echo(folded(line) if sys.stdout.isatty() else line)


def write(text: str) -> None:
    """What goes into a file: with --quiet too, and however long."""
    click.echo(printable(text))


def folded(line: str) -> str:
    """The line broken where it is wider than the terminal, at a gap between columns first; a pipe gets it whole."""
    width = shutil.get_terminal_size().columns
    if len(line) <= width:
        return line
    start, _, end = line.rpartition("   ")
    parts = [start, " " * INDENT + end.strip()] if len(start) > INDENT else [line]
    lines = []
    for part in parts:
        lines += textwrap.wrap(
            part, width, subsequent_indent=" " * INDENT, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(one.rstrip(" ·") for one in lines)


def emit(event: dict[str, Any], default: Any = None) -> None:
    """One JSON object on a line of its own, flushed, so that a reader of the pipe sees it now."""
    click.echo(json.dumps(event, allow_nan=False, default=default))


def console() -> "Console":
    """stdout for tables and bars; plain text where it is no terminal or NO_COLOR is set; nothing with --quiet."""
    from rich.console import Console

    class Strict(Console):
        def on_broken_pipe(self) -> None:
            """As without rich, whose own answer is to end the process with 1."""
            raise BrokenPipeError

    return Strict(highlight=False, quiet=state().quiet, markup=False)


def percent(share: float, digits: int = 1) -> str:
    """0.986 -> `98.6 %`."""
    return f"{100 * share:.{digits}f} %"


def size(count: int) -> str:
    """Bytes in the unit people use: `0.95 MB`, `3 KB`."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} KB"
