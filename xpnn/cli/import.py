"""`xpnn import`: a network in an ONNX file as a model file."""

import warnings
from pathlib import Path

import click

from xpnn.cli.command import Command
from xpnn.cli.options import json_option
from xpnn.cli.output import detail, echo, emit, size, status
from xpnn.errors import UsageError
from xpnn.layers.base import is_multiple


@click.command(cls=Command, examples=["xpnn import digits.onnx"])
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where  [default: in the current folder, with the ending .safetensors]",
)
@json_option
def command(file: Path, out: Path | None, as_json: bool) -> None:
    """Turn a network in an ONNX file into a model file.

    FILE ends in .onnx. Its images become channels last. Train it further by xpnn train --from, or xpnn.load in Python.
    Operations that no layer of xpnn computes are refused, with the node and the reason.
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
        model = load_onnx(file)
    model.save(path)
    for note in notes:
        status(f"note: {note.message}")
    shapes = [
        [list(one) for one in (shape if is_multiple(shape) else (shape,))]
        for shape in (model.input_shape, model.output_shape)
    ]
    parameters = model.layout.size["theta"]
    if as_json:
        event = {"file": str(path), "bytes": path.stat().st_size, "source": str(file)}
        emit(event | {"parameters": parameters, "inputs": shapes[0], "outputs": shapes[1]})
        return
    echo(f"saved  {path} ({size(path.stat().st_size)}) from {file} · {parameters:,} parameters")
    for word, several in zip(("in", "out"), shapes, strict=True):
        for shape in several:
            echo(f"{word:<5}  ({', '.join(['N', *map(str, shape)])})")
    detail(model.summary())
