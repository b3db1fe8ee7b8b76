"""Mini-batch training: one step for each batch of the shuffled data."""

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.backends.share import Share
from xpnn.data.batches import Slices
from xpnn.distributed.shares import own_rows
from xpnn.kernels import Array
from xpnn.parameters import gather
from xpnn.read_ahead import read_ahead
from xpnn.stored_array import StoredArray
from xpnn.temporary_files import is_mapped
from xpnn.training import ranks
from xpnn.training.diverged import explain_divergence, explain_overflow, not_finite
from xpnn.training.history import Tally
from xpnn.training.run import Callback, Run
from xpnn.trees import leaves

LOOK = 32
"""Steps between two looks at the losses: each look waits for the device."""
LARGE = 1 << 30
"""Bytes of samples in a mapped file from which on they are read ahead: the system does not keep them in memory."""


class MiniBatches:
    """One pass over the data in shuffled batches, starting at the first one that the run has not done."""

    def __init__(self, run: Run) -> None:
        self.run, self.trainer, self.data = run, run.trainer, run.data
        self.cuts = list(Slices(len(run.train), run.batch_size))
        self.order: Any = run.train
        self.number, self.waiting, self.hits = 0, list[Array](), list[Array]()
        self.labels = run.trainer.counts(run.data[1])
        run.sync = self.sync
        self.group, self.mixing = run.trainer.communicator, run.trainer.augment is not None
        each_step = any(type(callback).step is not Callback.step for callback in run.callbacks)
        self.may_stop = self.group.any(each_step)

    def __call__(self, epoch: int) -> float | None:
        """Train for an epoch; return its loss, or None if a callback stopped the run inside it."""
        run, be, samples = self.run, self.trainer.model.backend, len(self.run.train)
        self.order, self.number = run.order(epoch), epoch
        each_step = [callback for callback in run.callbacks if type(callback).step is not Callback.step]
        done = len(run.losses)
        run.tally = run.tally if done else Tally() if self.labels else None
        resident = all(be.owns(a) for _, a in leaves(self.data) if a is not None)
        resident = resident and not any(is_far(a) for _, a in leaves(self.data[0]))
        at_once = resident and isinstance(self.order, np.ndarray)
        values = self._indexed(done) if at_once else self._streamed(done)
        for cut, value in zip(self.cuts[done:], values, strict=True):
            run.batch = functools.partial(self.batch, cut)
            if self.labels:
                value, hits = value
                self.hits.append(hits)
            self.waiting.append(value)
            if len(self.waiting) == LOOK or cut.stop == samples:
                self.sync()
                for callback in run.callbacks:
                    callback.progress(epoch, cut.stop, run.losses[-1])
            for callback in each_step:
                callback.step(run)
            if self.agree():
                self.sync()
                return None
        sizes = [cut.stop - cut.start for cut in self.cuts]
        return run.loss.over_batches(run.losses, sizes)

    def agree(self) -> bool:
        """Whether the run ends here: on every rank, where it is to end on one."""
        run = self.run
        if self.may_stop and self.group.any(bool(run.stopped)):
            run.stopped = self.group.first_text(run.stopped)
        return bool(run.stopped)

    def _part(self, cut: slice) -> tuple[np.ndarray[Any, Any], Share | None]:
        """The samples of a batch, and of several processes this one's share in it."""
        rows = self.order[cut]
        return (rows, None) if self.group.size == 1 else own_rows(self.group, rows, self.mixing)

    def _indexed(self, done: int) -> Iterator[Any]:
        """Yield the losses from batch number `done` on, for data on the device: only the order is sent, once."""
        trainer, be = self.trainer, self.trainer.model.backend
        parts = [self._part(cut) for cut in self.cuts]
        with be.device_context():
            start = sum(len(rows) for rows, _ in parts[:done])
            order = self.order if self.group.size == 1 else np.concatenate([rows for rows, _ in parts])
            position = be.scalar(start, be.xp.int64), be.asarray(order)
        for i, (rows, share) in enumerate(parts[done:], done + 1):
            if i == len(parts):
                trainer.end_epoch()
            count = bool(self.labels)
            value, position = trainer.indexed_step(self.data, position, len(rows), share, count=count)
            yield value

    def _streamed(self, done: int) -> Iterator[Any]:
        """Yield the same losses for data on the host: the next rows are sent while the last ones are used."""
        trainer, be = self.trainer, self.trainer.model.backend
        x, *rest = self.data
        cuts = self.cuts[done:]

        def stream(a: Any) -> Iterator[Array]:
            rows = (self._part(cut)[0] for cut in cuts)
            if isinstance(a, StoredArray):
                return be.uploads(a.read(rows))
            if is_far(a):
                return be.uploads(read_ahead(a.__getitem__, rows, 1))
            if be.owns(a):
                return (gather(be, a, be.asarray(some)) for some in rows)
            return be.uploads(a[some] for some in rows)

        batches = zip(*map(stream, x), strict=True) if isinstance(x, tuple) else stream(x)
        for cut in cuts:
            some, share = self._part(cut)
            with be.device_context():
                batch, given = next(batches), gather(be, tuple(rest), be.asarray(some))
            if cut is cuts[-1]:
                trainer.end_epoch()
            if share is not None:
                yield trainer.part_step(batch, given[0], given[1], share, count=bool(self.labels))
            else:
                yield trainer.counted_step(batch, *given) if self.labels else trainer.step(batch, *given)

    def batch(self, cut: slice) -> tuple[Any, ...]:
        """Return (x, y, weight) of those samples of the epoch."""
        be = self.trainer.model.backend
        return tuple(gather(be, self.data, be.asarray(self.order[cut])))

    def sync(self) -> None:
        """Wait for the device and read the pending losses.

        Raises DivergedError where one is not finite, or the weights are not.
        """
        run, trainer, be = self.run, self.trainer, self.trainer.model.backend
        losses = run.losses
        if not self.waiting:
            return
        with be.device_context():
            losses += be.to_numpy(be.xp.stack(self.waiting)).tolist()
            if self.hits and run.tally is not None:
                run.tally.add(be.to_numpy(be.xp.stack(self.hits)), self.labels * self._samples(len(losses)))
        self.waiting, self.hits = [], []
        if not np.isfinite(losses).all():
            bad = int(np.argmin(np.isfinite(losses)))
            rows = be.asarray(self.order[self.cuts[bad]])
            raise explain_divergence(trainer, self.number, bad + 1, losses, self.data, rows)
        if trainer.steps // ranks.EVERY > (trainer.steps - LOOK) // ranks.EVERY:
            ranks.check_weights(trainer)
        if lost := self._overflown():
            raise explain_overflow(trainer, self.number, len(losses), lost[0])

    def _samples(self, done: int) -> int:
        """How many samples the batches have that wait to be read; the last of them is number `done` of the epoch."""
        first, last = self.cuts[done - len(self.waiting)], self.cuts[done - 1]
        return int(last.stop - first.start)

    def _overflown(self) -> list[str]:
        be, theta = self.trainer.model.backend, self.trainer.model.theta
        with be.device_context():
            return [] if be.all_finite(theta) else not_finite(self.trainer, theta)


def is_far(a: Any) -> bool:
    """Whether samples are in a mapped file of which much has to come from the disk."""
    return is_mapped(a) and a.nbytes >= LARGE
