"""The only training loop, and the only object that holds an optimizer's state."""

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xpnn import validation
from xpnn.data.batches import Slices
from xpnn.data.split import stratified_split
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.nested import refuse_one
from xpnn.losses import Loss, get_loss
from xpnn.network import Network
from xpnn.optimizers import LBFGS, Optimizer, get_optimizer
from xpnn.parameters import count, gather, tree_map
from xpnn.random import host_rng
from xpnn.schedules import Schedule, get_schedule
from xpnn.system import user_path
from xpnn.training.accumulation import check_accumulation
from xpnn.training.callbacks import Callback, as_callback
from xpnn.training.full_batch import FullBatch
from xpnn.training.history import History, Row
from xpnn.training.identity import identity
from xpnn.training.minibatch import MiniBatches
from xpnn.training.mixing import Mixing, check_mixing
from xpnn.training.state import load_state, save_state
from xpnn.training.step import Objective, Position

SMALLER = "batch_size={} (an estimate), or a smaller network"


class Trainer:
    """Trains a model: `trainer.step(x, y)` for one batch, `trainer.fit(x, y)` for epochs.

    loss and optimizer by name or object; loss: the model's own by default, and another one becomes the model's.
    schedule multiplies `rate`, at first the optimizer's lr; augment: Mixup or CutMix.
    Raises UsageError for a network that ends in Softmax or Sigmoid where the loss wants logits, for a loss with
    reduction="none", which is no number, and for a schedule beside LBFGS. With reduction="sum" the gradient grows with
    the batch, so the last, short batch of an epoch takes a shorter step; the history has sums over all samples of an
    epoch, as `Model.evaluate`.
    """

    def __init__(
        self,
        model: Network,
        loss: str | Loss | None = None,
        optimizer: str | Optimizer = "adam",
        *,
        schedule: str | Schedule | None = None,
        augment: Mixing | None = None,
    ) -> None:
        self.model, self.optimizer = model, get_optimizer(optimizer)
        self.loss = model.loss if loss is None else get_loss(loss)
        self.schedule = get_schedule(schedule)
        self.augment = check_mixing(augment, model, self.loss)
        model.check_loss(self.loss)
        if not model.layout.size["theta"]:
            raise UsageError(
                "the model has no parameters to train", fix="add a layer that has, such as Dense(10)"
            )
        check_accumulation(self.optimizer, self.loss)
        model.loss = self.loss
        be = model.backend
        bound = self._bound = self.optimizer.bind(model.layout.params)
        with be.device_context():
            self.state = {**bound.init(be, model.theta), "ok": be.scalar(True, be.xp.bool)}
        if isinstance(self.optimizer, LBFGS) and self.schedule != get_schedule(None):
            raise UsageError(
                "LBFGS with a schedule",
                why="its line search finds the step lengths",
                fix="leave the schedule out",
            )
        self.objective = Objective(model.net, self.loss, model.layout, be, model.seed, self.augment)
        self._step = be.compile(self.objective.step(bound), donated=(0, 1, 2))
        self._indexed = be.compile(
            self.objective.indexed_step(bound), donated=(0, 1, 2, 3), resident=(4,), static=(5,)
        )
        self.steps, self.total = 0, 0
        self.rate = self.lr = self.optimizer.lr
        self.history = History()
        self.stopped = ""
        """Why the last fit ended before its last epoch, if it did. A callback that sets it ends the run.

        An epoch that was cut short is begun anew by the next fit, unless that one resumes from a state.
        """
        self._let_go()

    def _let_go(self) -> None:
        """What belongs to one fit: its last epoch, its callbacks, and the epoch under way."""
        self.epochs, self.began, self.seconds = 0, 0.0, 0.0
        self.callbacks: list[Callback] = []
        self.losses: list[float] = []
        self.batch: Callable[[], tuple[Any, ...]] = tuple
        self.sync: Callable[[], None] = _nothing
        self.identity: Callable[[], dict[str, Any]] = _outside

    def step(self, x: Any, y: Any, weight: Array | None = None) -> Array:
        """One update on a batch of this backend's arrays. Returns the loss before it, 0-d, still on the device.

        The loss is NaN where it or a gradient was not finite; then nothing was changed. Raises DeviceError for an
        array of another library or device, ShapeError for one that does not fit, UsageError with LBFGS. Several inputs
        or outputs: tuples.
        """
        model, be = self.model, self.model.backend
        if isinstance(self.optimizer, LBFGS):
            raise UsageError(
                "Trainer.step with LBFGS",
                why="its line search needs the loss at several points, always on the same samples",
                fix="trainer.fit(x, y): an iteration per epoch, on the whole data",
            )
        samples = validation.named("x", x, model.input_shape)
        targets = validation.named("y", y, model.output_shape)
        given = [("weight", weight, ())] if weight is not None else []
        for name, a, _ in samples + targets + given:
            be.require(name, a)
        for name, a, shape in samples:
            validation.check_shape(name, a, shape)
        first, n = samples[0][0], samples[0][1].shape[0]
        if n == 0:
            raise DataError(f"{first} has no samples")
        for name, a, _ in samples[1:] + targets:
            if tuple(a.shape[:1]) != (n,):
                raise ShapeError(f"{first} has {n} samples, {name} has shape {tuple(a.shape)}")
        if weight is not None and tuple(weight.shape) != (n,):
            raise ShapeError(
                f"{first} has {n} samples, weight has shape {tuple(weight.shape)}, wanted ({n},)"
            )
        with be.device_context(), be.oom_guard("a training step", n, SMALLER):
            self._set_rate()
            value, model.theta, model.phi, self.state = self._step(
                model.theta, model.phi, self.state, tupled(x), tupled(y), weight
            )
        self.steps += 1
        return value

    def indexed_step(self, data: tuple[Any, ...], position: Position, n: int) -> tuple[Array, Position]:
        """`step` on the next n samples of the checked data (x, y, weight). Returns the loss and the position behind
        them. Nothing is copied from the host.
        """
        model, be = self.model, self.model.backend
        with be.device_context(), be.oom_guard("a training step", n, SMALLER):
            self._set_rate()
            value, model.theta, model.phi, self.state, position = self._indexed(
                model.theta, model.phi, self.state, position, data, n
            )
        self.steps += 1
        return value, position

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        validation: float | int | tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        callbacks: Sequence[Callback | Callable[["Trainer", Row], Any]] = (),
        resume: str | Path | None = None,
    ) -> History:
        """Train for `epochs` passes over (x, y) in seeded, shuffled batches; the last batch may be short.

        validation: a share (0.1) or number (5000) of the samples, held out by a seeded, stratified draw, or a pair
        (x, y). sample_weight: (N,), at least 0. Raises DataError and ShapeError for data that cannot be trained on,
        DivergedError when the loss stops being finite. callbacks: a plain function is called as f(trainer, row) after
        each epoch.

        resume: a file of `save_state` (see `Checkpoint`): a new trainer goes on where that run was, also inside an
        epoch. Everything else must be as it was; only `epochs`, which counts from the beginning of the run, may differ
        where the schedule does not depend on it. On NumPy, with as many threads, the weights are those of the
        uninterrupted run to the last bit; another backend goes on with the same numbers. Raises UsageError, naming
        the first difference, for another run.

        With LBFGS an epoch is one iteration on all the samples, in one order; batch_size only cuts the sums, to save
        memory (though BatchNorm sees each part by itself). `stopped` then says why it ended early.
        """
        epochs, batch_size = check_count("epochs", epochs), check_count("batch_size", batch_size)
        check_validation(validation)
        model = self.model
        x, y = model.check_xy(x, y, self.loss)
        train, held = self._hold_out(y, validation)
        valid = self._given(validation) if held is None else self._slice(x, y, held)
        data = (x, model.targets(y), model.check_sample_weight(sample_weight, count(y)))
        if len(train) % batch_size == 1 or batch_size == 1:
            refuse_one(model.net, model.input_shape)
        batches = len(Slices(len(train), batch_size))
        check_accumulation(self.optimizer, self.loss, epochs * batches)
        self.total, self.epochs = self.steps + epochs * batches, len(self.history) + epochs
        self.stopped = ""
        self.callbacks = [as_callback(callback) for callback in callbacks]
        scored = valid if isinstance(validation, tuple | list) else validation
        self.identity = functools.cache(lambda: identity(self, data, scored, batch_size, batches))
        with contextlib.ExitStack() as stack:
            stack.callback(self._let_go)
            if resume is not None:
                load_state(self, user_path(resume), epochs)
            one_epoch: MiniBatches | FullBatch
            if isinstance(self._bound, LBFGS):
                one_epoch = FullBatch(self, self._bound, data, train, batch_size)
            else:
                one_epoch = MiniBatches(self, data, train, batch_size)
            for callback in self.callbacks:
                callback.start(self, self.epochs - len(self.history), len(train), batch_size)
                stack.callback(callback.end, self)
            for epoch in range(len(self.history) + 1, self.epochs + 1):
                if self.stopped:
                    break
                self.began = time.perf_counter() - self.seconds
                train_loss = one_epoch(epoch, self.callbacks)
                if train_loss is None:
                    break
                self.history.rows.append(self._row(epoch, train_loss, valid))
                self.losses, self.seconds = [], 0.0
                for callback in self.callbacks:
                    callback.epoch(self, self.history.rows[-1])
            for callback in self.callbacks:
                callback.finish(self)
        return self.history

    def end_epoch(self) -> None:
        """The next step is the last of its epoch: `Accumulate` makes an update with it."""
        if "last" in self.state:
            with self.model.backend.device_context():
                self.state["last"] = self.model.backend.scalar(True, self.model.backend.xp.bool)

    def save_state(self, path: str | Path) -> None:
        """Write everything that `fit(..., resume=path)` needs to go on from here; for a callback, inside a fit.

        Weights, the optimizer's arrays, counters, the place inside the epoch, the history, and what the callbacks
        keep. Replaces the file whole or not at all. Raises UsageError outside a fit, FileError.
        """
        save_state(self, user_path(path))

    def _row(self, epoch: int, train_loss: float, valid: tuple[Any, Any] | None) -> Row:
        seconds = time.perf_counter() - self.began
        scores = self.model.score(*valid) if valid is not None else {}
        row = Row(epoch, train_loss, scores.get("loss"), scores.get("accuracy"), self.lr, seconds, best=False)
        champion = next((one for one in reversed(self.history.rows) if one.best), None)
        return replace(row, best=champion is None or self.history.score(row) > self.history.score(champion))

    def _set_rate(self) -> None:
        lr = self.rate * self.schedule(self.steps, max(self.total, self.steps + 1))
        if lr != self.lr:
            self.state["lr"] = self.model.backend.scalar(lr)
            self.lr = lr

    def _hold_out(self, y: Any, validation: Any) -> tuple[np.ndarray[Any, Any], Any]:
        return hold_out(y, validation, self.model.seed)

    def _slice(self, x: Any, y: Any, held: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        rows = self.model.backend.asarray(held)
        with self.model.backend.device_context():
            return gather(self.model.backend, x, rows), self.model.targets(tree_map(lambda _, a: a[held], y))

    def _given(self, validation: Any) -> tuple[Any, Any] | None:
        if not isinstance(validation, tuple | list):
            return None
        x, y = self.model.check_xy(validation[0], validation[1], self.loss, "validation ")
        return x, self.model.targets(y)


def _nothing() -> None:
    """Outside a fit there is no loss to look at."""


def _outside() -> dict[str, Any]:
    raise UsageError("Trainer.save_state outside a fit", fix="fit(..., callbacks=[Checkpoint(path)])")


def tupled(a: Any) -> Any:
    """Several arrays as a tuple: a list would be another structure to a compiler."""
    return tuple(a) if isinstance(a, list) else a


def hold_out(y: Any, validation: Any, seed: int) -> tuple[np.ndarray[Any, Any], Any]:
    """What `fit` trains on, and what it holds out for `validation` with that seed (None where nothing is)."""
    if validation is None or isinstance(validation, tuple | list) or validation == 0:
        return np.arange(count(y)), None
    validation = int(validation) if isinstance(validation, np.integer) else validation
    strata = y[0] if isinstance(y, tuple) else y  # of several targets the first
    return stratified_split(strata, validation, host_rng(seed, "validation"))


def check_count(name: str, value: Any) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UsageError(f"{name}={value!r}: wanted a whole number of at least 1")
    return int(value)


def check_validation(validation: Any) -> None:
    """None, a number, or a pair."""
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise UsageError(f"validation holds {len(validation)} arrays", fix="validation=(x, y)")
    elif isinstance(validation, bool) or not isinstance(validation, int | float | np.number | None):
        raise UsageError(
            f"validation is a {type(validation).__name__}",
            fix="a share such as 0.1, a number of samples, or a pair (x, y)",
        )
