"""How `xpnn train` ends early and is resumed: its options, its callbacks, and `--resume RUN`."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xpnn.backends import Backend
from xpnn.cli import by_signal
from xpnn.cli.options import FilePath
from xpnn.cli.program import program
from xpnn.cli.runs import STATE, Run
from xpnn.cli.schema import ABOUT, read_about
from xpnn.errors import CheckpointError, FileError, UsageError
from xpnn.recipes import Recipe
from xpnn.training.callbacks import Callback
from xpnn.training.stopping import StopOnSignal

if TYPE_CHECKING:
    from xpnn.distributed import Communicator
    from xpnn.model import Model
    from xpnn.training.run import Run as TrainingRun

FROM_SETTINGS = (
    "activation", "dropout", "input_dropout", "label_smoothing", "epochs", "batch_size", "optimizer", "lr",
    "schedule", "weight_decay",
)  # fmt: skip
NETWORK = ("hidden", "activation", "dropout", "input_dropout", "augmentation")
FROM_RUN = (
    "dataset",
    "model",
    "backend",
    "dtype",
    "precision",
    "seed",
    "data",
    "label",
    "task",
    "class_weight",
    "resize",
    "threads",
)
BEGINNINGS = {
    "--out": "a run goes on in its own folder",
    "--from": "a run goes on with its own weights",
    "--replace-head": "a run goes on with its own network",
}


SHARE = 0.02
"""The share of a training's time that writing states to resume from may take."""


@dataclass(frozen=True)
class Endings:
    """When to save, and when to stop before the last epoch."""

    early_stopping: int | None = None
    checkpoint_every: int | None = None
    time_limit: float | None = None

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> "Endings":
        """Return the endings among the command's arguments."""
        return cls(**{field.name: given.pop(field.name) for field in fields(cls)})

    def watchers(self, run: Run, about: dict[str, Any]) -> list[Callback]:
        """Return the callbacks, in an order in which every saved state is complete."""
        from xpnn.training.early_stopping import EarlyStopping
        from xpnn.training.stopping import TimeLimit

        stop = [] if self.early_stopping is None else [EarlyStopping(self.early_stopping, restore=False)]
        limit = [] if self.time_limit is None else [TimeLimit(self.time_limit)]
        return [Note(run, about), *stop, *limit, self._checkpoint(run)]

    def _checkpoint(self, run: Run) -> Callback:
        from xpnn.training.checkpointing import Checkpoint

        if self.checkpoint_every is None:
            return Checkpoint(run.state, share=SHARE)
        return Checkpoint(run.state, epochs=self.checkpoint_every)


class Note(Callback):
    """A callback that writes run.json when the run begins: a run that cannot be resumed stays unchanged."""

    everywhere = False

    def __init__(self, run: Run, about: dict[str, Any]) -> None:
        self.run, self.about = run, about

    def start(self, run: "TrainingRun", epochs: int, samples: int, batch_size: int) -> None:
        """Write run.json."""
        self.run.write(self.about)


def ending_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --early-stopping, --checkpoint-every, --time-limit, --resume and --force-lock."""
    for option in (
        click.option(
            "--force-lock",
            is_flag=True,
            help="Take the folder over from a process of another host that is known to have ended.",
        ),
        click.option(
            "--resume",
            type=FilePath(),
            metavar="RUN",
            is_eager=True,
            callback=take_settings,
            help="Go on with the run in that folder; no other flag is needed.",
        ),
        click.option(
            "--time-limit",
            type=click.FloatRange(0, min_open=True),
            metavar="MINUTES",
            help="Stop after that.",
        ),
        click.option(
            "--checkpoint-every",
            type=click.IntRange(1),
            metavar="N",
            help="Epochs between two states to resume from.  [default: as often as it takes 2 % of the time]",
        ),
        click.option(
            "--early-stopping",
            type=click.IntRange(1),
            metavar="N",
            help="Stop after N epochs without less validation loss.",
        ),
    ):
        command = option(command)
    return command


def take_settings(ctx: click.Context, param: click.Parameter, folder: Path | None) -> Path | None:
    """Make the run's settings the defaults of the options. Raises FileError if there is nothing to resume."""
    if folder is None:
        return None
    about = read_about(folder) if folder.is_dir() else {}
    if "settings" not in about or not (folder / STATE).is_file():
        raise FileError(
            f"no run to resume in {folder}",
            why=f"wanted run.json and {STATE} in that folder",
            fix="xpnn runs lists the runs that are here",
        )
    settings = about["settings"]
    if not isinstance(settings, dict) or not settings.keys() >= {"hidden", "augmentation"}:
        raise CheckpointError(f"{folder / ABOUT} is damaged", why="its settings are not those of a run")
    found = {name: settings.get(name) for name in FROM_SETTINGS} | {
        name: about.get(name) for name in FROM_RUN
    }
    found |= (about.get("endings") or {}) | {
        "hidden": ",".join(map(str, settings["hidden"] or ())) or "none",
        "augment": bool(settings["augmentation"]),
        "freeze": tuple(about.get("freeze") or ()),
    }
    found = {name: value for name, value in found.items() if value is not None}
    ctx.default_map = {**(ctx.default_map or {}), **found}
    ctx.meta.update(dict.fromkeys(found, str(folder / ABOUT)))
    return folder


def check_beside(resume: Path | None, out: Path | None, source: Path | None, replace_head: bool) -> None:
    """Raise UsageError for a flag that would change how the resumed run began."""
    for (flag, why), given in zip(BEGINNINGS.items(), (out, source, replace_head), strict=True):
        if resume is not None and given:
            raise UsageError(f"{flag} with --resume", why=why, fix=f"leave {flag} out")


def begun_with(resume: Path | None) -> str | None:
    """Return the weights that the run in that folder began with, if it was started with --from."""
    return None if resume is None else read_about(resume).get("from")


def head_was_replaced(folder: Path) -> bool:
    """Return whether the run in that folder was started with --replace-head."""
    return bool(read_about(folder).get("replaced_head"))


def continued(folder: Path, model: str, recipe: Recipe, be: Backend, seed: int) -> "Model":
    """Return the network of a run that was started with --from: no flag describes it, so its state does.

    Raises UsageError for a flag that asks for another network; CheckpointError and FileError for the state.
    """
    from xpnn.model import Model
    from xpnn.training.state import read_network

    about = read_about(folder)
    then = {"model": about.get("model")} | {name: about["settings"].get(name) for name in NETWORK}
    now = {"model": model} | {name: recipe.to_json()[name] for name in NETWORK}
    changed = [name for name in then if now[name] != then[name]]
    if changed:
        name = changed[0]
        raise UsageError(
            f"{folder} belongs to another run: {name} was {then[name]}, here it is {now[name]}",
            why="its network is the one that it began with",
            fix="leave that flag out",
        )
    net, shape, vectors = read_network(folder / STATE)
    return Model(net, shape, backend=be, seed=seed, vectors=vectors)


def same_device(resume: Path | None, device: str | None) -> str | None:
    """Return the run's device, if its backend is kept and no other device is asked for."""
    source = click.get_current_context().get_parameter_source("backend")
    if resume is None or device is not None or source is not ParameterSource.DEFAULT_MAP:
        return device
    return read_about(resume).get("device")


def resume_entries(resume: Path | None, endings: Endings) -> dict[str, Any]:
    """Return the entries of run.json. A resumed run keeps the time at which it began."""
    started = {} if resume is None else {"started": read_about(resume).get("started")}
    return {"endings": asdict(endings), **started}


def resume_line(run: Run) -> str:
    """Return the command that resumes the run."""
    return f"{program()} train --resume {shlex.quote(str(run.folder))}"


def left_behind(run: Run) -> str:
    """Return what an interrupted run saved, in words."""
    if run.state.exists():
        return f"saved in {run.folder}\n  to go on: {resume_line(run)}"
    if not run.weights.exists():
        return "no epoch was finished, nothing was saved"
    return f"the best epoch so far is saved in {run.weights}"


def obey(listener: StopOnSignal, group: "Communicator") -> None:
    """Raises Stopped if a signal ended the training: on every rank, where one was sent it."""
    heard = [int(number) for number in group.each(listener.signum or 0) if number]
    if heard:
        stop = by_signal(heard[0])
        stop.agreed = True
        raise stop
