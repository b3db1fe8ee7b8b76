"""`xpnn train`: from a dataset's name to a trained, tested and saved model."""

import platform
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xpnn import __version__
from xpnn.backends import DTYPES
from xpnn.backends.cpu.allocator import keep_memory
from xpnn.cli import Stopped, interrupted
from xpnn.cli.config import Configured
from xpnn.cli.events import Events
from xpnn.cli.fitting import check_target, check_wanted, count_samples, train
from xpnn.cli.machine import git_state, machine
from xpnn.cli.network import fitting_batches, make_loss, make_model, with_room
from xpnn.cli.options import (
    DatasetName,
    FilePath,
    Name,
    Widths,
    backend_line,
    backend_option,
    dataset_of,
    device_option,
    json_option,
    open_backend,
    path_argument,
    precision_option,
    resize_option,
    table_options,
)
from xpnn.cli.output import detail, echo, emit, percent, reading_bar, size, status, write
from xpnn.cli.process_group import go_on_together
from xpnn.cli.program import program
from xpnn.cli.ranks import check_data, distributed_options, join, leave_the_rest, shared_run
from xpnn.cli.regression import in_units, regression_line
from xpnn.cli.resume import (
    Endings,
    begun_with,
    check_beside,
    continued,
    ending_options,
    head_was_replaced,
    left_behind,
    resume_entries,
    resume_line,
    same_device,
)
from xpnn.cli.runs import Run, new_run, old_run
from xpnn.cli.state import state
from xpnn.cli.threads import thread_setting, threads_of, threads_option
from xpnn.cli.transfer import find_source, frozen, preparation_of, provenance, reuse, transfer_options
from xpnn.cli.watching import Page, watch_option
from xpnn.data import DATASETS, Dataset, ImagePreparation, load
from xpnn.data.datasets import TABLES
from xpnn.models import ACTIVATIONS, MODELS
from xpnn.optimizers import OPTIMIZERS
from xpnn.recipes import Recipe, recipe_for
from xpnn.schedules import SCHEDULES
from xpnn.training.callbacks import Callback

if TYPE_CHECKING:
    from xpnn.model import Model
    from xpnn.training.trainer import Trainer


@click.command(cls=Configured, examples=["xpnn train spiral --epochs 5 --hidden 64,64"])
@click.argument("dataset", type=DatasetName("dataset", DATASETS), default="mnist")
@path_argument
@click.option("--model", type=Name("model", MODELS), default="mlp", help="Architecture.  [default: mlp]")
@click.option("--hidden", type=Widths(), metavar="N,N", help="Widths of the hidden layers, or none.")
@click.option("--activation", type=Name("activation", ACTIVATIONS), help="After each hidden layer.")
@click.option("--dropout", type=click.FloatRange(0, 1, max_open=True), help="Share of activations dropped.")
@click.option("--input-dropout", type=click.FloatRange(0, 1, max_open=True), help="Share of inputs dropped.")
@click.option("--label-smoothing", type=click.FloatRange(0, 1), help="Share of each label spread over all.")
@click.option(
    "--augment/--no-augment",
    default=False,
    help="Move and distort the images differently in each epoch; trains longer.",
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training set.")
@click.option("--batch-size", type=click.IntRange(1), help="Samples in one step.")
@click.option("--optimizer", type=Name("optimizer", OPTIMIZERS), help="Update rule.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), help="Learning rate (of one-cycle: its peak).")
@click.option("--schedule", type=Name("schedule", SCHEDULES), help="Of the learning rate.")
@click.option("--weight-decay", type=click.FloatRange(0), help="Decoupled, as in AdamW.")
@backend_option
@device_option
@click.option(
    "--dtype", type=Name("dtype", DTYPES), default="float32", show_default=True, help="Of all arrays."
)
@precision_option
@click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True, help="Root of every random draw."
)
@threads_option
@click.option("--data", type=FilePath(), metavar="PATH", help="The dataset's file, or folder of files.")
@table_options
@resize_option
@click.option(
    "--out",
    type=FilePath(),
    metavar="DIR",
    help="New run folder.  [default: runs/DATASET-MODEL-N]",
)
@transfer_options
@click.option(
    "--require-accuracy", type=click.FloatRange(0, 1), metavar="A", help="Exit with 8 below it; 0 to 1."
)
@ending_options
@distributed_options
@watch_option
@json_option
def command(
    dataset: str,
    model: str,
    augment: bool,
    backend: str,
    device: str | None,
    dtype: str,
    precision: str,
    seed: int,
    threads: int | str | None,
    data: Path | None,
    label: str | None,
    task: str | None,
    class_weight: str | None,
    resize: tuple[int, int] | None,
    out: Path | None,
    source: Path | None,
    freeze: tuple[str, ...],
    replace_head: bool,
    require_accuracy: float | None,
    resume: Path | None,
    watch: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a model and save its best epoch.

    DATASET is mnist by default; PATH is the same as --data PATH. A part of the training samples is held
    out to choose the best epoch by; the test samples are used once, at the end. What is not given comes from the
    dataset's recipe for that model.
    """
    began = time.perf_counter()
    keep_memory()
    group = join(given.pop("distributed"), given.pop("batch_norm"), given.pop("gradient_compression"))
    check_data(group, data)
    endings, force = Endings.taken_from(given), given.pop("force_lock")
    dataset = dataset_of(dataset, data)
    check_beside(resume, out, source, replace_head)
    saved, model = find_source(source, replace_head, model, given)
    recipe = recipe_for(dataset, model, augment).replace(**given)
    optimizer = frozen(recipe.make_optimizer(), freeze)
    be, why = open_backend(backend, same_device(resume, device), dtype, precision)
    if not as_json:
        status(f"xpnn {__version__} · {backend_line(be, why)} · {dtype} · seed {seed}")
    origin = begun_with(resume) if saved is None else str(saved.weights)
    known = preparation_of(origin)
    head = replace_head if resume is None else head_was_replaced(resume)
    if group.rank and data is None:  # a dataset by name may have to be fetched: rank 0 does it
        go_on_together()
    samples = load(
        dataset, data, seed, label, task, known, relabel=head, resize=resize, watch=reading_bar, verbose=0
    )
    if group.rank == 0 and data is None:
        go_on_together()
    recipe, note = fitting_batches(with_room(recipe, len(samples.y)), samples, given.get("batch_size"))
    samples = replace(samples, notes=(*samples.notes, note)) if note else samples
    loss = make_loss(samples, recipe, class_weight)
    check_wanted(samples, require_accuracy)
    if saved is not None:
        samples, net = reuse(saved, samples, recipe.augmentation, be, seed, replace_head)
    elif resume is not None and origin:
        net = continued(resume, model, recipe, be, seed)
    else:
        net = make_model(model, samples, recipe, be, seed)
    optimizer.bind(net.layout.params)  # before there is a folder: raises where a pattern fits nothing
    used = threads_of(threads, be)
    page = Page(watch and group.rank == 0)
    run = shared_run(group, lambda: old_run(resume, force) if resume else new_run(dataset, model, out, force))
    about = describe(samples, data, label, model, net, recipe, seed) | resume_entries(resume, endings)
    about |= {"threads": used}
    about |= {"task": task, "class_weight": class_weight, "resize": resize and f"{resize[0]}x{resize[1]}"}
    if origin or freeze:
        about |= provenance(origin, freeze, net) | {"replaced_head": head}
    try:
        if resume is None:
            run.write(about)
        if group.size > 1 and not as_json:
            status(f"ranks  {group.size} processes ({group.engine}), each with its rows of every batch")
        events = start(about, why, samples, recipe, net, as_json)
        page.open(run.folder, as_json)
        setting = thread_setting(used, run, about)
        watchers = [*setting, *endings.watchers(run, about), events]  # events last: the state is saved before
        state_file = None if resume is None else run.state
        trainer = train(net, samples, recipe, loss, optimizer, run, watchers, state_file, group)
        if group.rank:  # the rest is rank 0's
            leave_the_rest(group)
            return
        if isinstance(events, Events) and events.error is not None:
            raise events.error
        result = score(net, trainer, samples, run, began)
        run.write(about | {"result": result})
    except (KeyboardInterrupt, Stopped) as cause:
        stop = cause if isinstance(cause, Stopped) else interrupted()
        stop.detail = left_behind(run)
        raise stop from cause
    finally:
        run.close()
        page.close()  # last, so that it shows the end
    if as_json:
        emit({"event": "end", **result})
    else:
        if trainer.stopped:
            echo(f"stopped by {trainer.stopped}")
        finish(result, samples, run)
        if trainer.stopped and not state().quiet:
            write(f"go on  {resume_line(run)}")  # in one piece, however long
    check_target(result, require_accuracy)


def describe(
    data: Dataset,
    path: Path | None,
    label: str | None,
    model: str,
    net: "Model",
    recipe: Recipe,
    seed: int,
) -> dict[str, Any]:
    """Return the entries of run.json before the result is known."""
    be = net.backend
    return {
        "xpnn": __version__,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "dataset": data.name,
        "data": None if path is None else str(path.resolve()),
        "label": label,
        "classes": data.classes,
        "input_shape": data.input_shape,
        "model": model,
        "settings": recipe.to_json(),
        "parameters": net.layout.size["theta"],
        "backend": be.name,
        "device": be.device_name,
        "dtype": be.dtype_name,
        "precision": be.precision,
        "seed": seed,
        "machine": machine(),
        "git": git_state(),
        "versions": {"python": platform.python_version(), be.name: be.version()},
        "result": None,
    }


def start(
    about: dict[str, Any], why: str, data: Dataset, recipe: Recipe, net: "Model", as_json: bool
) -> Callback:
    """Print what is about to happen; return the callbacks that report the epochs."""
    counts = count_samples(data, recipe)
    if as_json:
        event = {key: value for key, value in about.items() if key not in ("started", "classes", "result")}
        emit({"event": "start", **event, "notes": data.notes, "why": why, **counts})
        return Events()
    names = [name for name in net.layout.named if name.endswith("W") and not name.startswith("embedding")]
    sizes = "-".join([*(str(net.layout.named[name].shape[-2]) for name in names), str(data.outputs)])
    kept = f" · {about['frozen']:,} frozen" if "frozen" in about else ""
    count, width = about["parameters"], 4 if about["dtype"] == "float32" else 8
    status(f"data   {data.name}, {data.note}   " + " · ".join(f"{k} {n:,}" for k, n in counts.items()))
    for note in data.notes:
        status(f"       {note}")
    status(f"model  {about['model']} {sizes} · {count:,} parameters · {size(width * count)}{kept}")
    detail(net.summary())
    from xpnn.training.progress import Progress

    return Callback() if state().quiet else Progress()


def score(net: "Model", trainer: "Trainer", data: Dataset, run: Run, began: float) -> dict[str, Any]:
    """Evaluate on the test set, its only use."""
    best = trainer.history.best
    scores = net.evaluate(data.x_test, data.y_test)
    found = {"accuracy": scores["accuracy"]} if data.classes else in_units(net, data)
    return {
        **{f"test_{name}": value for name, value in found.items()},
        "test_loss": scores["loss"],
        "best_epoch": best.epoch if best else None,
        "stopped": trainer.stopped or None,
        "seconds": round(time.perf_counter() - began, 3),
        "backend": net.backend.name,
        "device": net.backend.device_name,
        "parameters": net.layout.size["theta"],
        "checkpoint": str(run.weights),
    }


def finish(result: dict[str, Any], data: Dataset, run: Run) -> None:
    """Print the last three lines."""
    n, ending = len(data.y_test), f"best epoch {result['best_epoch']} · {result['seconds']:.1f} s"
    if data.classes:
        accuracy = result["test_accuracy"]
        echo(f"test accuracy {percent(accuracy)} ({round((1 - accuracy) * n):,} wrong of {n:,}) · {ending}")
    else:
        echo(f"test {regression_line(result, 'test_')} · {n:,} samples · {ending}")
    echo(f"saved  {run.weights} ({size(run.weights.stat().st_size)})")
    other = "" if run.folder.parent == Path("runs") else f" {shlex.quote(str(run.folder))}"
    pictures = isinstance(data.preparation, ImagePreparation)
    kind = "TABLE" if data.name in TABLES else "FILE.png" if pictures else ""
    prediction = f"{program()} predict {kind}{other and f' --run{other}'} · " if kind else ""
    echo(f"next   {prediction}{program()} evaluate{other}")
