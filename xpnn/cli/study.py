"""The file in which `xpnn tune` keeps its trials, checked before use, since it may come from anywhere.

It is opened by its path, never by a URL or pattern in which `?` or `%` would mean something.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna

from xpnn.cli.storage import open_storage
from xpnn.cli.trials import STUDY, Task, settings_of
from xpnn.errors import CheckpointError, FileError, UsageError, XpnnError, first_line
from xpnn.printing import one_line
from xpnn.system import is_link

WAIT = 60.0
"""Seconds for which a process waits until another has written to the file."""
STARTUP = 5
"""Trials before the first may be given up."""
DISK = ("disk i/o", "is full", "readonly", "read-only", "unable to open", "locked", "permission")
"""Words of SQLite's messages about what it cannot read or write, and not about what is in the file."""


def open_study(task: Task) -> optuna.Study:
    """Open the study in the task's folder, or make a new one.

    Raises UsageError for one of another task, CheckpointError for a file that holds no study, FileError.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if task.storage:
        optuna.logging.set_verbosity(optuna.logging.ERROR)  # a surplus trial is no reason to warn
        return checked(made(f"xpnn-{task.dataset}-{task.model}", open_storage(task.storage), task), task)
    path = Path(task.folder).resolve() / STUDY
    if is_link(path) or (path.exists() and not path.is_file()):
        raise FileError(f"{path} is a link or no regular file", fix="another --out")
    with storage_errors(path):
        check_tables(path)
        storage = optuna.storages.RDBStorage(
            "sqlite:///study.db", engine_kwargs={"creator": lambda: connect(path)}
        )
        return checked(made("xpnn", storage, task), task)


def made(name: str, storage: Any, task: Task) -> optuna.Study:
    """Return the study of that name, a new one where there is none."""
    return optuna.create_study(
        study_name=name, storage=storage, direction=direction_of(task), load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=2),
    )  # fmt: skip


def direction_of(task: Task) -> str:
    """Return how trials are compared: the error of a regression is to be small, an accuracy large."""
    return "minimize" if task.regression else "maximize"


def checked(study: optuna.Study, task: Task) -> optuna.Study:
    """Return the study, its settings noted in it. Raises UsageError where they are those of another task."""
    if study.direction.name.lower() != direction_of(task):
        raise UsageError(
            f"{task.place} holds trials of {'classes' if task.regression else 'numbers'}",
            why="accuracies and errors could not be compared",
            fix="another --storage" if task.storage else "another --out, or delete that folder first",
        )
    known = study.user_attrs
    for name, value in task.fixed.items():
        if name not in known:
            study.set_user_attr(name, value)
        elif known[name] != value:
            raise UsageError(
                f"{task.place} holds trials of {name} {one_line(known[name])}, not {value}",
                why="their results could not be compared",
                fix="another --storage" if task.storage else "another --out, or delete that folder first",
            )
    return study


def connect(path: Path) -> sqlite3.Connection:
    """Connect without trusting functions that the file's schema calls."""
    connection = sqlite3.connect(path, timeout=WAIT)
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def check_tables(path: Path) -> None:
    """Raise CheckpointError for a file with views, triggers or virtual tables, whose SQL might never end."""
    if not path.exists():
        return
    with contextlib.closing(connect(path)) as connection:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    for kind, name, sql in found:
        if kind not in ("table", "index") or "VIRTUAL" in str(sql)[:40].upper():
            raise CheckpointError(
                f"{path} is no study of xpnn tune",
                why=f"it holds the {kind} {one_line(name)}",
                fix="another --out",
            )


@contextlib.contextmanager
def storage_errors(path: Path | str) -> Iterator[None]:
    """Turn errors from the study's file into FileError (disk) or CheckpointError (content).

    Errors of xpnn, and those unrelated to the file, pass unchanged.
    """
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except XpnnError:
        raise
    except (sqlite3.Error, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = root(error)
        if any(word in str(cause).lower() for word in DISK):
            raise FileError(
                f"cannot read or write {path}", why=first_line(cause), fix="free space, or another --out"
            ) from error
        raise not_a_study(path, cause) from error
    except optuna.TrialPruned:
        raise
    except UnicodeDecodeError as error:  # of the text in the file, which sqlite3 decodes
        raise not_a_study(path, error) from error
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        if not is_of_optuna(error):
            raise
        raise not_a_study(path, error) from error


def not_a_study(path: Path | str, error: BaseException) -> CheckpointError:
    """Return the error for a file that is damaged or no study."""
    return CheckpointError(
        f"{path} is no study of xpnn tune, or it is damaged",
        why=f"{type(error).__name__}: {first_line(error)}",
        fix="another --out, or delete it first",
    )


def root(error: BaseException) -> BaseException:
    """Return the original error below those that wrap it."""
    while inner := error.__cause__ or error.__context__ or getattr(error, "orig", None):
        error = inner
    return error


def is_of_optuna(error: BaseException) -> bool:
    """Return whether it was raised inside optuna, and not in our code that optuna calls."""
    modules, trace = [], error.__traceback__
    while trace is not None:
        modules.append(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    ours = max((i for i, name in enumerate(modules) if name == "xpnn"), default=0)
    return "optuna" in modules[ours:]


def checked_params(study: Any, path: Path | str) -> None:
    """Raise CheckpointError where a finished trial has other parameters than those that `xpnn tune` draws."""
    with storage_errors(path):
        trials = study.get_trials()
    for trial in trials:
        try:
            if trial.params and trial.state.is_finished():
                settings_of(trial.params)
        except (KeyError, TypeError, ValueError) as error:
            raise not_a_study(path, error) from error
