"""`xpnn plot`: plots of a run and of its trained model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from xpnn.cli.command import Command
from xpnn.cli.log import read_history
from xpnn.cli.options import FilePath, Name, json_option
from xpnn.cli.output import echo, emit, percent, status
from xpnn.cli.runs import FILM, Saved, find_run
from xpnn.cli.samples import check_known, test_samples
from xpnn.data import Dataset
from xpnn.errors import UsageError, did_you_mean
from xpnn.trees import tree_map

if TYPE_CHECKING:
    from xpnn.diagnostics import Trace
    from xpnn.model import Model
    from xpnn.training.history import History

BATCH = 256
STEP = f"one training step, at most {BATCH} samples"
"""The layers whose activations and gradients are plotted."""


class NotDrawnError(Exception):
    """A picture does not apply to this run."""


@dataclass(frozen=True)
class Subject:
    """The run to draw; each part is read or computed when the first picture needs it."""

    saved: Saved
    data: Path | None

    @cached_property
    def model(self) -> "Model":
        """The model of the best epoch, on NumPy."""
        return self.saved.load("numpy")

    @cached_property
    def samples(self) -> Dataset:
        """The training dataset, with the test samples of `data` if that is given."""
        return test_samples(self.saved, self.model, self.data, "use xpnn.plots in Python")

    @cached_property
    def training(self) -> Dataset:
        """Training samples; a file given by --data may hold test samples only."""
        samples = self.samples
        return samples if len(samples.y) else replace(samples, x=samples.x_test, y=samples.y_test)

    @cached_property
    def probabilities(self) -> np.ndarray[Any, Any]:
        """The probabilities of the test samples."""
        found: np.ndarray[Any, Any] = self.model.predict_proba(self.samples.x_test)
        return found

    @cached_property
    def history(self) -> "History":
        """The rows of the epochs."""
        return read_history(self.saved.weights.parent)

    @cached_property
    def trace(self) -> "Trace":
        """One training step from the best weights."""
        from xpnn.diagnostics import trace

        x, y = self.training.x, self.training.y
        rows = np.random.default_rng(0).permutation(len(y))[:BATCH]
        return trace(self.model, tree_map(lambda _, a: a[rows], x), y[rows])

    @property
    def title(self) -> str:
        """Such as `mnist, mlp, test accuracy 97.4 %`."""
        about = self.saved.about
        accuracy = (about.get("result") or {}).get("test_accuracy")
        known = "" if accuracy is None else f", test accuracy {percent(accuracy)}"
        return f"{about.get('dataset', 'table')}, {about.get('model', 'model')}{known}"


def curves(subject: Subject, path: Path) -> None:
    """Loss, accuracy and learning rate."""
    from xpnn.plots import training_curves

    if not len(subject.history):
        raise NotDrawnError("the run has no metrics.jsonl")
    training_curves(subject.history, path, subject.title)


def confusion(subject: Subject, path: Path) -> None:
    """The confusion matrix of the test set."""
    from xpnn.plots import confusion_matrix

    samples, n = subject.samples, len(subject.samples.classes)
    if not n:
        raise NotDrawnError("a regression has no classes")
    taken = subject.probabilities.argmax(axis=1)
    counts = np.bincount(samples.y_test * n + taken, minlength=n * n).reshape(n, n)
    confusion_matrix(counts, samples.classes, path, subject.title)


def mistakes(subject: Subject, path: Path) -> None:
    """The most confident mistakes on the test set."""
    from xpnn.plots import worst_mistakes

    samples = subject.samples
    if len(samples.input_shape) != 3:
        raise NotDrawnError("the samples are no images; boundary rings the mistakes")
    worst_mistakes(
        samples.x_test, samples.y_test, subject.probabilities, path, samples.classes, subject.title
    )


def weights(subject: Subject, path: Path) -> None:
    """The first layer's weights."""
    from xpnn.plots import first_weights

    first_weights(subject.model, path, subject.title)


def activations(subject: Subject, path: Path) -> None:
    """Histograms of every layer's outputs."""
    from xpnn.plots import activation_histograms

    activation_histograms(subject.trace, path, f"{subject.title}\n{STEP}: outputs")


def gradients(subject: Subject, path: Path) -> None:
    """Histograms of every parameter's gradient."""
    from xpnn.plots import gradient_histograms

    gradient_histograms(subject.trace, path, f"{subject.title}\n{STEP}: gradients")


def boundary(subject: Subject, path: Path) -> None:
    """The decision boundary, under the test samples."""
    from xpnn.plots import decision_boundary

    samples = subject.samples
    if samples.input_shape != (2,):
        raise NotDrawnError("the samples are no points of a plane")
    if not samples.classes:
        raise NotDrawnError("a regression has no boundary")
    decision_boundary(subject.model, samples.x_test, samples.y_test, path, subject.title, samples.classes)


def film(subject: Subject, path: Path) -> None:
    """The decision boundary over the epochs, always a GIF."""
    from xpnn.plots import animate_boundary
    from xpnn.training.film import load_film

    samples = subject.samples
    if samples.input_shape != (2,):
        raise NotDrawnError("the samples are no points of a plane")
    if not samples.classes:
        raise NotDrawnError("a regression has no boundary")
    frames = load_film(subject.saved.weights.parent / FILM)
    if not frames:
        raise NotDrawnError("the run kept no weights along the way")
    title = f"{samples.name}, {subject.saved.about.get('model', 'model')}"
    animate_boundary(subject.model, frames, samples.x_test, samples.y_test, path, title, samples.classes)


PICTURES: dict[str, Callable[[Subject, Path], None]] = {
    f.__name__: f for f in (curves, confusion, mistakes, weights, activations, gradients, boundary, film)
}


class Choices(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """Some of the pictures: `curves,confusion`."""

    name = "pictures"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Return the names. Raises UsageError for an unknown one."""
        names = value if isinstance(value, tuple) else tuple(part.strip() for part in value.split(","))
        for name in names:
            if name not in PICTURES:
                raise UsageError(f"unknown picture {name!r}", fix=did_you_mean(name, PICTURES))
        return tuple(dict.fromkeys(names))


@click.command(cls=Command, examples=["xpnn plot runs/spiral-mlp-1 --what curves,boundary"])
@click.argument("run", type=FilePath(), required=False)
@click.option("--what", type=Choices(), metavar="A,B", help=f"Some of {', '.join(PICTURES)}.  [default: all]")
@click.option("--out", type=FilePath(), metavar="DIR", help="[default: RUN/plots]")
@click.option("--format", "kind", type=Name("format", ("png", "svg")), default="png", show_default=True)
@click.option("--data", type=FilePath(), metavar="PATH", help="Folder of the dataset's IDX files.")
@json_option
def command(
    run: Path | None,
    what: tuple[str, ...] | None,
    out: Path | None,
    kind: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Draw a run.

    RUN is a run folder or a model file in one; the newest run if omitted. Draws the curves of its epochs, what its
    model does to the test samples, and one training step from its weights. Needs matplotlib: pip install 'xpnn[plot]'
    """
    saved = find_run(run)
    check_known(saved, data, "use xpnn.plots in Python")
    subject, folder = Subject(saved, data), out or saved.weights.parent / "plots"
    written, skipped = [], {}
    for name in what or PICTURES:
        path = folder / f"{name}.{'gif' if name == 'film' else kind}"
        try:
            PICTURES[name](subject, path)
        except NotDrawnError as reason:
            skipped[name] = str(reason)
            if what and not as_json:
                status(f"no {name}: {reason}")
            continue
        written.append(str(path))
        if not as_json:
            echo(str(path))
    if as_json:
        emit({"checkpoint": str(saved.weights), "files": written, "skipped": skipped})
