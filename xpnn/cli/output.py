"""Where lines go: results to stdout, progress to stderr; with --json, JSON alone to stdout."""

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
    """Print a line of progress to stderr; not with --quiet."""
    if not state().quiet:
        line = printable(line)
        with contextlib.suppress(OSError):  # stderr is closed; the work goes on
            click.echo(folded(line) if sys.stderr.isatty() else line, err=True)


def reading_bar(done: int, total: int) -> None:
    """Show how many pictures have been read, on a terminal; the line disappears at the end."""
    if state().quiet or not sys.stderr.isatty():
        return
    full = done * BAR // max(total, 1)
    line = f"reading pictures  {'█' * full}{'·' * (BAR - full)}  {done:,} of {total:,}"
    click.echo("\r" + (line if done < total else " " * len(line) + "\r"), nl=False, err=True)


def detail(line: str) -> None:
    """Print further lines to stderr with -v."""
    if state().verbose:
        for one in line.splitlines():
            status(one)


def echo(line: str) -> None:
    """Print a result to stdout; not with --quiet."""
    if not state().quiet:
        line = printable(line)
        click.echo(folded(line) if sys.stdout.isatty() else line)


def write(text: str) -> None:
    """Print text meant for a file: with --quiet too, and without folding."""
    click.echo(printable(text))


def folded(line: str) -> str:
    """Return the line, broken if it is wider than the terminal, first at the gap before the last column."""
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
    """Print one JSON object on a line, and flush it for the reader of a pipe."""
    click.echo(json.dumps(event, allow_nan=False, default=default))


def console() -> "Console":
    """Return rich's console on stdout: plain text in a pipe or with NO_COLOR; silent with --quiet."""
    from rich.console import Console

    class Strict(Console):
        def on_broken_pipe(self) -> None:
            """Raise BrokenPipeError, as without rich, which would end the process with 1."""
            raise BrokenPipeError

    return Strict(highlight=False, quiet=state().quiet, markup=False)


def percent(share: float, digits: int = 1) -> str:
    """Return `98.6 %` for 0.986."""
    return f"{100 * share:.{digits}f} %"


def size(count: int) -> str:
    """Return a number of bytes as `0.95 MB` or `3 KB`."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} KB"
