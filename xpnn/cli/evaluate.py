"""`xpnn evaluate`: the accuracy of a trained model on the test set, and its confusion matrix."""

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xpnn.cli.command import Command
from xpnn.cli.options import FilePath, backend_line, backend_option, json_option, open_backend
from xpnn.cli.output import console, detail, echo, emit, percent, status
from xpnn.cli.regression import MANY, in_units, regression_line
from xpnn.cli.runs import find_run
from xpnn.cli.samples import test_samples
from xpnn.data import Dataset
from xpnn.data.batches import Slices
from xpnn.metrics import ConfusionMatrix
from xpnn.parameters import rows_of
from xpnn.printing import one_line
from xpnn.temporary_files import release

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDEST = 12
"""Classes up to which the matrix fits a terminal of 80 columns."""
WORST, WIDTH = 6, 80
CORNER, COLUMN = "true \\ taken for", 4
"""The heading of the first column, and the width of the others."""

Counts = np.ndarray[Any, np.dtype[np.int64]]


@click.command(cls=Command, examples=["xpnn evaluate runs/spiral-mlp-1"])
@click.argument("run", type=FilePath(), required=False)
@click.option("--data", type=FilePath(), metavar="PATH", help="The dataset's file, or folder of files.")
@backend_option
@json_option
def command(run: Path | None, data: Path | None, backend: str, as_json: bool) -> None:
    """Test a trained model.

    RUN is a run folder or a model file in one; the newest run if omitted. Another file given with --data is used
    whole; its classes and columns are matched by name.
    Row i, column j of the table: how many samples of class i were taken for class j.
    """
    saved = find_run(run)
    be, why = open_backend(backend, None, str(saved.about.get("dtype", "float32")))
    model = saved.load(be.name, be.device_name)
    samples = test_samples(saved, model, data, "use Model.evaluate in Python")
    if not as_json:
        status(f"{saved.weights} · {samples.name} · {backend_line(be, why)}")
        for note in samples.notes if data is not None else ():
            status(f"       {note}")
    began = time.perf_counter()
    losses, matrices, sizes = [], [], []
    measure = ConfusionMatrix(ignore_index=getattr(model.loss, "ignore_index", None))
    for cut in Slices(len(samples.y_test), MANY):
        x, y = rows_of(samples.x_test, cut.start, cut.stop), samples.y_test[cut]
        x, y = model.check_xy(x, y, model.loss)
        losses.append(model.score(x, model.targets(y))["loss"])
        sizes.append(cut.stop - cut.start)
        if samples.classes:
            with be.device_context():
                matrices.append(measure(be, model.outputs(x), model.targets(y)))
        release()
    loss = model.loss.over_batches(losses, sizes)
    result: dict[str, Any] = {"samples": len(samples.y_test)}
    if samples.classes:
        matrix = np.sum(matrices, axis=0)
        result |= summarise(matrix, samples)
    else:
        result |= in_units(model, samples)
    seconds = time.perf_counter() - began
    result |= {"loss": loss, "seconds": round(seconds, 3)}
    if as_json:
        where = {"checkpoint": str(saved.weights), "dataset": samples.name}
        notes = {"notes": samples.notes} if data is not None else {}
        emit(where | {"backend": be.name, "device": be.device_name} | result | notes)
        return
    n, kind = len(samples.y_test), "images" if len(samples.input_shape) == 3 else "samples"
    if not samples.classes:
        echo(f"{regression_line(result)} · loss {loss:.4f} · {n:,} {kind} in {seconds:.2f} s")
        return
    names = tuple(map(one_line, samples.classes))
    if len(names) <= WIDEST:
        for part in tables(matrix, names, console().width):
            console().print(part)
    echo(
        f"accuracy {percent(result['accuracy'], 2)} ± {100 * result['standard_error']:.2f} · loss {loss:.4f} · "
        f"{n:,} {kind} in {seconds:.2f} s"
    )
    echo(worst_pairs(result["worst"]))
    for i, name in enumerate(names):
        predicted, true, right = matrix[:, i].sum(), matrix[i].sum(), matrix[i, i]
        detail(
            f"{name:<16} found {right:,} of {true:,}, right {right:,} of the {predicted:,} times it was predicted"
        )


def worst_pairs(pairs: list[dict[str, Any]]) -> str:
    """Return `worst pairs  4→9 ×11  7→2 ×9`, as many as fit into 80 columns."""
    line = "worst pairs"
    for pair in pairs:
        longer = f"{line}  {one_line(pair['true'])}→{one_line(pair['taken_for'])} ×{pair['count']}"
        line = longer if len(longer) <= WIDTH else line
    return line if pairs else f"{line}  none"


def summarise(matrix: Counts, data: Dataset) -> dict[str, Any]:
    """Return accuracy with its standard error, sqrt(p (1 - p) / n), and the most frequent confusions."""
    n = int(matrix.sum())
    accuracy = float(np.trace(matrix) / n)
    wrong = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-wrong, axis=None, kind="stable")[:WORST]
    pairs = [
        (int(i), int(j), int(wrong[i, j])) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)
    ]
    return {
        "accuracy": accuracy,
        "standard_error": math.sqrt(accuracy * (1 - accuracy) / n),
        "samples": n,
        "classes": list(data.classes),
        "confusion": matrix.tolist(),
        "worst": [
            {"true": data.classes[i], "taken_for": data.classes[j], "count": count}
            for i, j, count in pairs
            if count
        ],
    }


def tables(matrix: Counts, classes: tuple[str, ...], width: int) -> "list[Table]":
    """Return the confusion matrix: true classes down, predicted across; in several tables where one is too wide."""
    across = max(1, (width - len(CORNER)) // (COLUMN + 1))
    return [
        table(matrix, classes, range(len(classes))[i : i + across]) for i in range(0, len(classes), across)
    ]


def table(matrix: Counts, classes: tuple[str, ...], shown: range) -> "Table":
    """Return the columns `shown` of the confusion matrix."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    numbered = any(len(name) > 4 for name in classes)
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column(CORNER, style="bold", no_wrap=True)
    for j in shown:
        grid.add_column(Text(str(j) if numbered else classes[j]), justify="right", min_width=COLUMN)
    for i, name in enumerate(classes):
        cells = [cell(int(matrix[i, j]), i == j) for j in shown]
        grid.add_row(Text(f"{i} {name}" if numbered else name), *cells)
    return grid


def cell(count: int, right: bool) -> "Text":
    """Return a count, or a dot for 0."""
    from rich.text import Text

    if count == 0:
        return Text("·", "dim")
    return Text(str(count), "green" if right else "")
