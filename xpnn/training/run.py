"""A fit under way, and what can watch it."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from xpnn.data.batches import Slices, epoch_order
from xpnn.kernels import Array
from xpnn.losses import Loss
from xpnn.network import Network
from xpnn.optimizers import Optimizer
from xpnn.system import user_path
from xpnn.training.history import History, Row
from xpnn.training.identity import identity
from xpnn.training.stepper import Stepper


def nothing() -> None:
    """What there is to wait for before the first step."""


def moved(message: str, get: Callable[[Any], Any]) -> property:
    """An attribute by its old name: what `get` finds, and a warning that says where it is now."""

    def read(self: Any) -> Any:
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return get(self)

    return property(read, doc=f"{message[0].upper()}{message[1:]}.")


def of_trainer(name: str) -> property:
    """What a callback that takes its run for the trainer may still ask it for."""
    message = f"a callback is given the run: write run.trainer.{name}"
    return moved(message, lambda run: getattr(run.trainer, name))


class Callback:
    """Does nothing at any of the six moments of a run.

    A callback ends the run by `run.stopped = "why"`: after the batch from `step`, after the epoch from `epoch`.
    What it remembers belongs into `state`, plain numbers, and `vectors`, weights as `Model.snapshot` gives them: both
    are saved with the run, and put back before `start` when it goes on.
    """

    state: dict[str, Any]
    vectors: dict[str, Any] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Each has its own empty `state`, also where a subclass does not call this class's constructor."""
        made = super().__new__(cls)
        made.state, made.vectors = {}, None
        return made

    def start(self, run: "Run", epochs: int, samples: int, batch_size: int) -> None:
        """Before the first epoch: how many epochs, samples in each, samples in a step."""

    def step(self, run: "Run") -> None:
        """After every step, which the device may still be computing."""

    def progress(self, epoch: int, samples: int, loss: float) -> None:
        """Now and then inside an epoch: samples done so far in it, and the latest loss."""

    def epoch(self, run: "Run", row: Row) -> None:
        """After an epoch."""

    def finish(self, run: "Run") -> None:
        """After the last step, with its weights still in place; not when an error cuts the run short."""

    def end(self, run: "Run") -> None:
        """When all have finished, or an error cuts the run short. The last to start is the first to end."""


@dataclass
class Run:
    """One call of `Trainer.fit`: what it trains on, how far it is, and who watches. Callbacks are given it.

    trainer: outlives the run; the model, its history, `rate` and `stopped` are the trainer's. epochs: the number of the
    last epoch. losses: of the batches so far in this epoch, as far as they were read. batch(): the samples, targets and
    weights of the last step; () before the first, and with LBFGS. sync(): waits for the device, and reads the losses
    that are still on it.
    """

    trainer: Stepper
    data: tuple[Any, Any, Array | None]
    train: np.ndarray[Any, Any] | range  # the rows of data that are trained on
    validation: Any  # the checked pair (x, y), or what was given in its place
    batch_size: int
    epochs: int
    callbacks: list[Callback]
    write: Callable[["Run", Path], None]
    losses: list[float] = field(default_factory=list)
    began: float = 0.0  # the time at which this epoch would have begun without interruption
    seconds: float = 0.0  # that this epoch took before a resume
    batch: Callable[[], tuple[Any, ...]] = tuple
    sync: Callable[[], None] = nothing

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What its course depends on, as plain JSON; a fingerprint of the data among it, so computed once."""
        batches = len(Slices(len(self.train), self.batch_size))
        return identity(self.trainer, self.data, self.validation, self.batch_size, batches)

    def order(self, epoch: int) -> Any:
        """The rows of data in the order of that epoch: what gives slices of it, each an array."""
        order = epoch_order(self.model.seed, epoch, len(self.train))
        return order if isinstance(self.train, range) else self.train[np.asarray(order)]

    def save_state(self, path: str | Path) -> None:
        """Write everything that `fit(..., resume=path)` needs to go on from here.

        Weights, the optimizer's arrays, counters, the place inside the epoch, the history, and what the callbacks
        keep. Replaces the file whole or not at all. Raises FileError; DivergedError for a NaN.
        """
        self.write(self, user_path(path))

    def close(self) -> None:
        """Let go of what holds the data in a circle, so that it does not wait for the garbage collector."""
        self.batch, self.sync = tuple, nothing

    @property
    def model(self) -> Network:
        """What is trained."""
        return self.trainer.model

    @property
    def loss(self) -> Loss:
        """What is made small."""
        return self.trainer.loss

    @property
    def optimizer(self) -> Optimizer:
        """As it was given to the trainer."""
        return self.trainer.optimizer

    @property
    def state(self) -> dict[str, Any]:
        """The optimizer's arrays, by name."""
        return self.trainer.state

    @property
    def history(self) -> History:
        """A row for each finished epoch, those of earlier fits of the trainer among them."""
        return self.trainer.history

    @property
    def steps(self) -> int:
        """How many steps the trainer made in all its fits."""
        return self.trainer.steps

    @property
    def total(self) -> int:
        """How many steps there will have been after this fit: its schedule spreads over those from `first` on."""
        return self.trainer.total

    @property
    def first(self) -> int:
        """How many steps earlier fits made."""
        return self.trainer.first

    @property
    def lr(self) -> float:
        """The learning rate of the last step."""
        return self.trainer.lr

    @property
    def rate(self) -> float:
        """The learning rate that the schedule multiplies; a callback may set it."""
        return self.trainer.rate

    @rate.setter
    def rate(self, value: float) -> None:
        self.trainer.rate = value

    @property
    def stopped(self) -> str:
        """Why the run ends before its last epoch, or ""; a callback may set it."""
        return self.trainer.stopped

    @stopped.setter
    def stopped(self, why: str) -> None:
        self.trainer.stopped = why

    schedule = of_trainer("schedule")
    augment = of_trainer("augment")
    objective = of_trainer("objective")
    step = of_trainer("step")
    indexed_step = of_trainer("indexed_step")
