"""Where lines go: results to stdout, talk to stderr, JSON to stdout with nothing beside it."""

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console


def say(line: str) -> None:
    """Talk."""
    click.echo(line, err=True)


def tell(line: str) -> None:
    """A result."""
    click.echo(line)


def emit(event: dict[str, Any]) -> None:
    """One JSON object on a line of its own, flushed, so that a reader of the pipe sees it now."""
    click.echo(json.dumps(event, allow_nan=False))


def console() -> "Console":
    """stdout for tables and bars; plain text where it is no terminal or NO_COLOR is set."""
    from rich.console import Console

    return Console(highlight=False)


def percent(share: float, digits: int = 1) -> str:
    """0.986 -> `98.6 %`."""
    return f"{100 * share:.{digits}f} %"


def size(count: int) -> str:
    """Bytes in the unit people use: `0.95 MB`, `3 KB`."""
    return f"{count / 1e6:.2f} MB" if count >= 1e5 else f"{count / 1e3:.1f} KB"
