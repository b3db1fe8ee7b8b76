"""`xpnn predict`: what a trained model sees in a picture, and what it takes it for."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xpnn.cli.command import Command
from xpnn.cli.options import FilePath, json_option
from xpnn.cli.output import console, echo, emit, percent
from xpnn.cli.predict_rows import ARRAYS, predict_rows
from xpnn.cli.runs import WEIGHTS, find_run
from xpnn.cli.state import state
from xpnn.data import TablePreparation
from xpnn.data.datasets import TABLES
from xpnn.data.picture import SIDE, Picture, read_picture
from xpnn.data.tables.files import STDIN, is_table
from xpnn.errors import UsageError
from xpnn.printing import one_line

if TYPE_CHECKING:
    from rich.text import Text

    from xpnn.model import Model

TOP, ALL, BAR = 3, 10, 24
"""Classes shown, those shown with -v, and the length of a bar."""
EIGHTHS = " ▏▎▍▌▋▊▉"


@click.command(cls=Command, examples=["xpnn predict seven.png", "xpnn predict test.csv --out answers.csv"])
@click.argument("files", nargs=-1, required=True, metavar="[RUN] FILE...", type=FilePath())
@click.option(
    "--run",
    type=FilePath(),
    metavar="RUN",
    help="Run folder or model file  [default: newest]",
)
@click.option("--out", type=FilePath(), metavar="FILE", help="Of a table: write the answers there, as CSV.")
@click.option(
    "--columns",
    metavar="A,B",
    default="",
    help="Of a table: what to write, such as id,label.  [default: all]",
)
@json_option
def command(files: tuple[Path, ...], run: Path | None, out: Path | None, columns: str, as_json: bool) -> int:
    """What a trained model makes of pictures, tables or arrays.

    A picture holds one digit, of any size, dark on light or light on dark. It is brought to the form of MNIST's
    images first; what the network saw is shown. A table, or - for standard input, gets an answer for each row, as CSV;
    with --json one JSON object on a line. RUN may be named first, or with --run.
    """
    run, files = named_first(run, files)
    saved = find_run(run, fitting(files[0]))
    model = saved.load("numpy")
    if of_rows(model, files[0]):
        return predict_rows(saved, model, files, out, split_names(columns), as_json)
    if out is not None or columns:
        raise UsageError("--out and --columns with pictures", why="they write the answers for a table")
    if model.input_shape != (SIDE, SIDE, 1):
        raise UsageError(
            f"{saved.weights} takes samples of shape {model.input_shape}, not pictures",
            fix="--run with a model of mnist or fashion",
        )
    answers = []
    for file in files:
        picture = read_picture(file)
        shares = model.predict_proba(picture.pixels[np.newaxis])[0]
        best = [
            (name_of(int(c), saved.classes), float(shares[c])) for c in np.argsort(-shares, kind="stable")
        ]
        if as_json:
            answers.append(answer(file, picture, best))
        else:
            show(file, picture, best)
    if as_json:
        emit({"checkpoint": str(saved.weights), "predictions": answers})
    return 0


def named_first(run: Path | None, files: tuple[Path, ...]) -> tuple[Path | None, tuple[Path, ...]]:
    """RUN and the files, where the first of them is a run folder or a model file."""
    first = files[0]
    if run is not None or not (first.suffix == ".safetensors" or (first / WEIGHTS).exists()):
        return run, files
    if len(files) == 1:
        raise UsageError(f"{first} is a model, and no file for it is named", fix=f"xpnn predict {first} FILE")
    return first, files[1:]


def fitting(file: Path) -> Callable[[dict[str, Any]], bool]:
    """Of the runs in runs/ those that a file of this kind may be for."""
    if str(file) == STDIN or is_table(file) or (file.is_dir() and any(map(is_table, file.iterdir()))):
        return lambda about: about.get("dataset") in TABLES
    if file.suffix in ARRAYS:
        return lambda about: True
    return lambda about: about.get("input_shape") == [SIDE, SIDE, 1]


def of_rows(model: "Model", file: Path) -> bool:
    """Whether the model answers rows: it was trained on a table or on flat samples, or is given an array."""
    trained = isinstance(model.preparation, TablePreparation)
    return trained or len(model.input_shape) == 1 or file.suffix in ARRAYS


def split_names(columns: str) -> tuple[str, ...]:
    """`id,label` as names."""
    return tuple(name.strip() for name in columns.split(",") if name.strip())


def name_of(label: int, classes: list[str]) -> str:
    """The class's name, or its number where the names are not known."""
    return classes[label] if label < len(classes) else str(label)


def answer(file: Path, picture: Picture, best: list[tuple[str, float]]) -> dict[str, Any]:
    """One file's entry of the JSON object."""
    return {
        "file": str(file),
        "class": best[0][0],
        "probability": best[0][1],
        "classes": dict(best),
        "size": picture.size,
        "mode": picture.mode,
        "inverted": picture.inverted,
        "crop": picture.box,
    }


def show(file: Path, picture: Picture, best: list[tuple[str, float]]) -> None:
    """What the network saw in 14 lines, the best classes beside it, and what was done to the picture."""
    out = console()
    echo(f"{one_line(file, 200)}  {picture.note}")
    shown = [(one_line(name), share) for name, share in best[: ALL if state().verbose else TOP]]
    width = max(len(name) for name, _ in shown)
    above = 5 if len(shown) <= TOP else 2
    beside = {
        above + i: f"{name:>{width}}  {percent(share):>7}  {bar(share)}"
        for i, (name, share) in enumerate(shown)
    }
    for i, line in enumerate(half_blocks(picture.pixels[:, :, 0], out.color_system in ("256", "truecolor"))):
        text = line + f"   {beside[i]}" if i in beside else line
        out.print(text, soft_wrap=True)


def half_blocks(pixels: np.ndarray[Any, Any], shades: bool) -> "list[Text]":
    """Two pixels in each character, top and bottom: in their own greys, or black and white where there are none."""
    from rich.text import Text

    lines = []
    for top, bottom in zip(pixels[::2], pixels[1::2], strict=True):
        line = Text()
        for a, b in zip(top.tolist(), bottom.tolist(), strict=True):
            if shades:
                line.append("▀", f"rgb({a},{a},{a}) on rgb({b},{b},{b})")
            else:
                line.append(" ▀▄█"[(a > 127) + 2 * (b > 127)])
        lines.append(line)
    return lines


def bar(share: float) -> str:
    """`share` of 24 characters, to an eighth of one."""
    eighths = round(share * BAR * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()
