"""`xpnn predict`: a trained model's answers for pictures, tables and arrays."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpnn.cli.command import Command
from xpnn.cli.options import FilePath, json_option
from xpnn.cli.predict_pictures import predict_pictures
from xpnn.cli.predict_rows import ARRAYS, predict_rows
from xpnn.cli.runs import WEIGHTS, Saved, find_run
from xpnn.data import ImagePreparation, TablePreparation
from xpnn.data.datasets import TABLES
from xpnn.data.images import is_picture
from xpnn.data.tables.files import STDIN, is_table
from xpnn.errors import UsageError

if TYPE_CHECKING:
    from xpnn.model import Model


@click.command(cls=Command, examples=["xpnn predict seven.png", "xpnn predict test.csv --out answers.csv"])
@click.argument("files", nargs=-1, required=True, metavar="[RUN] FILE...", type=FilePath())
@click.option(
    "--run",
    type=FilePath(),
    metavar="RUN",
    help="Run folder or model file  [default: newest]",
)
@click.option("--out", type=FilePath(), metavar="FILE", help="Write the answers there, as CSV.")
@click.option(
    "--columns",
    metavar="A,B",
    default="",
    help="Of a table: what to write, such as id,label.  [default: all]",
)
@click.option(
    "--show", is_flag=True, help="Of pictures: save what the network saw beside each, as FILE.seen.png."
)
@json_option
def command(
    files: tuple[Path, ...], run: Path | None, out: Path | None, columns: str, show: bool, as_json: bool
) -> int:
    """Predict pictures, tables or arrays with a trained model.

    A picture is brought to the form of those that the model was trained on, and what the network saw is shown: a
    model of MNIST's digits answers each digit of a photograph, from left to right, dark on light or light on dark.
    Folders and patterns such as 'scans/*.jpg' stand for the pictures in them. A table, or - for standard input, gets
    an answer for each row, as CSV; with --json one JSON object on a line. RUN may be named first, or with --run.
    """
    if as_json and out is not None:
        raise UsageError("--json beside --out", why="--out writes CSV", fix="leave one of them out")
    run, files = named_first(run, files)
    saved = find_run(run, *fitting(files[0]))
    model = saved.load("numpy")
    check_kind(saved, model, files)
    if of_rows(model, files[0]):
        return predict_rows(saved, model, files, out, split_names(columns), as_json)
    if columns:
        raise UsageError(
            f"--columns {columns} with pictures",
            why="it names columns of a table",
            fix="--out FILE alone writes file, answer and probabilities",
        )
    return predict_pictures(saved, model, files, as_json, show, out)


def named_first(run: Path | None, files: tuple[Path, ...]) -> tuple[Path | None, tuple[Path, ...]]:
    """Return RUN and the files, if the first of them is a run folder or a model file."""
    first = files[0]
    if run is not None or not (first.suffix == ".safetensors" or (first / WEIGHTS).exists()):
        return run, files
    if len(files) == 1:
        raise UsageError(
            f"{first} is a model, and no file for it is named",
            fix=f"xpnn predict {shlex.quote(str(first))} FILE",
        )
    return first, files[1:]


def fitting(file: Path) -> tuple[Callable[[dict[str, Any]], bool], str]:
    """Return whether a run in runs/ can answer a file of this kind, and what such a run was trained on."""
    if file.suffix in ARRAYS:
        return lambda about: True, ""
    if str(file) == STDIN or is_table(file) or (file.is_dir() and any(map(is_table, file.iterdir()))):
        return lambda about: about.get("dataset") in TABLES, f"that was trained on a table, which {file} is"
    return (
        lambda about: len(about.get("input_shape") or ()) == 3,
        f"that was trained on pictures, which {file} is taken for",
    )


def of_rows(model: "Model", file: Path) -> bool:
    """Return whether the model answers rows: it was trained on a table or flat samples, or is given an array."""
    trained = isinstance(model.preparation, TablePreparation)
    return trained or (len(model.input_shape) == 1 and not is_picture(file)) or file.suffix in ARRAYS


def check_kind(saved: Saved, model: "Model", files: tuple[Path, ...]) -> None:
    """Raise UsageError for pictures where the model was trained on a table, and for tables where on pictures."""
    for kind, fits, other in (
        (TablePreparation, is_picture, "pictures"),
        (ImagePreparation, is_table, "a table"),
    ):
        if isinstance(model.preparation, kind) and all(map(fits, files)):
            trained = "a table" if other == "pictures" else "pictures"
            raise UsageError(
                f"{', '.join(map(str, files[:5]))}: {saved.weights} was trained on {trained}",
                fix=f"--run with a model that was trained on {other}",
            )


def split_names(columns: str) -> tuple[str, ...]:
    """Return the names in `id,label`."""
    return tuple(name.strip() for name in columns.split(",") if name.strip())
