"""`xpnn gradcheck`: are a model's backward passes the derivatives of its forward passes?"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from xpnn.cli.command import Command
from xpnn.cli.options import Name, Widths, json_option
from xpnn.cli.output import console, echo, emit
from xpnn.diagnostics.gradcheck import TOLERANCE, GradientCheck, H, gradcheck
from xpnn.errors import XpnnError
from xpnn.models import ACTIVATIONS, MODELS, build

if TYPE_CHECKING:
    from rich.table import Table

SHAPE, CLASSES = (28, 28, 1), 10
HOW = f"float64, central differences, h = {H:.0e}, tolerance {TOLERANCE:.0e}"
WIDEST = 512
"""A wider layer is checked at this width: its formulas are the same, and the check takes seconds."""


@click.command(cls=Command, examples=["xpnn gradcheck mlp --hidden 32,16"])
@click.argument("model", type=Name("model", MODELS))
@click.option(
    "--hidden",
    type=Widths(),
    default=(256, 128),
    metavar="N,N",
    help="Widths of the hidden layers  [default: 256,128]",
)
@click.option("--activation", type=Name("activation", ACTIVATIONS), default="relu", show_default=True)
@json_option
def command(model: str, hidden: tuple[int, ...], activation: str, as_json: bool) -> None:
    """Check a model's gradients.

    Every layer's backward pass, parameter by parameter, against finite differences in float64, on random data of
    MNIST's shapes. Exits with 1 when one is wrong.
    """
    widths = tuple(min(n, WIDEST) for n in hidden)
    layers = build(model, SHAPE, CLASSES, hidden=widths, activation=activation, dropout=0.2, pixels=True)
    rows = gradcheck(layers, SHAPE, loss="softmax_cross_entropy")
    wrong = [row for row in rows if not row.ok]
    if as_json:
        settings = {"model": model, "hidden": widths, "activation": activation, "tolerance": TOLERANCE}
        emit(settings | {"ok": not wrong, "gradients": [tidy(row) for row in rows]})
    else:
        console().print(table(rows))
        if widths != hidden:
            echo(f"layers wider than {WIDEST} were checked at {WIDEST}")
        echo(f"{len(rows) - len(wrong)} of {len(rows)} gradients agree ({HOW})")
    if wrong:
        names = ", ".join(f"{row.path} {row.layer}.{row.array}" for row in wrong)
        raise XpnnError(f"{len(wrong)} of {len(rows)} gradients are wrong: {names}")


def tidy(row: GradientCheck) -> dict[str, Any]:
    """Return a row as JSON, which has no infinity."""
    return asdict(row) | {"error": row.error if row.error < float("inf") else None}


def table(rows: list[GradientCheck]) -> "Table":
    """Print a line for each array whose gradient was checked."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head, side in (
        ("layer", "left"),
        ("array", "left"),
        ("error", "right"),
        ("directions", "right"),
        ("", "left"),
    ):
        grid.add_column(head, justify=side)  # type: ignore[arg-type]
    for row in rows:
        verdict = Text("ok", "green") if row.ok else Text("wrong", "red")
        verdict.append(f"  {row.note}" if row.note else "", "default")
        grid.add_row(f"{row.path} {row.layer}", row.array, f"{row.error:.1e}", str(row.directions), verdict)
    return grid
