"""`xpnn runs`: the runs of a folder in one table, or what differs between some of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpnn.cli.command import Command
from xpnn.cli.options import FilePath, Name, json_option
from xpnn.cli.output import console, echo, emit, percent, status
from xpnn.cli.overview import Overview, is_run, overview, runs_in
from xpnn.cli.runs import ROOT
from xpnn.errors import FileError
from xpnn.printing import one_line

if TYPE_CHECKING:
    from rich.table import Table

WORST = float("inf")
ORDERS = {
    "newest": None,
    "name": lambda run: run.name,
    "accuracy": lambda run: -(run.scores["valid_accuracy"] or 0.0),
    "loss": lambda run: WORST if (loss := run.scores["valid_loss"]) is None else loss,
}
"""The orders of the table: each run's key, the smallest first; None leaves runs as they are found."""
SCORES = {
    "epochs": "epochs",
    "best epoch": "best_epoch",
    "valid loss": "valid_loss",
    "valid acc": "valid_accuracy",
    "test acc": "test_accuracy",
    "test loss": "test_loss",
    "parameters": "parameters",
    "seconds": "seconds",
}
"""The last rows of a comparison, and the names of the scores."""


@click.command(cls=Command, examples=["xpnn runs", "xpnn runs runs/mnist-mlp-1 runs/mnist-mlp-2"])
@click.argument("runs", nargs=-1, type=FilePath(), metavar="[RUN]...")
@click.option("--sort", type=Name("order", ORDERS), default="newest", show_default=True, help="Of the table.")
@json_option
def command(runs: tuple[Path, ...], sort: str, as_json: bool) -> None:
    """List runs, or compare some of them.

    RUN is a run folder, or a folder that holds runs; runs/ if omitted. Of two and more run folders the settings that
    differ are shown beside the scores. Accuracies and losses are those of the best epoch on the validation samples.
    """
    compared = len(runs) > 1 and all(map(is_run, runs))
    found = [overview(folder) for folder in expanded(runs or (ROOT,))]
    for run in found:
        if run.error is not None:
            status(f"{run.folder}: {run.error.what}" + (f": {run.error.why}" if run.error.why else ""))
    if (order := ORDERS[sort]) is not None and not compared:
        found.sort(key=order)
    if as_json:
        different = {"different": differences(found)} if compared else {}
        emit({"runs": [run.to_dict() for run in found]} | different)
    elif compared:
        console().print(comparison(found))
        echo(f"the same in all: {len(shared(found))} settings (--json lists them)")
    else:
        console().print(listing(found))


def expanded(runs: tuple[Path, ...]) -> list[Path]:
    """Return run folders as they are, and the runs in other folders. Raises FileError for what is neither."""
    found: list[Path] = []
    for folder in runs:
        if is_run(folder):
            found.append(folder)
            continue
        inside, more = runs_in(folder)
        if not inside:
            raise FileError(
                f"no run in {folder}", fix="xpnn train makes one; or name a folder that holds runs"
            )
        if more:
            status(f"{folder}: the newest {len(inside):,} runs; {more:,} older ones are left out")
        found += inside
    return found


def listing(runs: list[Overview]) -> "Table":
    """Return a row for each run."""
    grid = grid_of("run", "state", "epochs", "valid loss", "valid acc", "test acc", "parameters")
    for run in runs:
        scores = run.scores
        of = "" if scores["of"] is None else f"/{scores['of']}"
        add(
            grid,
            one_line(run.name, 28),
            run.state,
            f"{scores['epochs']}{of}",
            *(shown(name, scores[name]) for name in ("valid_loss", "valid_accuracy", "test_accuracy")),
            shown("parameters", scores["parameters"]),
        )
    return grid


def comparison(runs: list[Overview]) -> "Table":
    """Return a row for each setting that differs, then the scores; a column for each run."""
    grid = grid_of("", *(one_line(run.name, 24) for run in runs))
    for name, values in differences(runs).items():
        add(grid, one_line(name), *(one_line("-" if value is None else value, 24) for value in values))
    add(grid, "state", *(run.state for run in runs))
    for label, name in SCORES.items():
        values = [run.scores[name] for run in runs]
        if any(value is not None for value in values):
            add(grid, label, *(shown(name, value) for value in values))
    return grid


def differences(runs: list[Overview]) -> dict[str, list[Any]]:
    """Return {setting: its value in each run} of those that are not the same in all."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    same = shared(runs)
    return {name: [run.settings.get(name) for run in runs] for name in names if name not in same}


def shared(runs: list[Overview]) -> set[str]:
    """Return the settings that are the same in all runs."""
    first = runs[0].settings
    return {name for name in first if all(run.settings.get(name, ...) == first[name] for run in runs)}


def shown(name: str, value: Any) -> str:
    """Return a score as the table shows it."""
    if value is None:
        return "-"
    if name.endswith("accuracy"):
        return percent(value, 2)
    if name.endswith("loss"):
        return f"{value:.4g}"
    return f"{value:.1f}" if name == "seconds" else f"{value:,}"


def grid_of(*columns: str) -> "Table":
    """Return an empty table with a bold first column, and numbers to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        grid.add_column(Text(column), style="bold" if i == 0 else "", justify="left" if i == 0 else "right")
    return grid


def add(grid: "Table", *cells: str) -> None:
    """Add a row of plain text."""
    from rich.text import Text

    grid.add_row(*map(Text, cells))
