"""Training in shuffled batches, a step for each: the ordinary epoch."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.data.batches import Slices
from xpnn.kernels import Array
from xpnn.parameters import gather, leaves
from xpnn.training.diverged import explain_divergence, explain_overflow, not_finite
from xpnn.training.run import Callback, Run

LOOK = 32
"""Steps between two looks at the losses: each look waits for the device."""


class MiniBatches:
    """One pass over the data in shuffled batches, from the first of which the run has no loss yet."""

    def __init__(self, run: Run) -> None:
        self.run, self.trainer, self.data = run, run.trainer, run.data
        self.cuts = list(Slices(len(run.train), run.batch_size))
        self.order: Any = run.train
        self.number, self.waiting = 0, list[Array]()
        run.sync = self.sync

    def __call__(self, epoch: int) -> float | None:
        """The loss of the epoch; None where a callback stopped the run inside it."""
        run, be, samples = self.run, self.trainer.model.backend, len(self.run.train)
        self.order, self.number = run.order(epoch), epoch
        each_step = [callback for callback in run.callbacks if type(callback).step is not Callback.step]
        done = len(run.losses)
        resident = all(be.owns(a) for _, a in leaves(self.data) if a is not None)
        at_once = resident and isinstance(self.order, np.ndarray)
        values = self._indexed(done) if at_once else self._streamed(done)
        for cut, value in zip(self.cuts[done:], values, strict=True):
            run.batch = functools.partial(self.batch, cut)
            self.waiting.append(value)
            if len(self.waiting) == LOOK or cut.stop == samples:
                self.sync()
                for callback in run.callbacks:
                    callback.progress(epoch, cut.stop, run.losses[-1])
            for callback in each_step:
                callback.step(run)
            if run.stopped:
                self.sync()
                return None
        sizes = [cut.stop - cut.start for cut in self.cuts]
        return run.loss.over_batches(run.losses, sizes)

    def _indexed(self, done: int) -> Iterator[Array]:
        """The losses, from batch number `done` on, of data on the device: the order goes there once."""
        trainer, be = self.trainer, self.trainer.model.backend
        with be.device_context():
            start = sum(cut.stop - cut.start for cut in self.cuts[:done])
            position = be.scalar(start, be.xp.int64), be.asarray(self.order)
        for cut in self.cuts[done:]:
            if cut is self.cuts[-1]:
                trainer.end_epoch()
            value, position = trainer.indexed_step(self.data, position, cut.stop - cut.start)
            yield value

    def _streamed(self, done: int) -> Iterator[Array]:
        """The same batches of data that stays on the host: the next rows are sent while the last ones are used."""
        trainer, be = self.trainer, self.trainer.model.backend
        x, *rest = self.data
        cuts = self.cuts[done:]

        def stream(a: Any) -> Iterator[Array]:
            if be.owns(a):
                return (gather(be, a, be.asarray(self.order[cut])) for cut in cuts)
            return be.uploads(a[self.order[cut]] for cut in cuts)

        batches = zip(*map(stream, x), strict=True) if isinstance(x, tuple) else stream(x)
        for cut in cuts:
            with be.device_context():
                batch, given = next(batches), gather(be, tuple(rest), be.asarray(self.order[cut]))
            if cut is cuts[-1]:
                trainer.end_epoch()
            yield trainer.step(batch, *given)

    def batch(self, cut: slice) -> tuple[Any, ...]:
        """(x, y, weight) of those samples of the epoch."""
        be = self.trainer.model.backend
        return tuple(gather(be, self.data, be.asarray(self.order[cut])))

    def sync(self) -> None:
        """Read the losses that are waiting. Raises DivergedError where one is not finite, or the weights are not."""
        trainer, be, losses = self.trainer, self.trainer.model.backend, self.run.losses
        if not self.waiting:
            return
        with be.device_context():
            losses += be.to_numpy(be.xp.stack(self.waiting)).tolist()
        self.waiting = []
        if not np.isfinite(losses).all():
            bad = int(np.argmin(np.isfinite(losses)))
            rows = be.asarray(self.order[self.cuts[bad]])
            raise explain_divergence(trainer, self.number, bad + 1, losses, self.data, rows)
        if lost := self._overflown():
            raise explain_overflow(trainer, self.number, len(losses), lost[0])

    def _overflown(self) -> list[str]:
        be, theta = self.trainer.model.backend, self.trainer.model.theta
        with be.device_context():
            return [] if be.all_finite(theta) else not_finite(self.trainer, theta)
