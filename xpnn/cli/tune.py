"""`xpnn tune`: a search for settings that train better, with optuna. The test samples are not looked at."""

import shlex
from pathlib import Path
from typing import Any

import click

from xpnn.cli import Stopped, interrupted
from xpnn.cli.command import Command
from xpnn.cli.options import (
    DatasetName,
    FilePath,
    Name,
    backend_option,
    dataset_of,
    device_option,
    json_option,
    open_backend,
    resize_option,
)
from xpnn.cli.output import echo, emit, percent, status
from xpnn.cli.program import program
from xpnn.cli.runs import ROOT
from xpnn.cli.state import state
from xpnn.cli.trials import BEST, STUDY, Task, settings_of
from xpnn.data import DATASETS
from xpnn.data.datasets import TABLES
from xpnn.data.tables.labels import choose_label, guess_task
from xpnn.data.tables.preparation import TASKS
from xpnn.data.tables.reading import read_table
from xpnn.data.tables.summary import summarize
from xpnn.durable import make_folder, write_durably
from xpnn.errors import BackendError, FileError, UsageError, first_line
from xpnn.models import MODELS
from xpnn.printing import counted, one_line
from xpnn.recipes import recipe_for

ENOUGH = 10
"""Trials from which the settings' importance is measured."""


@click.command(cls=Command, examples=["xpnn tune spiral --trials 3 --epochs 2"])
@click.argument("dataset", type=DatasetName("dataset", DATASETS), default="mnist")
@click.option("--model", type=Name("model", MODELS), default="mlp", help="Architecture.  [default: mlp]")
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="In all, those made before included.",
)
@click.option(
    "--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Stop after so long."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that share the trials."
)
@click.option(
    "--storage",
    metavar="WHERE",
    default="",
    help="Share the trials with other hosts: postgresql://..., mysql://..., journal:PATH, grpc://HOST:PORT.",
)
@click.option(
    "--worker", is_flag=True, help="Make trials of --storage; leave the result to the command without it."
)
@click.option("--epochs", type=click.IntRange(1), help="Of each trial.  [default: the dataset's own]")
@click.option(
    "--seed", type=click.IntRange(0), default=42, show_default=True, help="Root of every random draw."
)
@click.option("--data", type=FilePath(), metavar="PATH", help="The dataset's file, or folder of files.")
@click.option("--label", metavar="NAME", help="Of a table: the column of the labels.")
@click.option(
    "--task", "kind", type=click.Choice(TASKS), help="Of a table.  [default: guessed from the label]"
)
@resize_option
@click.option("--out", type=FilePath(), metavar="DIR", help="[default: runs/tune-DATASET-MODEL]")
@backend_option
@device_option
@json_option
def command(
    dataset: str,
    model: str,
    trials: int,
    time_limit: float | None,
    jobs: int,
    storage: str,
    worker: bool,
    epochs: int | None,
    seed: int,
    data: Path | None,
    label: str | None,
    kind: str | None,
    resize: tuple[int, int] | None,
    out: Path | None,
    backend: str,
    device: str | None,
    as_json: bool,
) -> None:
    """Search for better settings.

    Learning rate, its schedule, width and depth of the hidden layers, dropout, optimizer, weight decay, label
    smoothing, batch size, and of pictures augmentation, judged on samples held out of the training set: by accuracy, of
    a regression by RMSE. Trials worse than the median of those before them end early. The same command again goes on
    where it was stopped. Needs optuna: pip install 'xpnn[tune]'
    """
    require_optuna()
    from xpnn.cli.search import search
    from xpnn.cli.study import checked_params, open_study, storage_errors

    be, _ = open_backend(backend, device, "float32")
    dataset = dataset_of(dataset, data)
    folder = out or ROOT / f"tune-{dataset}-{model}"
    path = None if data is None else str(data.resolve())
    count = epochs or recipe_for(dataset, model).epochs
    if worker and not storage:
        raise UsageError("--worker without --storage", fix="--storage WHERE, as the other workers have it")
    kind = table_task(path, label, kind) if dataset in TABLES else kind
    where = be.name, be.device_name, str(folder)
    task = Task(dataset, model, count, seed, path, label, *where, resize, storage, trials, kind)
    try:
        make_folder(folder)
    except (OSError, ValueError) as error:
        raise FileError(f"cannot make the folder {folder}", why=first_line(error)) from error
    if not storage and (folder / BEST).exists() and not (folder / STUDY).exists():
        raise UsageError(
            f"{folder} holds a {BEST} that no study beside it has made", fix="another --out, or move it away"
        )
    study = open_study(task)
    checked_params(study, task.place)
    with storage_errors(task.place):
        done = len(finished(study))
    if not as_json:
        made = f" · {done} made before" if done else ""
        status(
            f"tune   {dataset} {model} · {counted(trials, 'trial')} of {counted(count, 'epoch')}{made} · {task.place}"
        )
    how = "json" if as_json else "quiet" if state().quiet else "say"
    try:
        search(task, max(trials - done, 0), time_limit, jobs, how)
    except (KeyboardInterrupt, Stopped) as cause:
        stop = cause if isinstance(cause, Stopped) else interrupted()
        stop.detail = f"the trials so far are in {task.place}; the same command goes on"
        raise stop from cause
    if worker:
        return
    with storage_errors(task.place):
        finish(study, task, as_json)


def table_task(path: str | None, label: str | None, kind: str | None) -> str | None:
    """ "regression" where the labels of a table are numbers; else what was asked for."""
    if kind is not None or path is None:
        return kind
    table = read_table(path, label)
    labels = summarize(table, choose_label(table, label)[0], different=True)
    return "regression" if guess_task(labels)[0] == "regression" else None


def require_optuna() -> None:
    """Raise BackendError if optuna is missing."""
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise BackendError(
            "xpnn tune needs optuna, which is not installed", fix="pip install 'xpnn[tune]'"
        ) from error


def importance(study: Any) -> list[tuple[str, float]]:
    """Return how much of the accuracies' variance each setting explains, the largest first; [] from few trials."""
    import optuna

    if len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))) < ENOUGH:
        return []
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        return list(optuna.importance.get_param_importances(study, evaluator=evaluator).items())
    except (ImportError, ValueError, RuntimeError):  # scikit-learn is missing, or all accuracies are equal
        return []


def finished(study: Any) -> list[Any]:
    """Return the trials that were completed or pruned."""
    from optuna.trial import TrialState

    found: list[Any] = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return found


def finish(study: Any, task: Task, as_json: bool) -> None:
    """Write best.toml and print the result. Raises UsageError if no trial was completed."""
    from optuna.trial import TrialState

    from xpnn.cli.config import toml_line

    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        raise UsageError(
            "no trial was finished", why="the time was too short, or all of them diverged",
            fix="a longer --time-limit, or fewer --epochs",
        )  # fmt: skip
    best, path = study.best_trial, Path(task.folder) / BEST
    found = {name: value for name, value in task.fixed.items() if value is not None}
    found |= settings_of(best.params)
    what = f"validation {'RMSE' if task.regression else 'accuracy'} {task.spelled(best.value)}"
    head = (
        f"# Found by xpnn tune: trial {best.number}, {what}.",
        f"# xpnn train --config {one_line(shlex.quote(str(path)), 1000)}",
    )
    lines = [*head, *(toml_line(name, value) for name, value in found.items())]
    write_durably(path, ("\n".join(lines) + "\n").encode())
    ended = len(finished(study))
    if as_json:
        result = {"trials": ended, "pruned": ended - len(complete), "best_trial": best.number}
        emit({"event": "end", **result, task.measure: best.value, "settings": found, "config": str(path)})
        return
    echo(f"best   trial {best.number}, {what}")
    if shares := importance(study):
        echo("most   " + ", ".join(f"{name} {percent(share)}" for name, share in shares[:4]))
    echo(f"       {counted(ended, 'trial')}, {ended - len(complete)} ended early · {path}")
    echo(f"next   {program()} train --config {shlex.quote(str(path))}")
