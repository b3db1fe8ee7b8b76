"""The only training loop."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.data.batches import Batches, Slices
from xpnn.data.split import stratified_split
from xpnn.errors import UsageError
from xpnn.layers.containers import refuse_one
from xpnn.layers.lengths import planned
from xpnn.losses import MultiOutputLoss
from xpnn.metrics.by_name import Chosen, as_metrics
from xpnn.optimizers import LBFGS
from xpnn.parameters import count, gather
from xpnn.random import host_rng
from xpnn.renamed import old_members
from xpnn.scoring import accuracies
from xpnn.stored_array import StoredArray
from xpnn.system import user_path
from xpnn.training import ranks
from xpnn.training.accumulation import check_accumulation
from xpnn.training.callbacks import as_callback
from xpnn.training.checkpointing import Checkpoint
from xpnn.training.class_weight import weigh
from xpnn.training.full_batch import FullBatch
from xpnn.training.history import History, Row
from xpnn.training.minibatch import MiniBatches
from xpnn.training.run import Callback, Run, moved
from xpnn.training.source import Source, collected
from xpnn.training.state import load_state, save_state
from xpnn.training.stepper import Stepper
from xpnn.training.streamed import StreamedBatches
from xpnn.trees import tree_map


def of_run(name: str, idle: Any) -> property:
    """An attribute that moved from the trainer to its Run; `idle` outside a fit."""
    message = f"trainer.{name} belongs to one fit: run.{name}"
    return moved(message, lambda trainer: getattr(trainer.run, name) if trainer.run else idle)


@old_members
class Trainer(Stepper):
    """Trains a model: `trainer.step(x, y)` for one batch, `trainer.fit(x, y)` for epochs.

    loss and optimizer by name or object; loss: the model's own by default, and another one becomes the model's.
    schedule multiplies `rate`, at first the optimizer's lr, over the steps of one `fit`; augment: Mixup or CutMix.
    A further `fit` continues the epochs, their shuffles and the optimizer's state, and restarts the schedule.
    Raises UsageError for a network that ends in Softmax or Sigmoid where the loss wants logits, for a loss with
    reduction="none", which is no number, and for a schedule beside LBFGS. With reduction="sum" the gradient grows with
    the batch, so the last, short batch of an epoch takes a shorter step; the history has sums over all samples of an
    epoch, as `Model.evaluate`. communicator: of several processes that train together (`xpnn.distributed.connect`);
    all of them make the same calls with the same data, each computes its rows of every batch, and the results are those
    of one process up to rounding. Callbacks that print or write run on rank 0 alone.
    """

    run: Run | None = None
    """The fit under way."""

    def fit(
        self,
        x: Any,
        y: Any = None,
        *,
        epochs: int = 5,
        batch_size: int = 128,
        steps_per_epoch: int | None = None,
        validation: Any = None,
        metrics: Any = (),
        sample_weight: Any = None,
        class_weight: Any = None,
        callbacks: Sequence[Callback | Callable[[Run, Row], Any]] = (),
        resume: str | Path | None = None,
    ) -> History:
        """Train for `epochs` passes over (x, y) in seeded, shuffled batches; the last batch may be short.

        validation: a share (0.1) or number (5000) of the samples, held out by a seeded, stratified draw, or a pair
        (x, y). sample_weight: (N,), at least 0; or (N, T), (N, H, W), one for each position. class_weight: "balanced",
        {class id: weight} or one for each class, by which samples and positions are weighted besides. Raises DataError
        and ShapeError for data that cannot be trained on, DivergedError when the loss stops being finite. callbacks: a
        plain function is called as f(run, row) after each epoch.

        resume: a file of `save_state` (see `Checkpoint`): a new trainer goes on where that run was, also inside an
        epoch. Everything else must be as it was; only `epochs`, which counts from the beginning of the run, may differ
        where the schedule does not depend on it. On NumPy, with as many threads, the weights are those of the
        uninterrupted run to the last bit; another backend goes on with the same numbers. Raises UsageError, naming
        the first difference, for another run.

        metrics: of the validation samples after each epoch, see `Model.fit`. Without y, x gives batches, see
        `training.source.Source`: steps_per_epoch of them are an epoch, each is a step as it comes, and the run cannot
        be resumed. validation may be such a source too; it is then read whole, once.

        With LBFGS an epoch is one iteration on all the samples, in one order; batch_size only cuts the sums, to save
        memory (though BatchNorm sees each part by itself). `stopped` then says why it ended early.
        """
        epochs, batch_size = check_count("epochs", epochs), check_count("batch_size", batch_size)
        validation = validation if is_plain(validation) else collected(validation)
        check_validation(validation)
        chosen = as_metrics(metrics)
        if chosen and not isinstance(validation, tuple | list) and not validation:
            raise UsageError("metrics without validation samples", fix="fit(..., validation=0.1)")
        watchers = [as_callback(callback) for callback in callbacks]
        if self.communicator.rank:
            watchers = [callback for callback in watchers if callback.everywhere]
        if y is None:
            taken = sample_weight is not None or class_weight is not None or resume is not None
            source = self._source(x, steps_per_epoch, validation, watchers, taken)
            return self._fit_batches(source, epochs, self._given(validation), watchers, chosen)
        if steps_per_epoch is not None:
            raise UsageError(
                f"steps_per_epoch={steps_per_epoch} beside y", why="an epoch is one pass over x and y"
            )
        model = self.model
        x, y = model.check_xy(x, y, self.loss)
        train, held = self._hold_out(y, validation)
        valid = self._given(validation) if held is None else self._slice(x, y, held)
        weight = weigh(class_weight, self.loss, y, train, model.output_shape, sample_weight)
        weight = model.check_sample_weight(weight, count(y), self.loss.positions(model.output_shape))
        data = (x, model.targets(y), weight)
        if len(train) % batch_size == 1 or batch_size == 1:
            refuse_one(model.net, planned(model.input_shape))
        batches = len(Slices(len(train), batch_size))
        check_accumulation(self.optimizer, self.loss, epochs * batches)
        self.first, self.total, self.stopped = self.steps, self.steps + epochs * batches, ""
        scored = valid if isinstance(validation, tuple | list) else validation
        last = len(self.history) + epochs
        run = Run(self, data, train, scored, batch_size, last, watchers, save_state, chosen)
        try:
            self.run = run
            if resume is not None:
                load_state(run, user_path(resume), epochs)
            ranks.check_run(run)
            rule = self._bound
            self._loop(run, valid, FullBatch(run, rule) if isinstance(rule, LBFGS) else MiniBatches(run))
        finally:
            self.run = None
            run.close()
        return self.history

    def _source(
        self, given: Any, steps: int | None, validation: Any, callbacks: list[Callback], taken: bool
    ) -> Source:
        """The batches to train on. Raises UsageError for what only arrays allow."""
        share = not isinstance(validation, tuple | list) and validation
        for bad, what, fix in (
            (taken, "sample_weight, class_weight or resume", "weights in the batches: (x, y, sample_weight)"),
            (share, f"validation={validation}", "validation=(x, y), or batches of their own"),
            (isinstance(self.optimizer, LBFGS), "LBFGS", "arrays x and y: it needs the same samples again"),
            (self.communicator.size > 1, "several processes", "arrays x and y, or Trainer.step"),
            (
                any(isinstance(c, Checkpoint) for c in callbacks),
                "Checkpoint",
                "KeepBest(path) keeps the best weights",
            ),
        ):
            if bad:
                raise UsageError(f"{what} with ready-made batches", fix=fix)
        return Source(given, None if steps is None else check_count("steps_per_epoch", steps))

    def _fit_batches(
        self, source: Source, epochs: int, valid: Any, callbacks: list[Callback], metrics: dict[str, Chosen]
    ) -> History:
        """`fit` on batches that come ready made: an epoch has as many samples as it has steps, as far as bars go."""
        steps = source.steps
        self.first, self.total, self.stopped = self.steps, self.steps + epochs * steps, ""
        last = len(self.history) + epochs
        run = Run(self, (None, None, None), range(steps), valid, 1, last, callbacks, save_state, metrics)
        try:
            self.run = run
            self._loop(run, valid, StreamedBatches(run, source))
        finally:
            self.run = None
            run.close()
        return self.history

    def _loop(
        self, run: Run, valid: tuple[Any, Any] | None, one_epoch: Callable[[int], float | None]
    ) -> None:
        """Run the epochs. valid: samples and targets on which each epoch is scored."""
        from xpnn.training.threads import threads_of_fit

        with threads_of_fit(run), contextlib.ExitStack() as stack:
            for callback in run.callbacks:
                callback.start(run, run.epochs - len(self.history), len(run.train), run.batch_size)
                stack.callback(callback.end, run)
            for epoch in range(len(self.history) + 1, run.epochs + 1):
                if self.stopped:
                    break
                run.began = time.perf_counter() - run.seconds
                train_loss = one_epoch(epoch)
                if train_loss is None:
                    ranks.gather_accumulated(self)
                    break
                self.history.rows.append(self._row(run, epoch, train_loss, valid))
                run.losses, run.seconds = [], 0.0
                for callback in run.callbacks:
                    callback.epoch(run, self.history.rows[-1])
                self.stopped = self.communicator.first_text(self.stopped)
                ranks.check_weights(self)
            for callback in run.callbacks:
                callback.finish(run)

    def save_state(self, path: str | Path) -> None:
        """`Run.save_state` of the fit under way. Raises UsageError outside a fit."""
        if self.run is None:
            raise UsageError("Trainer.save_state outside a fit", fix="fit(..., callbacks=[Checkpoint(path)])")
        self.run.save_state(path)

    def _row(self, run: Run, epoch: int, train_loss: float, valid: tuple[Any, Any] | None) -> Row:
        seconds = time.perf_counter() - run.began
        scores = ranks.evaluate(self, *valid, run.metrics) if valid is not None else {}
        several = isinstance(self.loss, MultiOutputLoss)
        names = [*(accuracies(self.loss) if several else ()), *run.metrics]
        more = {name: as_number(name, scores[name]) for name in names} if valid is not None else {}
        found = {} if run.tally is None else dict(zip(accuracies(self.loss), run.tally.shares, strict=True))
        row = Row(
            epoch,
            train_loss,
            scores.get("loss"),
            scores.get("accuracy"),
            self.lr,
            seconds,
            False,
            found.pop("accuracy", None),
            more,
            found,
        )
        champion = next((one for one in reversed(self.history.rows) if one.best), None)
        return replace(row, best=champion is None or self.history.score(row) > self.history.score(champion))

    def _hold_out(self, y: Any, validation: Any) -> tuple[np.ndarray[Any, Any] | range, Any]:
        if is_pair_or_nothing(validation):
            return range(count(y)), None  # as numbers they would take 8 bytes for each sample
        classes = self.loss.kind in ("classes", "binary", "several")
        return hold_out(
            y if classes else tree_map(lambda _, a: a.astype(np.float64), y), validation, self.model.seed
        )

    def _slice(self, x: Any, y: Any, held: np.ndarray[Any, Any]) -> tuple[Any, Any]:
        be = self.model.backend
        with be.device_context():
            rows = be.asarray(held)
            x = tree_map(
                lambda _, a: a.subset(held) if isinstance(a, StoredArray) else gather(be, a, rows), x
            )
            return x, self.model.targets(tree_map(lambda _, a: a[held], y))

    def _given(self, validation: Any) -> tuple[Any, Any] | None:
        if not isinstance(validation, tuple | list):
            return None
        x, y = self.model.check_xy(validation[0], validation[1], self.loss, "validation ")
        return x, self.model.targets(y)

    epochs = of_run("epochs", 0)
    began = of_run("began", 0.0)
    seconds = of_run("seconds", 0.0)
    callbacks = of_run("callbacks", ())
    losses = of_run("losses", ())
    batch = of_run("batch", tuple)
    sync = of_run("sync", lambda: None)


def hold_out(y: Any, validation: Any, seed: int) -> tuple[np.ndarray[Any, Any], Any]:
    """Return the training samples and the validation samples (None without validation) for that seed."""
    if is_pair_or_nothing(validation):
        return np.arange(count(y)), None
    validation = int(validation) if isinstance(validation, np.integer) else validation
    strata = y[0] if isinstance(y, tuple) else y  # of several targets the first
    return stratified_split(strata, validation, host_rng(seed, "validation"))


def is_pair_or_nothing(validation: Any) -> bool:
    """Whether `validation` is a pair (x, y), or leaves nothing held out."""
    return validation is None or isinstance(validation, tuple | list) or validation == 0


def as_number(name: str, value: Any) -> float:
    """Return a metric's value as one number. Raises UsageError where it is an array."""
    if np.ndim(value):
        raise UsageError(
            f"the metric {name!r} is an array {np.shape(value)}, and a row of the history has numbers",
            fix="average='macro', or evaluate(x, y, metrics=...) after training",
        )
    return float(value)


def is_plain(validation: Any) -> bool:
    """Whether it is nothing, a number or a pair of arrays; else it may be batches, or a mistake that is named."""
    plain = isinstance(validation, tuple | list | bool | int | float | np.number | str | dict | None)
    batches = isinstance(validation, Batches) or hasattr(validation, "__iter__")
    return plain or hasattr(validation, "shape") or not batches


def check_count(name: str, value: Any) -> int:
    """Return a whole number of at least 1. Raises UsageError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise UsageError(f"{name}={value!r}: wanted a whole number of at least 1")
    return int(value)


def check_validation(validation: Any) -> None:
    """Return None, a number, or a pair (x, y). Raises UsageError for anything else."""
    if isinstance(validation, tuple | list):
        if len(validation) != 2:
            raise UsageError(f"validation holds {len(validation)} arrays", fix="validation=(x, y)")
    elif isinstance(validation, bool) or not isinstance(validation, int | float | np.number | None):
        raise UsageError(
            f"validation is a {type(validation).__name__}",
            fix="a share such as 0.1, a number of samples, or a pair (x, y)",
        )
