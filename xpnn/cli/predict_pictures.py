"""`xpnn predict` for pictures: what the network sees in each, and its answer."""

import glob
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xpnn.cli.output import console, echo, emit, percent, status
from xpnn.cli.predict_rows import as_csv
from xpnn.cli.runs import Saved
from xpnn.cli.state import state
from xpnn.data.image_file import open_upright
from xpnn.data.image_preparation import ImagePreparation, prepare
from xpnn.data.images import is_picture
from xpnn.data.picture import Picture
from xpnn.durable import write_durably
from xpnn.errors import FileError, UsageError, XpnnError
from xpnn.printing import counted, one_line

if TYPE_CHECKING:
    from rich.text import Text

    from xpnn.model import Model

TOP, ALL, BAR, WIDE = 3, 10, 24, 64
"""Classes shown, those shown with -v, the length of a bar, and the width of a picture in characters."""
EIGHTHS = " ▏▎▍▌▋▊▉"
SEEN = ".seen.png"


def predict_pictures(
    saved: Saved, model: "Model", files: tuple[Path, ...], as_json: bool, save: bool, out: Path | None = None
) -> int:
    """Print the answer for each picture, or write all to `out`; the exit code of the last error, 0 without one.

    A file that cannot be read is reported, and the others are answered all the same; one file alone raises its error.
    """
    from xpnn.cli import report

    preparation = preparation_of(saved, model)
    names, code, answers = list(every_picture(files)), 0, []
    for file in names:
        try:
            found = answered(preparation, model, file)
            if save:
                save_seen(file, found)
        except XpnnError as error:
            if len(names) == 1:
                raise
            code = report(error)
            continue
        for i, (picture, best) in enumerate(found):
            if as_json or out is not None:
                answers.append(answer(file, picture, best))
                if picture.doubt:
                    status(f"{file}: unsure of {best[0][0]!r}: {picture.doubt}")
            else:
                show(f"{file}, {i + 1} of {len(found)}" if len(found) > 1 else str(file), picture, best)
        if len(found) > 1 and not as_json and out is None:
            echo(f"{one_line(file, 200)}  {' '.join(one_line(best[0][0]) for _, best in found)}")
    if out is not None:
        write_durably(out, as_rows(answers, preparation.classes).encode())
        status(f"saved  {out} ({counted(len(answers), 'answer')})")
    elif as_json:
        emit({"checkpoint": str(saved.weights), "predictions": answers})
    return code


def preparation_of(saved: Saved, model: "Model") -> ImagePreparation:
    """Return how the model's pictures were prepared; without a record, pictures of its size are taken as they are.

    For 28 x 28 grey pixels MNIST's preparation is assumed, and a line says so. Raises UsageError for a model
    whose input is no picture.
    """
    if isinstance(model.preparation, ImagePreparation):
        return model.preparation
    shape = tuple(model.input_shape)
    if len(shape) != 3 or shape[2] not in (1, 3):
        raise UsageError(
            f"{saved.weights} takes samples of shape {shape}, not pictures",
            fix="--run with a model that was trained on pictures",
        )
    digits = shape == (28, 28, 1)
    outputs = model.output_shape[0]
    classes = tuple(saved.classes) if len(saved.classes) == outputs else tuple(map(str, range(outputs)))
    form = "in MNIST's form, cropped and centred" if digits else "as they are"
    status(f"{saved.weights} has no record of how its pictures were prepared: they are shown {form}")
    guess = ImagePreparation(*shape, classes)
    return replace(guess, crop="ink", polarity="light on dark") if digits else guess


def every_picture(files: tuple[Path, ...]) -> Iterator[Path]:
    """Return the files: those named, the pictures in folders and their subfolders, and those that fit a pattern.

    What --show saved is left out of folders and patterns. Raises FileError for a folder without pictures.
    """
    for name in files:
        if name.is_dir():
            found = sorted(p for p in name.rglob("*") if is_picture(p) and not p.name.endswith(SEEN))
        elif not name.exists() and glob.has_magic(str(name)):
            found = sorted(Path(p) for p in glob.glob(str(name), recursive=True) if not p.endswith(SEEN))
        else:
            found = [name]
        if not found:
            raise FileError(f"no picture in {name}", fix="PNG, JPEG, GIF, BMP, TIFF or WebP files")
        yield from found


def answered(
    preparation: ImagePreparation, model: "Model", file: Path
) -> list[tuple[Picture, list[tuple[str, float]]]]:
    """Return each picture or digit of a file, with its classes from the most to the least likely."""
    pictures = prepare(preparation, open_upright(file), str(file))
    x = np.stack([picture.pixels for picture in pictures])
    shares = model.predict_proba(x)
    if shares.shape[1] == 1:  # of a single yes or no
        shares = np.concatenate([1 - shares, shares], axis=1)
    order = np.argsort(-shares, axis=1, kind="stable")
    names = preparation.classes
    return [
        (picture, [(name_of(int(c), names), float(share[c])) for c in best])
        for picture, share, best in zip(pictures, shares, order, strict=True)
    ]


def save_seen(file: Path, found: list[tuple[Picture, Any]]) -> None:
    """Save FILE.seen.png beside the file: the photograph with a box around each digit, and what the network saw."""
    from xpnn.cli.predict_show import side_by_side

    path = file.with_name(f"{file.name}{SEEN}")
    write_durably(path, side_by_side(open_upright(file), [(picture, best[0][0]) for picture, best in found]))
    status(f"saved  {path}")


def name_of(label: int, classes: tuple[str, ...]) -> str:
    """Return the class's name, or its number if the names are not known."""
    return classes[label] if label < len(classes) else str(label)


def answer(file: Path, picture: Picture, best: list[tuple[str, float]]) -> dict[str, Any]:
    """Return the JSON entry of one picture, or of one digit in it."""
    return {
        "file": str(file),
        "class": best[0][0],
        "probability": best[0][1],
        "classes": dict(best),
        "size": picture.size,
        "mode": picture.mode,
        "inverted": picture.inverted,
        "crop": picture.box,
    } | ({"doubt": picture.doubt} if picture.doubt else {})


def as_rows(answers: list[dict[str, Any]], classes: tuple[str, ...]) -> str:
    """Return CSV: file, answer and the probability of each class; boxes too where a file shows several digits."""
    several = len({one["file"] for one in answers}) < len(answers)
    names = ["file", *(("left", "top", "right", "bottom") if several else ()), "label"]
    rows = [
        [
            one["file"],
            *(one["crop"] if several else ()),
            one["class"],
            *(f"{one['classes'].get(c, 0):.6g}" for c in classes),
        ]
        for one in answers
    ]
    return as_csv([*names, *(f"probability {c}" for c in classes)], rows)


def show(title: str, picture: Picture, best: list[tuple[str, float]]) -> None:
    """Print what the network saw in 14 lines, the most likely classes, and how the picture was prepared."""
    out = console()
    echo(f"{one_line(title, 200)}  {picture.note}")
    shown = [(one_line(name), share) for name, share in best[: ALL if state().verbose else TOP]]
    width = max(len(name) for name, _ in shown)
    above = 5 if len(shown) <= TOP else 2
    beside = {
        above + i: f"{name:>{width}}  {percent(share):>7}  {bar(share)}"
        for i, (name, share) in enumerate(shown)
    }
    shades = out.color_system in ("256", "truecolor")
    for i, line in enumerate(half_blocks(small(picture.pixels), shades)):
        text = line + f"   {beside[i]}" if i in beside else line
        out.print(text, soft_wrap=True)


def small(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return grey levels (H, W) of a sample, H even and W at most 64, for a terminal."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("L")
    scale = min(1.0, WIDE / max(image.size))
    width, height = (max(1, round(n * scale)) for n in image.size)
    size = width, height + height % 2
    return np.asarray(image if size == image.size else image.resize(size))


def half_blocks(pixels: NDArray[Any], shades: bool) -> "list[Text]":
    """Return lines with two pixels in each character, in greys or, without colours, in black and white."""
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
    """Return a bar of `share` times 24 characters, to an eighth of one."""
    eighths = round(share * BAR * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).rstrip()
