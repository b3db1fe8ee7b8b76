"""A trained model as one page that works offline: draw, drop a picture, or type numbers, and see the answer."""

import base64
import html
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.durable import write_durably
from xpnn.errors import UsageError
from xpnn.interchange.javascript import script
from xpnn.interchange.program import Program, inputs_in_words
from xpnn.interchange.trace import names_of, program_of, squash
from xpnn.layers import Flatten, Rescale, Reshape, Standardize

if TYPE_CHECKING:
    from xpnn.model import Model

PAGE = Path(__file__).with_name("page")
"""The parts that a page is put together from."""


def save_html(
    model: "Model",
    path: str | Path,
    *,
    channels: str = "last",
    probabilities: bool | None = None,
    preprocessing: bool = True,
    classes: Sequence[str] = (),
    examples: Any = (),
) -> Program:
    """Write `model` to a page with its weights inside: a canvas and a place for pictures, or a line for numbers.

    A drawing is brought to the form that `model.preparation` says, cropped to its ink where that is "ink". Below the
    answer the page shows the values of every layer. examples: images of bytes, (n, H, W, C), to choose from. The other
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
    about = about_of(model, path.stem, classes, examples, shows_probabilities(model, probabilities))
    about["text"] += inputs_in_words(program)
    about |= {"shape": list(program.inputs[0][2]), "bytes": program.inputs[0][1] == "uint8"}
    write_durably(path, page_of(about, script(program, layers_of(model))).encode())
    return program


def about_of(
    model: "Model", name: str, classes: Sequence[str], examples: Any, probabilities: bool
) -> dict[str, Any]:
    """What the page has to know of the model, beside its weights."""
    return {
        "name": name,
        "text": description(model),
        "shape": list(model.input_shape),
        "bytes": False,
        "outputs": count_of(model.output_shape),
        "classes": list(names_of(model, classes)),
        "examples": [encoded(image, model.input_shape) for image in examples],
        "crop": getattr(model.preparation, "crop", "none"),
        "probabilities": probabilities,
    }


def page_of(about: dict[str, Any], model: str, more: str = "", links: str = "") -> str:
    """The page as text. model: a script with `predict` and `layers`; more: a script before that of the page."""
    own = {
        name.upper(): (PAGE / f"{name}.js").read_text(encoding="utf-8")
        for name in ("picture", "drawing", "inside", "page")
    }
    parts = {
        "TITLE": html.escape(str(about["name"])),
        "LINKS": links,
        "STYLE": (PAGE / "style.css").read_text(encoding="utf-8"),
        "ABOUT": in_script(about),
        "MODEL": model,
        "MORE": more,
        **own,
    }
    return filled((PAGE / "page.html").read_text(encoding="utf-8"), parts)


def count_of(shape: Any) -> int:
    """The numbers in one output; those of several outputs together. A size that is open counts once."""
    if shape and isinstance(shape[0], tuple):
        return sum(map(count_of, shape))
    return math.prod(size or 1 for size in shape)


def in_script(value: Any) -> str:
    """Plain data as JSON that cannot end the script in which it stands."""
    return json.dumps(value).replace("<", "\\u003c")


def filled(text: str, parts: dict[str, str]) -> str:
    """The text with each {{NAME}} replaced, in one pass: what is put in may hold the marks of other parts."""
    from xpnn import __version__

    parts = {"VERSION": __version__, **parts}
    return re.sub(rf"\{{\{{({'|'.join(parts)})\}}\}}", lambda mark: parts[mark[1]], text)


def encoded(image: Any, shape: tuple[int, ...]) -> str:
    """An image of bytes as base64. Raises UsageError for another shape or dtype."""
    a = np.asarray(image)
    if a.shape != tuple(shape) or a.dtype != np.uint8:
        raise UsageError(
            f"an example of shape {a.shape} and {a.dtype}", why=f"the model takes bytes of {shape}"
        )
    return base64.b64encode(a.tobytes()).decode()


def description(model: "Model") -> str:
    """A line on the network."""
    chain = getattr(model.net, "layers", None)
    names = [type(layer).__name__ for layer in chain] if chain else [type(model.net).__name__]
    numbers = f"{model.layout.size['theta']:,} weights"
    return f"A neural network of {numbers}: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."


def shows_probabilities(model: "Model", wanted: bool | None) -> bool:
    """Whether the page shows its outputs as probabilities."""
    if wanted is False:
        return False
    return (
        squash(model.loss, model.net.output_kind, wanted) is not None
        or model.net.output_kind == "probabilities"
    )


def layers_of(model: "Model") -> dict[str, tuple[str, tuple[int, ...]]]:
    """{path: (name, shape of its result)} of the layers that the page shows: those of a chain that compute."""
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    shape: Any = model.input_shape
    for i, layer in enumerate(getattr(model.net, "layers", ())):
        shape = layer.plan(shape)[1]
        if not isinstance(layer, Rescale | Standardize | Flatten | Reshape):
            found[str(i)] = (type(layer).__name__, shape)
    return found
