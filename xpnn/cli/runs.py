"""Run folders: `runs/DATASET-MODEL-N/` with best.safetensors, last.safetensors, run.json and metrics.jsonl."""

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.cli.lock import Lock
from xpnn.cli.output import status
from xpnn.durable import make_folder, previous, sweep, write_durably
from xpnn.errors import CheckpointError, FileError, UsageError
from xpnn.training.callbacks import Callback
from xpnn.training.history import History, Row

if TYPE_CHECKING:
    from xpnn.model import Model
    from xpnn.training.trainer import Trainer

ROOT = Path("runs")
WEIGHTS, STATE, ABOUT, METRICS = "best.safetensors", "last.safetensors", "run.json", "metrics.jsonl"
FILM = "film"


@dataclass
class Run:
    """A folder that a training writes to."""

    folder: Path
    made: bool  # the folder was not there before
    lock: Lock

    @property
    def weights(self) -> Path:
        """The file of the best weights."""
        return self.folder / WEIGHTS

    @property
    def state(self) -> Path:
        """The file to resume from."""
        return self.folder / STATE

    def write(self, about: dict[str, Any]) -> None:
        """run.json: settings, versions and, at the end, the result. Raises FileError."""
        write_durably(self.folder / ABOUT, (json.dumps(about, indent=2, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        """Others may have the folder now. A run that saved nothing leaves nothing behind."""
        with contextlib.suppress(OSError):
            empty = not self.weights.exists() and not self.state.exists()
            if empty:
                for name in (ABOUT, METRICS):
                    (self.folder / name).unlink(missing_ok=True)
                shutil.rmtree(self.folder / FILM, ignore_errors=True)
            self.lock.release()
            if empty and self.made:
                self.folder.rmdir()


def new_run(dataset: str, model: str, out: Path | None) -> Run:
    """`out`, or the next free `runs/DATASET-MODEL-N`; two processes never get the same one.

    Raises UsageError when `out` holds a run already, FileError for a folder that cannot be made or is in use.
    """
    try:
        if out is not None:
            run = claim(out)
            check_untrained(run)
            return run
        make_folder(ROOT)
        numbers = [p.name.rpartition("-")[2] for p in ROOT.glob(f"{dataset}-{model}-*")]
        n = max((int(number) for number in numbers if number.isdecimal()), default=0)
        while True:
            n += 1
            folder = ROOT / f"{dataset}-{model}-{n}"
            with contextlib.suppress(FileExistsError):
                make_folder(folder, new=True)
                return hold(folder, made=True)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"cannot make the folder {out or ROOT}",
            why=error.strerror or str(error),
            fix="--out DIR, in a place that can be written",
        ) from error


def claim(folder: Path) -> Run:
    """The folder, made and locked, and rid of what a killed run left half-written. Raises FileError and OSError."""
    made = not folder.exists()
    make_folder(folder)
    run = hold(folder, made)
    if run.lock.stale:
        status(run.lock.stale)
    sweep(folder)
    return run


def check_untrained(run: Run) -> None:
    """Let go of it and raise UsageError when it holds a model, or the one before it."""
    for weights in (run.weights, previous(run.weights), run.state):
        if weights.exists():
            run.lock.release()
            raise UsageError(
                f"{run.folder} already holds a trained model, {weights.name}",
                fix="another --out, or delete that folder first",
            )


def hold(folder: Path, made: bool) -> Run:
    """The folder, locked; gone again if that fails and it was `made` for this run."""
    try:
        return Run(folder, made, Lock(folder))
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


class Log(Callback):
    """Every row as a JSON line in metrics.jsonl."""

    def __init__(self, path: Path) -> None:
        self.path, self.lines = path, ""

    def start(self, trainer: "Trainer", epochs: int, samples: int, batch_size: int) -> None:
        """A run that goes on has its rows already; what was written after its checkpoint will be written again."""
        self.lines = "".join(map(line_of, trainer.history))

    def epoch(self, trainer: "Trainer", row: Row) -> None:
        """The file is whole after every epoch."""
        self.lines += line_of(row)
        write_durably(self.path, self.lines.encode())


def line_of(row: Row) -> str:
    """A row as JSON."""
    return json.dumps(asdict(row), allow_nan=False) + "\n"


@dataclass
class Saved:
    """A trained model on the disk."""

    weights: Path
    about: dict[str, Any]  # what run.json says; empty without one

    @property
    def classes(self) -> list[str]:
        """The names of the classes, as far as they are known."""
        return list(map(str, self.about.get("classes", ())))

    def load(self, backend: str, device: str | None = None) -> "Model":
        """The model. Raises CheckpointError or FileError."""
        from xpnn.training.checkpoint import load

        return load(self.weights, backend=backend, device=device)


def find_run(path: Path | None, fits: Callable[[dict[str, Any]], bool] = lambda about: True) -> Saved:
    """The run at `path` (a folder or a model file), or the newest in runs/ whose run.json `fits`.

    Raises FileError when there is none.
    """
    if path is not None:
        weights = path / WEIGHTS if path.is_dir() else path
        if not weights.exists():
            older = previous(weights)
            known = (
                f"name {older}, the one before it" if older.exists() else "xpnn train, or name a run folder"
            )
            raise FileError(f"there is no trained model at {path}", fix=known)
        return Saved(weights, read_about(weights.parent))
    for weights in sorted(ROOT.glob(f"*/{WEIGHTS}"), key=lambda p: p.stat().st_mtime, reverse=True):
        if fits(about := read_about(weights.parent)):
            return Saved(weights, about)
    raise FileError(f"there is no fitting run in {ROOT.resolve()}", fix="xpnn train, or name a run folder")


def read_history(folder: Path) -> History:
    """The rows of metrics.jsonl; none without that file. Raises CheckpointError when it is damaged."""
    try:
        lines = (folder / METRICS).read_text().splitlines()
        return History([Row(**json.loads(line)) for line in lines])
    except FileNotFoundError:
        return History()
    except OSError as error:
        raise FileError(f"cannot read {folder / METRICS}", why=error.strerror or str(error)) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{folder / METRICS} is damaged", why=str(error)[:120]) from error


def read_about(folder: Path) -> dict[str, Any]:
    """What run.json says. Raises CheckpointError when it is damaged."""
    try:
        about = json.loads((folder / ABOUT).read_bytes())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FileError(f"cannot read {folder / ABOUT}", why=error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{folder / ABOUT} is damaged", why=str(error)[:120]) from error
    if not isinstance(about, dict):
        raise CheckpointError(f"{folder / ABOUT} is damaged", why="it is no JSON object")
    return about
