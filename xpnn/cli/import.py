"""`xpnn import`: a network in an ONNX file as a model file."""

import warnings
from pathlib import Path
from typing import Any

import click

from xpnn.cli.command import Command
from xpnn.cli.options import FilePath, json_option
from xpnn.cli.output import detail, echo, emit, size, status
from xpnn.errors import DataError, FileError, UsageError, first_line
from xpnn.layers.base import is_multiple
from xpnn.printing import one_line


class Numbers(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Numbers, one for all channels or one for each: `0.5` or `0.485,0.456,0.406`."""

    name = "numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """Return the numbers. Raises BadParameter for anything else."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r}: wanted a number, or one for each channel with commas between", param, ctx)


@click.command(cls=Command, examples=["xpnn import digits.onnx"])
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where  [default: in the current folder, with the ending .safetensors]",
)
@click.option(
    "--classes",
    type=FilePath(),
    metavar="NAMES",
    help="A file with the name of each class on a line  [default: those in FILE]",
)
@click.option(
    "--mean",
    type=Numbers(),
    metavar="M",
    help="The network wants pixels as (x / 255 - M) / S, such as 0.5 or a,b,c.",
)
@click.option("--std", type=Numbers(), metavar="S", help="See --mean.")
@click.option("--unbatched", is_flag=True, help="The arrays in FILE have no axis of samples.")
@json_option
def command(
    file: Path,
    out: Path | None,
    classes: Path | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    unbatched: bool,
    as_json: bool,
) -> None:
    """Turn a network in an ONNX file into a model file.

    FILE ends in .onnx. Its images become channels last. Train it further by xpnn train --from, or xpnn.load in Python.
    Operations that no layer of xpnn computes are refused, with the node and the reason. With the names of its classes,
    which a file that xpnn wrote holds, xpnn predict takes pictures.
    """
    if file.suffix.lower() != ".onnx":
        raise UsageError(
            f"{file} is no .onnx file",
            why="that is the one format of networks that is read here",
            fix="weights alone: xpnn.interchange.load_torch or load_keras in Python",
        )
    from xpnn.interchange import load_onnx

    path = out or Path(file.with_suffix(".safetensors").name)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        model = load_onnx(
            file,
            batched=not unbatched,
            classes=() if classes is None else lines_of(classes),
            mean=one_or_each(mean),
            std=one_or_each(std),
        )
    model.save(path)
    for note in notes:
        status(f"note: {note.message}")
    shapes = [
        [list(one) for one in (shape if is_multiple(shape) else (shape,))]
        for shape in (model.input_shape, model.output_shape)
    ]
    parameters = model.layout.size["theta"]
    names = list(model.preparation.class_names) if model.preparation is not None else []
    if as_json:
        event = {"file": str(path), "bytes": path.stat().st_size, "source": str(file)}
        emit(event | {"parameters": parameters, "inputs": shapes[0], "outputs": shapes[1], "classes": names})
        return
    echo(f"saved  {path} ({size(path.stat().st_size)}) from {file} · {parameters:,} parameters")
    for word, several in zip(("in", "out"), shapes, strict=True):
        for shape in several:
            echo(f"{word:<5}  ({', '.join(['N', *map(str, shape)])})")
    if names:
        echo(f"classes  {len(names)}: {one_line(', '.join(names[:6]))}{', ...' if len(names) > 6 else ''}")
    detail(model.summary())


def lines_of(path: Path) -> list[str]:
    """Return the names in a file, one on each line. Raises FileError and DataError."""
    try:
        names = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FileError(
            f"cannot read {path}", why=getattr(error, "strerror", None) or first_line(error)
        ) from error
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise DataError(f"{path} holds no names", fix="one name on each line")
    return names


def one_or_each(numbers: tuple[float, ...] | None) -> float | tuple[float, ...] | None:
    """Return a number alone as it is."""
    return numbers[0] if numbers is not None and len(numbers) == 1 else numbers
