"""`xpnn predict`: what a trained model sees in a picture, and what it takes it for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xpnn.cli.command import Command, state
from xpnn.cli.options import FilePath, json_option
from xpnn.cli.output import console, echo, emit, percent
from xpnn.cli.runs import find_run
from xpnn.data.picture import SIDE, Picture, read_picture
from xpnn.errors import UsageError

if TYPE_CHECKING:
    from rich.text import Text

TOP, ALL, BAR = 3, 10, 24
"""Classes shown, those shown with -v, and the length of a bar."""
EIGHTHS = " ▏▎▍▌▋▊▉"


@click.command(cls=Command, examples=["xpnn predict seven.png"])
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=FilePath())
@click.option(
    "--run",
    type=FilePath(),
    metavar="RUN",
    help="Run folder or model file  [default: newest]",
)
@json_option
def command(files: tuple[Path, ...], run: Path | None, as_json: bool) -> None:
    """Recognise the digit in a picture.

    FILE holds one digit, of any size, dark on light or light on dark. It is brought to the form of MNIST's
    images first; what the network saw is shown.
    """
    saved = find_run(run, lambda about: about.get("input_shape") == [SIDE, SIDE, 1])
    model = saved.load("numpy")
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
    echo(f"{file}  {picture.note}")
    shown = best[: ALL if state().verbose else TOP]
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
