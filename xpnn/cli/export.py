"""`xpnn export`: a trained model as a file that runs without xpnn."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpnn.cli.command import Command
from xpnn.cli.options import Name, json_option
from xpnn.cli.output import echo, emit, size, status
from xpnn.cli.runs import Saved, find_run
from xpnn.cli.samples import test_samples
from xpnn.errors import UsageError, XpnnError

if TYPE_CHECKING:
    from xpnn.interchange.program import Program
    from xpnn.model import Model


def examples_of(saved: Saved, model: "Model") -> list[Any]:
    """Return a test image of each class, of a dataset that everybody has: pictures of the user's own are not shown."""
    if saved.about.get("data") is not None or not saved.about.get("dataset") or len(model.input_shape) != 3:
        return []
    try:
        samples = test_samples(saved, model, None, "leave out the examples")
    except XpnnError as error:
        status(f"no examples on the page: {error.what}")
        return []
    if samples.x_test.dtype != "uint8" or samples.x_test.shape[1:] != model.input_shape:
        return []
    firsts = {int(y): x for x, y in zip(samples.x_test[:500][::-1], samples.y_test[:500][::-1], strict=True)}
    return [firsts[y] for y in sorted(firsts)[:12]]


TARGETS = {"onnx": "save_onnx", "py": "save_python", "c": "save_c", "html": "save_html"}
"""The function of `xpnn.interchange` that writes each kind of file."""
LONGEST = 160
"""Characters of what an input holds, on the screen."""
ENDINGS = {"c": ".h"}
"""The files' suffix, where it is not the kind's name."""


@click.command(
    cls=Command,
    examples=["xpnn export runs/mnist-mlp-1 --to onnx", "xpnn export --to html --out digits.html"],
)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--to", "target", type=Name("kind of file", TARGETS), required=True, help="What to write.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where  [default: beside the model, with another ending]",
)
@click.option("--logits", is_flag=True, help="Give the network's own outputs, not probabilities.")
@click.option(
    "--channels",
    type=click.Choice(["last", "first"]),
    default="last",
    show_default=True,
    help="Images as (N, H, W, C) or (N, C, H, W).",
)
@click.option("--no-preprocessing", is_flag=True, help="Leave out the layers that scale the data.")
@click.option("--opset", type=int, metavar="N", help="Version of ONNX's operations  [default: 20]")
@click.option("--weights-beside", is_flag=True, help="With --to py: the weights in a file of their own.")
@json_option
def command(
    run: Path | None,
    target: str,
    out: Path | None,
    logits: bool,
    channels: str,
    no_preprocessing: bool,
    opset: int | None,
    weights_beside: bool,
    as_json: bool,
) -> None:
    """Write a trained model to a file that runs without xpnn.

    RUN is a run folder or a model file in one; the newest run if omitted. Probabilities of the classes come out,
    and bytes go in where the model was trained on images.
    """
    saved = find_run(run)
    settings: dict[str, Any] = {
        "probabilities": False if logits else None,
        "channels": channels,
        "preprocessing": not no_preprocessing,
    }
    if opset is not None:
        if target != "onnx":
            raise UsageError(f"--opset beside --to {target}", fix="leave it out: only ONNX has one")
        settings["opset"] = opset
    if weights_beside:
        if target != "py":
            raise UsageError(
                f"--weights-beside beside --to {target}", fix="leave it out: that is one file always"
            )
        settings["beside"] = True
    path = out or saved.weights.with_suffix(ENDINGS.get(target, f".{target}"))
    model = saved.load("numpy")
    if target == "html":
        settings["examples"] = examples_of(saved, model)
    from xpnn import interchange

    program = getattr(interchange, TARGETS[target])(model, path, classes=saved.classes, **settings)
    if model.backend.dtype_name != "float32":
        status(f"the weights are {model.backend.dtype_name} and are written as float32")
    report(saved, path, program, as_json)


def report(saved: Saved, path: Path, program: "Program", as_json: bool) -> None:
    """Print what was written, and the model's inputs and outputs."""
    inputs = [{"name": name, "dtype": dtype, "shape": list(shape)} for name, dtype, shape in program.inputs]
    outputs = [{"name": name, "dtype": "float32", "shape": list(shape)} for name, shape in program.outputs]
    if as_json:
        written = {"file": str(path), "bytes": path.stat().st_size, "checkpoint": str(saved.weights)}
        for one, words in zip(inputs, program.meanings, strict=False):
            one["holds"] = words
        emit(written | {"inputs": inputs, "outputs": outputs, "classes": saved.classes})
        return
    held = dict(zip((name for name, _, _ in program.inputs), program.meanings, strict=False))
    echo(f"saved  {path} ({size(path.stat().st_size)}) from {saved.weights}")
    for word, values in (("in", inputs), ("out", outputs)):
        for one in values:
            sizes = ", ".join(["N", *map(str, one["shape"])])
            echo(f"{word:<5}  {one['name']} {one['dtype']} ({sizes})")
            if one["name"] in held:
                echo(f"       {one['name']} holds {shortened(held[one['name']])}")


def shortened(words: str) -> str:
    """At most two lines; the file has the whole text."""
    return (
        words if len(words) <= LONGEST else f"{words[:LONGEST]} ... ({len(words):,} characters, in the file)"
    )
