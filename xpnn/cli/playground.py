"""`xpnn playground`: a page on which a small network trains, as a file that works offline."""

from pathlib import Path

import click

from xpnn.cli.command import Command
from xpnn.cli.options import FilePath, json_option
from xpnn.cli.output import echo, emit, size
from xpnn.durable import write_durably
from xpnn.errors import UsageError
from xpnn.reading import read_bounded

OWN = b"Made by xpnn"
"""What every page says in its last lines."""
MOST = 1 << 22
"""Bytes of a file that is looked at before it is replaced."""


@click.command(cls=Command, examples=["xpnn playground"])
@click.option(
    "--out",
    type=FilePath(),
    metavar="FILE",
    default="playground.html",
    show_default=True,
    help="Where. A file that is there is replaced only if it is such a page.",
)
@json_option
def command(out: Path, as_json: bool) -> None:
    """Write a page on which a small network trains on points in the plane.

    Layers, units, activation, rate, noise and regularization can be chosen; one step can be looked at number by
    number. The file needs no network and no other file. xpnn serve shows the same page.
    """
    from xpnn.web.pages import playground_page

    if out.exists() and OWN not in read_bounded(out, MOST):
        raise UsageError(f"{out} is there already, and is no page of xpnn", fix="another --out")
    data = playground_page().encode()
    write_durably(out, data)
    if as_json:
        emit({"file": str(out), "bytes": len(data)})
    else:
        echo(f"saved  {out} ({size(len(data))})")
