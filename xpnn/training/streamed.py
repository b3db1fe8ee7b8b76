"""Training on batches that come ready made."""

import functools
from typing import Any

import numpy as np

from xpnn.kernels import Array
from xpnn.parameters import count
from xpnn.training.diverged import explain_divergence, explain_overflow, not_finite
from xpnn.training.history import Tally
from xpnn.training.run import Callback, Run
from xpnn.training.source import Source

LOOK = 8
"""Steps between two looks at the losses; so many batches are kept, to name what a bad one held."""


class StreamedBatches:
    """One epoch of a `Source`. Each batch is checked as it comes, and its samples count equally in the epoch's loss."""

    def __init__(self, run: Run, source: Source) -> None:
        self.run, self.source, self.number = run, source, 0
        self.waiting: list[tuple[Array, Any, tuple[Any, ...]]] = []
        self.sizes: list[int] = []
        run.sync = self.sync

    def __call__(self, epoch: int) -> float | None:
        """Train for an epoch; return its loss, or None if a callback stopped the run inside it."""
        run, steps = self.run, self.source.steps
        self.number, self.sizes, run.tally = epoch, [], Tally()
        each_step = [callback for callback in run.callbacks if type(callback).step is not Callback.step]
        for step, given in enumerate(self.source.epoch(epoch), 1):
            batch = self._checked(*given)
            run.batch = functools.partial(tuple, batch)
            self._train(batch, step == steps)
            if len(self.waiting) == LOOK or step == steps:
                self.sync()
                for callback in run.callbacks:
                    callback.progress(epoch, step, run.losses[-1])
            for callback in each_step:
                callback.step(run)
            if run.stopped:
                self.sync()
                return None
        return run.loss.over_batches(run.losses, self.sizes)

    def _checked(self, x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        model, loss = self.run.model, self.run.loss
        x, y = model.check_xy(x, y, loss)
        weight = model.check_sample_weight(weight, count(y), loss.positions(model.output_shape))
        return x, model.targets(y), weight

    def _train(self, batch: tuple[Any, Any, Any], last: bool) -> None:
        trainer, (x, y, weight) = self.run.trainer, batch
        labels = trainer.counts(y)
        if last:
            trainer.end_epoch()
        value, hits = trainer.counted_step(x, y, weight) if labels else (trainer.step(x, y, weight), None)
        if not labels:
            self.run.tally = None
        self.waiting.append((value, hits, batch))
        self.sizes.append(count(x))

    def sync(self) -> None:
        """Read the pending losses. Raises DivergedError where one is not finite, or the weights are not."""
        run, trainer, be = self.run, self.run.trainer, self.run.model.backend
        waiting, self.waiting = self.waiting, []
        for value, hits, batch in waiting:
            run.losses.append(float(be.to_numpy(value)))
            if not np.isfinite(run.losses[-1]):
                rows, bad = be.asarray(np.arange(count(batch[0]))), len(run.losses)
                raise explain_divergence(trainer, self.number, bad, run.losses, batch, rows)
            if hits is not None and run.tally is not None:
                run.tally.add(np.asarray(be.to_numpy(hits))[None], count(batch[1]) * trainer.counts(batch[1]))
        with be.device_context():
            lost = [] if be.all_finite(run.model.theta) else not_finite(trainer, run.model.theta)
        if waiting and lost:
            raise explain_overflow(trainer, self.number, len(run.losses), lost[0])
