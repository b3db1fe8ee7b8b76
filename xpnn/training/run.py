"""Run, one call of `Trainer.fit`; and Callback, which is called during it."""

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from xpnn.data.batches import Slices, epoch_order
from xpnn.kernels import Array
from xpnn.losses import Loss, MultiOutputLoss
from xpnn.network import Network
from xpnn.optimizers import Optimizer
from xpnn.scoring import accuracies
from xpnn.stored_array import StoredArray
from xpnn.system import user_path
from xpnn.training.history import History, Row, Tally
from xpnn.training.identity import identity
from xpnn.training.stepper import Stepper


def nothing() -> None:
    """Do nothing: before the first step no loss has been computed."""


def moved(message: str, get: Callable[[Any], Any]) -> property:
    """Return an attribute that has moved, with a warning that says where it is now."""

    def read(self: Any) -> Any:
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return get(self)

    return property(read, doc=f"{message[0].upper()}{message[1:]}.")


def of_trainer(name: str) -> property:
    """Return an attribute of the trainer, for callbacks written when they were given the trainer."""
    message = f"a callback is given the run: write run.trainer.{name}"
    return moved(message, lambda run: getattr(run.trainer, name))


class Callback:
    """Base class: called at six moments of a run, where by default it does nothing.

    A callback ends the run by `run.stopped = "why"`: after the batch from `step`, after the epoch from `epoch`.
    What it remembers belongs into `state`, plain numbers, and `vectors`, weights as `Model.snapshot` gives them: both
    are saved with the run, and put back before `start` when it goes on.
    """

    everywhere: ClassVar[bool] = True
    """False: of several processes that share a run, rank 0 alone has it. So for what prints or writes."""
    state: dict[str, Any]
    vectors: dict[str, Any] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Give each its own empty `state`, even if a subclass does not call this class's constructor."""
        made = super().__new__(cls)
        made.state, made.vectors = {}, None
        return made

    def start(self, run: "Run", epochs: int, samples: int, batch_size: int) -> None:
        """Called before the first epoch. samples: of an epoch; batch_size: of a step."""

    def step(self, run: "Run") -> None:
        """Called after every step, which the device may still be computing."""

    def progress(self, epoch: int, samples: int, loss: float) -> None:
        """Called now and then inside an epoch: samples done so far in it, and the latest loss."""

    def epoch(self, run: "Run", row: Row) -> None:
        """Called after an epoch, with its row of the history."""

    def finish(self, run: "Run") -> None:
        """Called after the last step, with its weights still in place; not when an error cuts the run short."""

    def end(self, run: "Run") -> None:
        """Called when all have finished, or an error cuts the run short. The last to start is the first to end."""


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
    metrics: Mapping[str, Any] = field(default_factory=dict)  # measured on the validation samples
    losses: list[float] = field(default_factory=list)
    tally: Tally | None = None  # of this epoch's labels; None where they are not counted
    began: float = 0.0  # the time at which this epoch would have begun without interruption
    seconds: float = 0.0  # that this epoch took before a resume
    threads: int | None = (
        None  # of NumPy's matrix products; None where they may change, and for other backends
    )
    batch: Callable[[], tuple[Any, ...]] = tuple
    sync: Callable[[], None] = nothing

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """What the course of the run depends on, as plain JSON. Computed once, as it contains a hash of the data."""
        batches = len(Slices(len(self.train), self.batch_size))
        return identity(self.trainer, self.data, self.validation, self.batch_size, batches)

    def order(self, epoch: int) -> Any:
        """The order of the rows in that epoch: an array, or an object whose slices are arrays."""
        x = self.data[0][0] if isinstance(self.data[0], tuple) else self.data[0]
        if isinstance(x, StoredArray):
            return x.order(self.model.seed, epoch, self.train)
        order = epoch_order(self.model.seed, epoch, len(self.train))
        return order if isinstance(self.train, range) else self.train[np.asarray(order)]

    def save_state(self, path: str | Path) -> None:
        """Write everything that `fit(..., resume=path)` needs to go on from here.

        Weights, the optimizer's arrays, counters, the place inside the epoch, the history, and what the callbacks
        keep. Replaces the file whole or not at all. Raises FileError; DivergedError for a NaN.
        """
        self.write(self, user_path(path))

    def close(self) -> None:
        """Break the reference cycles, so that the data is freed without waiting for the garbage collector."""
        self.batch, self.sync = tuple, nothing

    @property
    def columns(self) -> list[str]:
        """The columns that not every history has: metrics, and the accuracies of several outputs."""
        outputs = accuracies(self.loss) if isinstance(self.loss, MultiOutputLoss) else []
        held = isinstance(self.validation, tuple | list) or self.validation
        valid = [*outputs, *self.metrics] if held else []
        return [*(f"train_{name}" for name in outputs), *(f"valid_{name}" for name in valid)]

    @property
    def rank(self) -> int:
        """The number of this process among those that share the run; 0 of one alone."""
        return self.trainer.communicator.rank

    @property
    def whole(self) -> bool:
        """Whether this process has all of the state: not while several accumulate gradients, each its own."""
        trainer = self.trainer
        waiting = trainer.state.get("waiting") if trainer.communicator.size > 1 else None
        return waiting is None or int(trainer.model.backend.to_numpy(waiting)) == 0

    @property
    def model(self) -> Network:
        """The model that is trained."""
        return self.trainer.model

    @property
    def loss(self) -> Loss:
        """The loss that is minimized."""
        return self.trainer.loss

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer, as it was given to the trainer."""
        return self.trainer.optimizer

    @property
    def state(self) -> dict[str, Any]:
        """The optimizer's arrays, by name."""
        return self.trainer.state

    @property
    def history(self) -> History:
        """A row for each finished epoch, including earlier fits of the trainer."""
        return self.trainer.history

    @property
    def steps(self) -> int:
        """Number of steps the trainer has made in all its fits."""
        return self.trainer.steps

    @property
    def total(self) -> int:
        """Number of steps at the end of this fit: its schedule spreads from step `first` to this one."""
        return self.trainer.total

    @property
    def first(self) -> int:
        """Number of steps that earlier fits made."""
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
