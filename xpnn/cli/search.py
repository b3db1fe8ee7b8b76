"""The trials of `xpnn tune`: what is sampled, how one is trained, and how processes share them.

Processes, not threads: a step of a small network is mostly Python, which the interpreter's lock lets only one thread
of a process run. They meet in the study's SQLite file alone.
"""

import contextlib
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import TrialState

from xpnn.backends import get_backend
from xpnn.cli import INTERRUPTED, TERMINATED, in_our_words, report
from xpnn.cli.study import open_study, storage_errors
from xpnn.cli.trials import Task, settings_of
from xpnn.cli.workers import Worker
from xpnn.data import Dataset, load
from xpnn.errors import DivergedError, XpnnError
from xpnn.random import host_rng
from xpnn.recipes import recipe_for
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run
from xpnn.trees import tree_map

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS")
OPTIMIZERS = ("adamw", "adam", "rmsprop", "sgd")
SCHEDULES = ("one-cycle", "cosine", "constant")


def draw(trial: optuna.Trial, model: str, *, classes: bool = True, pictures: bool = False) -> dict[str, Any]:
    """Sample one point. For a transformer the width is a multiple of its heads; depth is for dense layers.

    Only labels that are classes can be smoothed, and only pictures are augmented.
    """
    trial.suggest_float("lr", 1e-4, 1e-1, log=True)
    trial.suggest_int("width", 16, 512, step=16)
    trial.suggest_int("depth", 1, 1 if model in ("transformer", "rnn") else 3)
    trial.suggest_float("dropout", 0.0, 0.5, step=0.05)
    trial.suggest_categorical("optimizer", OPTIMIZERS)
    trial.suggest_categorical("batch_size", (32, 64, 128, 256, 512))
    trial.suggest_categorical("schedule", SCHEDULES)
    trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
    if classes:
        trial.suggest_float("label_smoothing", 0.0, 0.2, step=0.05)
    if pictures:
        trial.suggest_categorical("augment", (False, True))
    return settings_of(trial.params)


class Watch(Callback):
    """A callback that reports each epoch's score to the study, and ends trials that are pruned or too late."""

    def __init__(self, trial: optuna.Trial, deadline: float, score: Callable[[Row], float]) -> None:
        self.trial, self.deadline, self.score = trial, deadline, score

    def epoch(self, run: Run, row: Row) -> None:
        """Report the epoch. Raises TrialPruned if the study gives the trial up."""
        self.trial.report(self.score(row), row.epoch)
        if time.time() > self.deadline or self.trial.should_prune():
            raise optuna.TrialPruned


def objective(task: Task, samples: Dataset, trial: optuna.Trial, deadline: float) -> float:
    """Return the best validation score of one training; one that diverges is pruned."""
    from xpnn.cli.network import make_loss, make_model
    from xpnn.training.trainer import Trainer

    pictures = not isinstance(samples.x, tuple) and len(samples.input_shape) == 3
    settings = draw(trial, task.model, classes=not task.regression, pictures=pictures)
    recipe = recipe_for(task.dataset, task.model, settings.pop("augment", False))
    recipe = recipe.replace(**settings | {"hidden": tuple(settings["hidden"])})
    net = make_model(task.model, samples, recipe, get_backend(task.backend, task.device), task.seed)
    optimizer, score = recipe.make_optimizer(), score_of(samples)
    trainer = Trainer(net, make_loss(samples, recipe), optimizer, schedule=recipe.schedule)
    try:
        trainer.fit(
            samples.x,
            samples.y,
            epochs=task.epochs,
            batch_size=recipe.batch_size,
            validation=samples.validation or recipe.validation,
            callbacks=[Watch(trial, deadline, score)],
        )
    except DivergedError as error:
        raise optuna.TrialPruned(str(error)) from error
    scores = map(score, trainer.history.rows)
    return min(scores) if task.regression else max(scores)


def score_of(samples: Dataset) -> Callable[[Row], float]:
    """What an epoch is judged by: accuracy, or of a regression the RMSE in the units of its label."""
    if samples.classes:
        return lambda row: row.valid_accuracy or 0.0
    scale = getattr(samples.preparation, "label_std", 1.0)
    return lambda row: scale * math.sqrt(math.inf if row.valid_loss is None else row.valid_loss)


def without_test(samples: Dataset) -> Dataset:
    """Return the data without its test samples."""
    return replace(samples, x_test=tree_map(lambda _, a: a[:0], samples.x_test), y_test=samples.y_test[:0])


def seed_of(task: Task, worker: int, made: int) -> int:
    """Return a sampler's seed that differs for each process and for a resumed study."""
    return int(host_rng(task.seed, "tune", worker, made).integers(2**31))


def work(task: Task, worker: int, trials: int, deadline: float, how: str) -> None:
    """Make `trials` trials; how: say, json or quiet, the form of a report. Other processes may do the same."""
    study = open_study(task)
    study.sampler = optuna.samplers.TPESampler(seed=seed_of(task, worker, len(study.trials)))
    data = load(task.dataset, task.data, task.seed, task.label, task.task, resize=task.resize, verbose=0)
    samples = without_test(data)

    def report(study: optuna.Study, trial: Any) -> None:
        if trial.state != TrialState.FAIL:
            tell_trial(task, trial, is_best(study, trial), how)

    if task.storage:
        with storage_errors(task.place):
            Worker(study, task.total).work(
                lambda trial: shared_trial(task, samples, trial, deadline), report, deadline
            )
        return
    while trials > 0 and time.time() < deadline:
        with storage_errors(task.place):
            study.optimize(lambda trial: objective(task, samples, trial, deadline), 1, callbacks=[report])
        trials -= 1


def shared_trial(task: Task, samples: Dataset, trial: optuna.Trial, deadline: float) -> float:
    """Return a trial's accuracy. Its point is drawn by a sampler of its own: no two workers have one seed."""
    trial.study.sampler = optuna.samplers.TPESampler(seed=seed_of(task, 0, trial.number))
    return objective(task, samples, trial, deadline)


def is_best(study: optuna.Study, trial: Any) -> bool:
    """Return whether it is the best so far; of equal ones the first is."""
    return bool(trial.state == TrialState.COMPLETE and study.best_trial.number == trial.number)


def tell_trial(task: Task, trial: Any, best: bool, how: str) -> None:
    """Print one line by one write, since several processes share the terminal."""
    settings = settings_of(trial.params)
    pruned = trial.state == TrialState.PRUNED
    best_of, nothing = (min, math.inf) if task.regression else (max, 0.0)
    value = best_of(trial.intermediate_values.values(), default=nothing) if pruned else trial.value
    if how == "json":
        event = {
            "event": "trial",
            "trial": trial.number,
            "pruned": pruned,
            task.measure: value if math.isfinite(value) else None,
            "best": best,
        }
        sys.stdout.write(json.dumps(event | {"settings": settings}) + "\n")
        sys.stdout.flush()
    elif how == "say":
        widths = "-".join(map(str, settings["hidden"]))
        sys.stderr.write(
            f"{trial.number:5d}{'*' if best else ' '}{task.spelled(value):>10}{settings['lr']:10.2e}  {widths:<12}"
            f"{settings['dropout']:7.2f}  {settings['optimizer']:<9}{settings['batch_size']:6d}"
            f"{'  ended early' if pruned else ''}\n"
        )


HEAD = "trial  {}        lr  hidden      dropout  optimizer batch"


def search(task: Task, trials: int, limit: float | None, jobs: int, how: str) -> None:
    """All trials that are left, shared among `jobs` processes. Raises XpnnError when one of them fails."""
    deadline = math.inf if limit is None else time.time() + limit
    if how == "say" and trials:
        sys.stderr.write(HEAD.format("valid_rmse" if task.regression else " valid_acc") + "\n")
    if jobs == 1:
        return work(task, 0, trials, deadline, how)
    spawn = multiprocessing.get_context("spawn")
    shares = [trials // jobs + (i < trials % jobs) for i in range(jobs)]
    processes = [
        spawn.Process(target=child, args=(task, i, share, deadline, how), daemon=True)
        for i, share in enumerate(shares)
        if share
    ]
    try:
        with threads_each(jobs):
            for process in processes:
                process.start()
        for process in processes:
            process.join()
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
                process.join()
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise XpnnError(
            f"{len(failed)} of {len(processes)} processes failed", why="their errors are printed above"
        )
    return None


def child(task: Task, worker: int, trials: int, deadline: float, how: str) -> None:
    """Run `work` in a process that ends with the exit code of its error, and whenever its parent ends."""
    end_with_parent()
    try:
        work(task, worker, trials, deadline, how)
    except KeyboardInterrupt:  # the parent got it too, and reports it
        sys.exit(INTERRUPTED)
    except Exception as error:
        sys.exit(report(in_our_words(error)))


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, in whatever way."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(TERMINATED)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def threads_each(jobs: int) -> Iterator[None]:
    """Share the cores among the BLAS threads of the processes started inside, unless a variable sets their number."""
    share = str(max(1, (os.cpu_count() or 1) // jobs))
    names = [name for name in THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(names, share))
    try:
        yield
    finally:
        for name in names:
            del os.environ[name]
