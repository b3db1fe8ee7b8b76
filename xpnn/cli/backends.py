"""`xpnn backends`: what is installed, what works, and what `--backend auto` would choose."""

from typing import Any

import click

from xpnn.backends import backend_class, backend_names, get_backend
from xpnn.backends.auto import check, choose
from xpnn.backends.cpu.blas import blas, warnings
from xpnn.backends.cuda.driver import driver_version
from xpnn.cli.command import Command
from xpnn.cli.options import json_option
from xpnn.cli.output import console, echo, emit
from xpnn.errors import BackendError
from xpnn.printing import as_flags

COLOURS = {"ready": "green", "missing": "dim", "broken": "red"}


@click.command(cls=Command, examples=["xpnn backends --json", "xpnn backends --kernels numpy"])
@click.option("--kernels", metavar="BACKEND", help="List the function that computes each kernel there.")
@json_option
def command(kernels: str | None, as_json: bool) -> None:
    """Show which array libraries work here.

    Each is tried out on a small matrix product. The last lines say why auto chooses as it does, and what NumPy
    multiplies with.
    """
    if kernels is not None:
        table = backend_class(kernels).kernel_table()
        width = max(map(len, table)) + 1
        emit({"backend": kernels, "kernels": table}) if as_json else echo(
            "\n".join(f"{name:{width}}{function}" for name, function in table.items())
        )
        return
    rows = [status(name) for name in backend_names()]
    auto, why = choose()
    found, driver = blas(), driver_version()
    cuda = ".".join(map(str, driver)) if driver else None
    notes = warnings(found)
    if as_json:
        emit(
            {
                "backends": rows,
                "auto": {"backend": auto, "why": why},
                "blas": {"name": found.name, "version": found.version}
                | {"kernel": found.kernel, "threads": found.threads},
                "driver_cuda": cuda,
                "warnings": notes,
            }
        )
        return
    show(rows)
    echo(f"auto    {auto} ({why})")
    echo(f"BLAS    {found}")
    echo("driver  " + (f"NVIDIA, CUDA {cuda}" if cuda else "no NVIDIA driver"))
    for note in notes:
        echo(f"note    {note}")


def status(name: str) -> dict[str, Any]:
    """Open one backend on its default device, and try it out."""
    try:
        be = get_backend(name)
        check(be)
    except BackendError as error:
        missing = "not installed" in error.what
        detail = error.what if not error.why else f"{error.what}: {error.why}"
        state = "missing" if missing else "broken"
        return {
            "backend": name,
            "status": state,
            "version": None,
            "device": None,
            "devices": [],
            "detail": detail,
            "fix": as_flags(error.fix),
        }
    return {
        "backend": name, "status": "ready", "version": be.version(), "device": be.device_name,
        "devices": list(be.devices_here()), "detail": be.hardware(), "fix": "",
    }  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in ("backend", "status", "version", "detail"):
        table.add_column(head, overflow="fold")
    for row in rows:
        colour = COLOURS[row["status"]]
        more = [device for device in row["devices"] if device != row["device"]]
        others = f"also {', '.join(more)}" if more else ""
        detail = "\n".join(filter(None, (row["detail"], others, row["fix"])))
        table.add_row(row["backend"], Text(row["status"], colour), row["version"] or "-", Text(detail))
    console().print(table)
