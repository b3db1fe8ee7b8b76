"""A trained model as one page that works offline: draw, drop a picture, or type numbers, and see the answer."""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.durable import write_durably
from xpnn.errors import UsageError
from xpnn.interchange.javascript import script
from xpnn.interchange.program import Program
from xpnn.interchange.trace import program_of

if TYPE_CHECKING:
    from xpnn.model import Model

TEMPLATE = Path(__file__).with_name("page.html")


def save_html(
    model: "Model",
    path: str | Path,
    *,
    channels: str = "last",
    probabilities: bool | None = None,
    preprocessing: bool = True,
    classes: Sequence[str] = (),
) -> Program:
    """Write `model` to a page with its weights inside: a canvas and a place for pictures, or a line for numbers.

    A drawing is brought to the form that `model.preparation` says, cropped to its ink where that is "ink". The other
    settings are those of `save_onnx`, but channels, which are last. Raises UsageError for a model of several inputs or
    outputs, for ids, and for what cannot be written; FileError.
    """
    path = Path(path)
    if channels != "last":
        raise UsageError(
            "channels='first' for a page", fix="leave it out: the page brings pictures to that form itself"
        )
    program = program_of(model, probabilities=probabilities, preprocessing=preprocessing)
    if len(program.inputs) != 1 or len(program.outputs) != 1 or program.inputs[0][1] == "int64":
        raise UsageError(
            "a page shows networks of one input of numbers and one output",
            fix="--to onnx, py or c take all others",
        )
    preparation = model.preparation
    known = preparation.class_names if preparation is not None else ()
    _, dtype, shape = program.inputs[0]
    about: dict[str, Any] = {
        "name": path.stem,
        "shape": list(shape),
        "bytes": dtype == "uint8",
        "classes": list(classes or known),
        "crop": getattr(preparation, "crop", "none"),
        "probabilities": probabilities is not False,
    }
    parts = {
        "TITLE": html.escape(path.stem),
        "ABOUT": json.dumps(about).replace("<", "\\u003c"),
        "MODEL": script(program),
    }
    # in one pass: what is put in may hold the marks of the others
    text = re.sub(r"\{\{(TITLE|ABOUT|MODEL)\}\}", lambda mark: parts[mark[1]], TEMPLATE.read_text())
    write_durably(path, text.encode())
    return program
