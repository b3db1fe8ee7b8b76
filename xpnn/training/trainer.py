"""The only training loop, and the only object that holds an optimizer's state."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn.data.batches import Slices, epoch_order
from xpnn.data.split import stratified_split
from xpnn.edge import check_shape
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.losses import Loss, get_loss
from xpnn.model import Model
from xpnn.optimizers import Optimizer, get_optimizer
from xpnn.random import host_rng
from xpnn.schedules import Schedule, get_schedule
from xpnn.training.callbacks import Callback
from xpnn.training.diverged import explain_divergence
from xpnn.training.history import History, Row
from xpnn.training.mixing import Mixing, check_mixing
from xpnn.training.step import make_step

LOOK = 32
"""Steps between two looks at the losses: each look waits for the device."""


class Trainer:
    """Trains a model: `trainer.step(x, y)` for one batch, `trainer.fit(x, y)` for epochs.

    loss and optimizer by name or object; schedule multiplies the optimizer's lr; augment: Mixup or CutMix.
    Raises UsageError for a network that ends in Softmax or Sigmoid where the loss wants logits.
    """

    def __init__(
        self,
        model: Model,
        loss: str | Loss = "softmax_cross_entropy",
        optimizer: str | Optimizer = "adam",
        *,
        schedule: str | Schedule | None = None,
        augment: Mixing | None = None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, get_loss(loss), get_optimizer(optimizer)
        self.schedule = get_schedule(schedule)
        self.augment = check_mixing(augment, model, self.loss)
        model.check_ending(self.loss)
        if not model.layout.size["theta"]:
            raise UsageError(
                "the model has no parameters to train", fix="add a layer that has, such as Dense(10)"
            )
        model.loss = self.loss
        be = model.backend
        with be.scope():
            decay = model.layout.decay_mask(be) if self.optimizer.penalised else None
            self.state = {**self.optimizer.init(be, model.theta, decay), "ok": be.scalar(True, be.xp.bool)}
        self._step = make_step(
            model.net, self.loss, self.optimizer, model.layout, be, model.seed, self.augment
        )
        self.steps, self.total, self.lr = 0, 0, self.optimizer.lr
        self.history = History()

    def step(self, x: Array, y: Array, weight: Array | None = None) -> Array:
        """One update on a batch of this backend's arrays. Returns the mean loss before it, 0-d, still on the device.

        The loss is NaN where it or a gradient was not finite; then nothing was changed. Raises DeviceError for an
        array of another library or device, ShapeError for one that does not fit.
        """
        model, be = self.model, self.model.backend
        for name, a in (("x", x), ("y", y), ("weight", weight)):
            if a is not None or name != "weight":
                be.require(name, a)
        check_shape("x", x, model.input_shape)
        n = x.shape[0]
        if n == 0:
            raise DataError("x has no samples")
        if tuple(y.shape[:1]) != (n,):
            raise ShapeError(f"x has {n} samples, y has shape {tuple(y.shape)}")
        if weight is not None and tuple(weight.shape) != (n,):
            raise ShapeError(f"x has {n} samples, weight has shape {tuple(weight.shape)}, wanted ({n},)")
        with be.scope():
            self._set_rate()
            value, model.theta, model.phi, self.state = self._step(
                model.theta, model.phi, self.state, x, y, weight
            )
        self.steps += 1
        return value

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        validation: float | int | tuple[Any, Any] | None = None,
        sample_weight: Any = None,
        callbacks: Sequence[Callback] = (),
    ) -> History:
        """Train for `epochs` passes over (x, y) in seeded, shuffled batches; the last batch may be short.

        validation: a share (0.1) or number (5000) of the samples, held out by a seeded, stratified draw, or a pair
        (x, y). sample_weight: (N,), at least 0. Raises DataError and ShapeError for data that cannot be trained on,
        DivergedError when the loss stops being finite.
        """
        epochs, batch_size = check_count("epochs", epochs), check_count("batch_size", batch_size)
        check_validation(validation)
        model = self.model
        x, y = model.pair(x, y, self.loss)
        train, held = self._hold_out(y, validation)
        valid = self._given(validation) if held is None else self._slice(x, y, held)
        data = (x, model.targets(y), model.weights(sample_weight, len(y)))
        self.total = self.steps + epochs * len(Slices(len(train), batch_size))
        with contextlib.ExitStack() as stack:
            for callback in callbacks:
                callback.start(self, epochs, len(train), batch_size)
                stack.callback(callback.end, self)
            first = len(self.history) + 1
            for epoch in range(first, first + epochs):
                self._epoch(epoch, data, train, batch_size, valid, callbacks)
        return self.history

    def _epoch(
        self,
        epoch: int,
        data: tuple[Array, Array, Array | None],
        train: np.ndarray[Any, Any],
        batch_size: int,
        valid: tuple[Array, Array] | None,
        callbacks: Sequence[Callback],
    ) -> None:
        be, began = self.model.backend, time.perf_counter()
        order = train[epoch_order(self.model.seed, epoch, len(train))]
        losses: list[float] = []
        sizes: list[int] = []
        waiting: list[Array] = []
        for batch in Slices(len(train), batch_size):
            with be.scope():
                rows = be.asarray(order[batch])
                x, y, weight = (None if a is None else be.take_rows(a, rows) for a in data)
            waiting.append(self.step(x, y, weight))
            sizes.append(len(order[batch]))
            if len(waiting) == LOOK or sum(sizes) == len(train):
                losses += self._look(waiting)
                if not np.isfinite(losses).all():
                    bad = int(np.argmin(np.isfinite(losses)))
                    rows = be.asarray(order[sum(sizes[:bad]) : sum(sizes[: bad + 1])])
                    raise explain_divergence(self, epoch, bad + 1, losses, data, rows)
                for callback in callbacks:
                    callback.progress(epoch, sum(sizes), losses[-1])
                waiting = []
        row = self._row(epoch, float(np.average(losses, weights=sizes)), valid, time.perf_counter() - began)
        self.history.rows.append(row)
        for callback in callbacks:
            callback.epoch(self, row)

    def _row(self, epoch: int, train_loss: float, valid: tuple[Array, Array] | None, seconds: float) -> Row:
        scores = self.model.score(*valid) if valid is not None else {}
        row = Row(epoch, train_loss, scores.get("loss"), scores.get("accuracy"), self.lr, seconds, best=False)
        champion = self.history.best
        return replace(row, best=champion is None or self.history.score(row) > self.history.score(champion))

    def _look(self, values: list[Array]) -> list[float]:
        be = self.model.backend
        with be.scope():
            looked: list[float] = be.to_numpy(be.xp.stack(values)).tolist()
        return looked

    def _set_rate(self) -> None:
        lr = self.optimizer.lr * self.schedule(self.steps, max(self.total, self.steps + 1))
        if lr != self.lr:
            self.lr = lr
            self.state["lr"] = self.model.backend.scalar(lr)

    def _hold_out(self, y: np.ndarray[Any, Any], validation: Any) -> tuple[np.ndarray[Any, Any], Any]:
        return hold_out(y, validation, self.model.seed)

    def _slice(self, x: Array, y: np.ndarray[Any, Any], held: np.ndarray[Any, Any]) -> tuple[Array, Array]:
        rows = self.model.backend.asarray(held)
        with self.model.backend.scope():
            return self.model.backend.take_rows(x, rows), self.model.targets(y[held])

    def _given(self, validation: Any) -> tuple[Array, Array] | None:
        if not isinstance(validation, tuple | list):
            return None
        x, y = self.model.pair(validation[0], validation[1], self.loss, "validation ")
        return x, self.model.targets(y)


def hold_out(y: np.ndarray[Any, Any], validation: Any, seed: int) -> tuple[np.ndarray[Any, Any], Any]:
    """What `fit` trains on, and what it holds out for `validation` with that seed (None where nothing is)."""
    if validation is None or isinstance(validation, tuple | list) or validation == 0:
        return np.arange(len(y)), None
    validation = int(validation) if isinstance(validation, np.integer) else validation
    return stratified_split(y, validation, host_rng(seed, "validation"))


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
