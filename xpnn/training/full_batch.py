"""Training on the whole data at once, for optimizers that choose their own points: one iteration is an epoch."""

from collections.abc import Iterator
from typing import Any

from xpnn.data.batches import Slices
from xpnn.distributed.shared_backend import reducing_backend
from xpnn.distributed.shares import own_rows
from xpnn.kernels import Array
from xpnn.optimizers import LBFGS
from xpnn.optimizers.lbfgs_search import Descent
from xpnn.parameters import gather
from xpnn.training.history import Tally
from xpnn.training.run import Run


class FullBatch:
    """The loss over all samples as one function of theta, and the descent on it.

    The function must give the same value twice, so nothing in it changes during a run: the samples keep the order of
    the first epoch, part k of them draws its random numbers (dropout's masks) at tick k, at every point, and BatchNorm
    sees each part by itself. Its running statistics are those of the points that were kept.
    """

    def __init__(self, run: Run, rule: LBFGS) -> None:
        self.run, self.rule, trainer = run, rule, run.trainer
        be, samples = trainer.model.backend, len(run.train)
        order = run.order(1)
        batches, group = [order[part] for part in Slices(samples, run.batch_size)], trainer.communicator
        self.be = be
        self.parts: list[tuple[Array, tuple[Any, ...]]] = [(be.asarray(rows), ()) for rows in batches]
        self.labels = trainer.counts(run.data[1])
        count = bool(self.labels)
        gradient, static = trainer.objective.gradient(fuse=True, count=count), False
        divisor = trainer.objective.divisor()
        if group.size > 1:
            self.be, static = reducing_backend(be, group), True
            shares = [own_rows(group, rows, trainer.augment is not None) for rows in batches]
            self.parts = [(be.asarray(rows), (share,)) for rows, share in shares]
            gradient = trainer.shared_objective.gradient(fuse=True, add=False, count=count)
            divisor = trainer.shared_objective.divisor()
        self._part = trainer.compile(gradient, static=(7,) if static else ())
        self._divisor = trainer.compile(divisor, static=(4,) if static else ())
        with be.device_context():
            self.total = self._total()
            self.descent = self._begin()

    def __call__(self, epoch: int) -> float:
        """Make one iteration; return the mean loss at the new point, without the penalty."""
        trainer, model = self.run.trainer, self.run.model
        with model.backend.device_context():
            if model.theta is not self.descent.point.theta:  # the weights were replaced from outside
                self.descent = self._begin()
            self.descent.advance()
        point = self.descent.point
        model.theta, model.phi = point.theta, point.rest[0]
        trainer.state = self.descent.state
        if self.labels:
            self.run.tally = Tally()
            self.run.tally.add(model.backend.to_numpy(point.rest[1])[None], self.labels * len(self.run.train))
        trainer.lr, trainer.stopped = self.descent.step, self.descent.reason
        trainer.steps += 1
        for callback in self.run.callbacks:
            callback.progress(epoch, len(self.run.train), point.loss)
        return point.loss

    def _begin(self) -> Descent:
        model = self.run.model
        return Descent(self.rule, model.backend, self._whole, model.theta, self.run.state)

    def _given(self) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
        """The tick, samples, targets and weights of each part; and its share, where several processes share it."""
        be = self.run.model.backend
        for tick, (rows, share) in enumerate(self.parts):
            yield (be.scalar(tick, be.xp.int64), *gather(be, self.run.data, rows)), share

    def _total(self) -> Array:
        """The divisor of the mean over all samples: no part has it to itself."""
        total = sum(self._divisor(*given, *share) for given, share in self._given())
        return self.run.model.backend.xp.where(total > 0, total, total + 1)

    def _whole(self, theta: Array) -> tuple[Array, ...]:
        """Loss, gradient, running statistics, hits where there are labels: over all parts, and all processes."""
        be, xp, phi = self.run.model.backend, self.run.model.backend.xp, self.run.model.phi
        value, grad, all_hits = be.scalar(0.0, xp.float64), xp.zeros_like(theta), be.scalar(0.0, xp.float64)
        for given, share in self._given():
            more, slope, phi = self._part(theta, phi, *given, self.total, *share)
            if self.labels:
                more, hits = more
                all_hits = all_hits + xp.astype(hits, xp.float64)
            value, grad = value + xp.astype(more, xp.float64), grad + slope
        counts = (self.be.all_reduce(all_hits),) if self.labels else ()
        return self.be.all_reduce(value), self.be.all_reduce(grad), phi, *counts
