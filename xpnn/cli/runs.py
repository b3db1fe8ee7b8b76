"""Run folders: `runs/DATASET-MODEL-N/` with best.safetensors, last.safetensors, run.json, metrics.jsonl, live.json."""

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.cli.lock import HOLDER, LOCK, Lock
from xpnn.cli.log import METRICS
from xpnn.cli.output import status
from xpnn.cli.schema import ABOUT, read_about
from xpnn.durable import TEMPORARY, make_folder, previous, sweep, write_durably
from xpnn.errors import CheckpointError, FileError, UsageError
from xpnn.printing import one_line
from xpnn.system import is_link
from xpnn.web.record import LIVE

if TYPE_CHECKING:
    from xpnn.model import Model

ROOT = Path("runs")
WEIGHTS, STATE, FILM = "best.safetensors", "last.safetensors", "film"
OWN = {WEIGHTS, previous(Path(WEIGHTS)).name, STATE, previous(Path(STATE)).name, ABOUT, METRICS, FILM, LIVE}
"""The names that a run may write, and remove."""
FRAME = re.compile(r"epoch-\d{4,}(\.1)?\.safetensors")


@dataclass
class Run:
    """A folder that a training writes to. It owns the files whose names run.json lists, and no others."""

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
        """Write run.json: settings, versions, the run's files and, at the end, the result. Raises FileError."""
        about = about | {"files": sorted(OWN)}
        write_durably(self.folder / ABOUT, (json.dumps(about, indent=2, allow_nan=False) + "\n").encode())

    def close(self) -> None:
        """Release the folder. A run that saved nothing removes what it wrote."""
        with contextlib.suppress(OSError):
            empty = not self.weights.exists() and not self.state.exists()
            if empty:
                self.clear()
            self.lock.release()
            if empty and self.made:
                self.folder.rmdir()

    def clear(self) -> None:
        """Remove what a run that saved no model has written, and nothing else."""
        frames = [
            path for path in (self.folder / FILM).glob("epoch-*.safetensors") if FRAME.fullmatch(path.name)
        ]
        for path in (self.folder / METRICS, *frames, self.folder / LIVE, self.folder / ABOUT):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not there, or it holds something else
            (self.folder / FILM).rmdir()

    def foreign(self) -> list[str]:
        """Return the names in the folder that do not belong to its run, in order."""
        names = sorted(path.name for path in self.folder.iterdir())
        left = [name for name in names if name not in (LOCK, HOLDER) and not TEMPORARY.fullmatch(name)]
        try:
            owned = OWN & set(read_about(self.folder).get("files", ()))
        except (CheckpointError, FileError):  # another program's run.json
            owned = set()
        return [name for name in left if name not in owned or is_link(self.folder / name)]


def new_run(dataset: str, model: str, out: Path | None, force: bool = False) -> Run:
    """Return `out`, or the next free `runs/DATASET-MODEL-N`; two processes never get the same one.

    Raises UsageError when `out` holds a run already, FileError for a folder that cannot be made or is in use.
    """
    try:
        if out is not None:
            run = claim(out, force)
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


def claim(folder: Path, force: bool = False) -> Run:
    """Make and lock the folder, and remove what a killed process left half-written. Raises FileError and OSError."""
    made = not folder.exists()
    make_folder(folder)
    run = hold(folder, made, force)
    if run.lock.stale:
        status(run.lock.stale)
    sweep(folder)
    return run


def old_run(folder: Path, force: bool = False) -> Run:
    """Return the run in that folder, to be resumed.

    Raises FileError if it is in use, or if one of its files is a link, which may lead to the file of someone else.
    """
    run = claim(folder, force)
    links = [name for name in sorted(OWN) if is_link(run.folder / name)]
    if links:
        run.lock.release()
        raise FileError(
            f"{run.folder / links[0]} is a link",
            why="a run writes into its own folder alone",
            fix="remove the link",
        )
    return run


def check_untrained(run: Run) -> None:
    """Release it and raise UsageError if it holds a model, or files that do not belong to a run.

    The files of an earlier run that saved no model are removed.
    """
    weights = next((p for p in (run.weights, previous(run.weights), run.state) if p.exists()), None)
    what = f"a trained model, {weights.name}" if weights else ""
    if not what and (names := run.foreign()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        what = f"files of others: {one_line(names[0])}{more}"
    if what:
        run.lock.release()
        raise UsageError(
            f"{run.folder} already holds {what}",
            why="" if weights else "a run has a folder of its own",
            fix="another --out, or delete that folder first" if weights else "another --out",
        )
    run.clear()


def hold(folder: Path, made: bool, force: bool = False) -> Run:
    """Lock the folder; remove it if that fails and it was `made` for this run."""
    try:
        return Run(folder, made, Lock(folder, force))
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


@dataclass
class Saved:
    """A trained model on the disk."""

    weights: Path
    about: dict[str, Any]  # what run.json says; empty without one

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes, as far as they are known."""
        return list(self.about.get("classes") or ())

    def load(self, backend: str, device: str | None = None) -> "Model":
        """Return the model. Raises CheckpointError or FileError."""
        from xpnn.model import load

        return load(self.weights, backend=backend, device=device)


def find_run(
    path: Path | None,
    fits: Callable[[dict[str, Any]], bool] = lambda about: True,
    trained_on: str = "",
) -> Saved:
    """Return the run at `path` (a folder or a model file), or the newest in runs/ whose run.json `fits`.

    trained_on: what those that fit were trained on, for the error. Raises FileError if none is found.
    """
    if path is not None:
        weights = path / WEIGHTS if path.is_dir() else path
        if not weights.exists():
            older = previous(weights)
            known = (
                f"name {older}, the one before it" if older.exists() else "xpnn train, or name a run folder"
            )
            raise FileError(f"no trained model at {path}", fix=known)
        return Saved(weights, read_about(weights.parent))
    for weights in sorted(ROOT.glob(f"*/{WEIGHTS}"), key=lambda p: p.stat().st_mtime, reverse=True):
        if fits(about := read_about(weights.parent)):
            return Saved(weights, about)
    raise FileError(
        f"{ROOT.resolve()} holds no run {trained_on}".rstrip(), fix="xpnn train, or name a run folder"
    )
