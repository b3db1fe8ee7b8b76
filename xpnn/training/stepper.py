"""Training step by step: a model, an optimizer, and the optimizer's state, which outlives a fit."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn import validation
from xpnn.backends.base import Backend
from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.shares import own_rows
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.losses import Loss, MultiOutputLoss, get_loss
from xpnn.losses.base import same_sizes
from xpnn.network import Network
from xpnn.optimizers import LBFGS, Optimizer, get_optimizer
from xpnn.optimizers.base import State
from xpnn.parameters import count, gather
from xpnn.schedules import Schedule, get_schedule
from xpnn.training.accumulation import check_accumulation
from xpnn.training.history import History
from xpnn.training.ids import LOOK, first_bad, guarded, ids_of
from xpnn.training.mixing import Mixing, check_mixing
from xpnn.training.shared_objective import SharedObjective
from xpnn.training.step import Objective, Position

SMALLER = "batch_size={} (an estimate), or a smaller network"


class Stepper:
    """What a `Trainer` is without its loop: one step at a time. The only object that holds an optimizer's state.

    Its arguments and errors are those of `Trainer`. state: the optimizer's arrays; steps: how many were made; total:
    how many the schedule spreads over; rate: what the schedule multiplies; lr: the learning rate of the last step.
    """

    def __init__(
        self,
        model: Network,
        loss: str | Loss | Callable[..., Any] | None = None,
        optimizer: str | Optimizer = "adam",
        *,
        schedule: str | Schedule | None = None,
        augment: Mixing | None = None,
        communicator: Communicator | None = None,
    ) -> None:
        self.communicator = communicator or Communicator()
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
        be, shared = model.backend, self.communicator.size > 1
        if shared:
            self._take_weights()
        bound = self._bound = self.optimizer.bind(model.layout.params)
        with be.device_context():
            self._state = {**bound.init(be, model.theta), "ok": be.scalar(True, be.xp.bool)}
        if isinstance(self.optimizer, LBFGS) and self.schedule != get_schedule(None):
            raise UsageError(
                "LBFGS with a schedule",
                why="its line search finds the step lengths",
                fix="leave the schedule out",
            )
        self.objective = Objective(model.net, self.loss, model.layout, be, model.seed, self.augment)
        group = self.communicator
        self.shared_objective = SharedObjective(
            **vars(self.objective) | {"be": group.inside(be)}, group=group
        )
        self.ids = ids_of(model, self.loss)
        self._known_kind: tuple[Any, ...] | None = None
        """What `kind_of` said of the last batch, where its arrays were taken as they are."""
        self._unread: list[tuple[int, Array, Any, Any, Any]] = []
        """Steps whose losses are still unread: number, loss, x, y, weight; of a backend where that takes time."""
        objective = self.shared_objective if shared else self.objective
        self.compiled_step, self.compiled_indexed_step = self._compiled(objective)
        """What `Backend.compile` made of the step on a batch, and on rows of data that stay on the device."""
        self.steps, self.first, self.total = 0, 0, 0
        self.rate = self.lr = self.optimizer.lr
        self.history = History()
        self.stopped = ""
        """Why the last fit ended before its last epoch, if it did. A callback that sets it ends the run.

        An epoch that was cut short starts again with the next fit, unless that one resumes from a state.
        """

    @property
    def state(self) -> State:
        """The optimizer's arrays, by name."""
        for a in self._state.values():
            self.model.backend.lend(a)
        return self._state

    @state.setter
    def state(self, arrays: State) -> None:
        self._state = arrays

    @functools.cached_property
    def _counting(self) -> tuple[Any, Any]:
        """The same two functions, which also count the hits."""
        shared = self.communicator.size > 1
        return self._compiled(self.shared_objective if shared else self.objective, count=True)

    def _compiled(self, objective: Objective, **count: bool) -> tuple[Any, Any]:
        """The step on a batch and the step on the next rows of the data, compiled."""
        be, shared = self.model.backend, self.communicator.size > 1
        step, indexed = objective.step(self._bound, **count), objective.indexed_step(self._bound, **count)
        if not shared and be.name != "numpy":
            step = guarded(step, be, self.ids)
        return self.compile(step, donated=(0, 1, 2), static=(6,) if shared else ()), self.compile(
            indexed, donated=(0, 1, 2, 3), resident=(4,), static=(5, 6) if shared else (5,)
        )

    def counts(self, y: Any) -> int:
        """How many labels a sample of these targets has, over all outputs; 0 for a regression."""
        be = self.model.backend
        losses, targets = (
            (self.loss.losses, y) if isinstance(self.loss, MultiOutputLoss) else ((self.loss,), (y,))
        )
        with be.device_context():
            each = [
                loss.target_ids(be, target[:1, ...])
                for loss, target in zip(losses, targets, strict=True)
                if loss.has_labels
            ]
        return sum(0 if ids is None else math.prod(ids.shape[1:]) for ids in each)

    def compile(self, f: Callable[..., Any], **positions: tuple[int, ...]) -> Callable[..., Any]:
        """`Backend.compile`, or the communicator's own where several processes share the run."""
        return self.communicator.compile(self.model.backend, f, **positions)

    def _take_weights(self) -> None:
        """Copy the weights of rank 0 to every rank."""
        model = self.model
        vectors = {name: np.ascontiguousarray(a) for name, a in model.snapshot().items()}
        for a in vectors.values():
            self.communicator.broadcast(a)
        model.restore(vectors)

    def step(self, x: Any, y: Any, weight: Array | None = None) -> Array:
        """One update on a batch of this backend's arrays. Returns the loss before it, 0-d, still on the device.

        The loss is NaN where it or a gradient was not finite; then nothing was changed. Raises DeviceError for an
        array of another library or device, ShapeError for one that does not fit, UsageError with LBFGS. Several inputs
        or outputs: tuples. Class ids, rows of labels, ids to embed, labels of CTC, targets of yes or no and weights
        that are out of range raise DataError on NumPy; elsewhere the loss is NaN, nothing is changed, and
        `check_steps`, which every 32nd step calls, raises it. Of several processes each is given the whole batch, and
        computes its rows; ids are checked by all of them.
        """
        model, be = self.model, self.model.backend
        kind = kind_of(x, y) if weight is None and be.name == "numpy" else None
        if kind is not None and kind == self._known_kind:
            if error := first_bad(be, self.ids, x, y):
                raise error
            again: Array = self._make_step(self.compiled_step, kind[0][0], x, y, None)
            return again
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
        model.output_shape_for(tupled(x))
        first, n = samples[0][0], samples[0][1].shape[0]
        if n == 0:
            raise DataError(f"{first} has no samples")
        for name, a, _ in samples[1:] + targets:
            if tuple(a.shape[:1]) != (n,):
                raise ShapeError(f"{first} has {n} samples, {name} has shape {tuple(a.shape)}")
        each = (n, *self.loss.positions(model.output_shape))
        if weight is not None and tuple(weight.shape) != (n,) and not same_sizes(weight.shape, each):
            raise ShapeError(
                f"{first} has {n} samples, weight has shape {tuple(weight.shape)}, wanted ({n},)"
                + (f" or {each}" if len(each) > 1 else "")
            )
        given_y, x, y = y, tupled(x), rows_as_floats(be, self.loss, tupled(y), model.output_shape)
        shared = self.communicator.size > 1
        self._known_kind = kind if y is given_y and not shared else None
        on_host = be.name == "numpy" or shared
        if on_host and (error := first_bad(be, self.ids, x, y, weight)):
            raise error
        if shared:
            rows, share = own_rows(self.communicator, np.arange(n), self.augment is not None)
            with be.device_context():
                x, y, weight = gather(be, (x, y, weight), be.asarray(rows))
            return self.part_step(x, y, weight, share)
        value: Array = self._make_step(self.compiled_step, n, x, y, weight)
        if not on_host and (self.ids or weight is not None):
            self._unread.append((self.steps, value, x, y, weight))
            if len(self._unread) == LOOK:
                self.check_steps()
        return value

    def part_step(self, x: Any, y: Any, weight: Array | None, share: Share, *, count: bool = False) -> Any:
        """`step` where several processes share the batch, given this one's checked rows. All of them call it.

        count: (loss, hits) in place of the loss, as `counted_step` gives them.
        """
        step = self._counting[0] if count else self.compiled_step
        return self._make_step(step, share.rows, x, y, weight, share)

    def counted_step(self, x: Any, y: Any, weight: Array | None) -> tuple[Array, Array]:
        """`step` on a checked batch; returns the loss and the hits, as `training.step.counted` gives them."""
        value: tuple[Array, Array] = self._make_step(self._counting[0], count(x), x, y, weight)
        return value

    def _make_step(self, step: Callable[..., Any], n: int, *given: Any) -> Any:
        model, be = self.model, self.model.backend
        with be.device_context(), be.oom_guard("a training step", n, SMALLER):
            self._set_rate()
            value, model._theta, model._phi, self._state = step(*model.given_away(), self._state, *given)
        self.steps += 1
        return value

    def check_steps(self) -> None:
        """Look at the losses of the last steps. Raises DataError where ids or targets out of range made one NaN.

        It waits for the device. The weights are those of before that step; a new Trainer goes on from them.
        """
        unread, self._unread = self._unread, []
        be = self.model.backend
        for number, value, x, y, weight in unread:
            if not np.isfinite(be.to_numpy(value)):
                with be.device_context():
                    error = first_bad(be, self.ids, x, y, weight, f" in step {number}")
                if error:
                    raise error
                return

    def indexed_step(
        self,
        data: tuple[Any, ...],
        position: Position,
        n: int,
        share: Share | None = None,
        *,
        count: bool = False,
    ) -> tuple[Any, Position]:
        """`step` on the next n samples of the checked data (x, y, weight). Returns the loss and the position behind
        them. Nothing is copied from the host. share: what these are of a batch that several processes share. count:
        (loss, hits) in place of the loss, as `counted_step` gives them.
        """
        model, be = self.model, self.model.backend
        indexed = self._counting[1] if count else self.compiled_indexed_step
        with be.device_context(), be.oom_guard("a training step", n, SMALLER):
            self._set_rate()
            value, model._theta, model._phi, self._state, position = indexed(
                *model.given_away(), self._state, position, data, n, *(() if share is None else (share,))
            )
        self.steps += 1
        return value, position

    def end_epoch(self) -> None:
        """Announce that the next step is the last of its epoch: `Accumulate` makes an update with it."""
        if "last" in self._state:
            with self.model.backend.device_context():
                self._state["last"] = self.model.backend.scalar(True, self.model.backend.xp.bool)

    def _set_rate(self) -> None:
        done = self.steps - self.first
        lr = self.rate * self.schedule(done, max(self.total - self.first, done + 1))
        if lr != self.lr:
            self._state["lr"] = self.model.backend.scalar(lr)
            self.lr = lr


def kind_of(x: Any, y: Any) -> tuple[Any, ...] | None:
    """Shapes and dtypes of two NumPy arrays: batches of one kind pass the same checks, but for ids out of range."""
    if type(x) is np.ndarray and type(y) is np.ndarray:
        return x.shape, x.dtype, y.shape, y.dtype
    return None


def rows_as_floats(be: Backend, loss: Loss, y: Any, outputs: Any) -> Any:
    """Targets as they are, but for rows of whole numbers: floats from here on, so that whole numbers are ids."""
    if isinstance(y, tuple):
        each = zip(getattr(loss, "losses", (loss,)), y, outputs, strict=True)
        return tuple(rows_as_floats(be, *one) for one in each)
    rows = loss.kind == "classes" and y.ndim == len(outputs) + 1
    return be.xp.astype(y, be.dtype) if rows and y.dtype != be.dtype else y


def tupled(a: Any) -> Any:
    """Return several arrays as a tuple, since a compiler takes a list for another structure."""
    return tuple(a) if isinstance(a, list) else a
