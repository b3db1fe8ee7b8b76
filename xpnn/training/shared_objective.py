"""What several processes make small together: each computes its rows of a batch, and the gradients are added up."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from xpnn import fusion
from xpnn.backends.base import Backend
from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.loss import numbers_of
from xpnn.distributed.shared_backend import add_gradient, backend_for_share, reducing_backend
from xpnn.kernels import Array
from xpnn.optimizers import Accumulate, Optimizer
from xpnn.optimizers.base import State
from xpnn.optimizers.wrapper import Wrapper
from xpnn.training.step import Objective, Position, updater


@dataclass(frozen=True)
class SharedObjective(Objective):
    """An Objective whose functions take a last argument more: the Share of the batch that the arrays are.

    All ranks call them together, with their own rows, and get the same results: those of the whole batch.
    """

    group: Communicator = field(default_factory=Communicator)

    def part(self, share: Share) -> Objective:
        """The objective of one process, computed of that share."""
        be = backend_for_share(self.be, self.group, share)
        return Objective(self.net, self.loss, self.layout, be, self.seed, self.mixing)

    def gradient(  # type: ignore[override]
        self, *, keep: bool = False, fuse: bool = False, add: bool = True, count: bool = False
    ) -> Callable[..., tuple[Any, Array, Array]]:
        """gradient(theta, phi, tick, x, y, weight, total, share) -> loss, its gradient, new phi, of the whole batch.

        add: False leaves loss and gradient as this rank's part; the parts add up to the whole. count: (loss, hits) in
        place of the loss, as `counted` gives them.
        """
        be, group, size = reducing_backend(self.be, self.group), self.group, self.layout.size["theta"]
        memory = self.be.buffer(size + numbers_of(self.loss)) if keep else None
        buffer = None if memory is None else self.layout.gradient_buffer(self.be, memory[:size])
        parts: dict[Share, Callable[..., Any]] = {}

        def gradient(
            theta: Array,
            phi: Array,
            tick: Array,
            x: Any,
            y: Any,
            weight: Array | None,
            total: Array | None,
            share: Share,
        ) -> tuple[Any, Array, Array]:
            if share not in parts:
                parts[share] = self.part(share).gradient(fuse=fuse, buffer=buffer, count=count)
            value, grad, new_phi = parts[share](theta, phi, tick, x, y, weight, total)
            numbers, out = packed(be, value), memory
            if share.rows == share.total:  # computed by every rank, and counted once
                numbers, grad, out = be.once(numbers), be.once(grad), None if group.rank else memory
            elif new_phi is not phi and group.batch_norm == "local":
                new_phi = be.all_reduce(new_phi * (share.rows / share.total))
            if add:
                numbers, grad = add_gradient(be, out, grad, numbers)
            return unpacked(be, numbers), grad, new_phi

        return gradient

    def divisor(self) -> Callable[..., Array]:
        """divisor(tick, x, y, weight, share): of the whole batch."""
        part = functools.cache(lambda share: self.part(share).divisor())
        return lambda tick, x, y, weight, share: part(share)(tick, x, y, weight)

    def step(
        self, optimizer: Optimizer, *, fuse: bool = True, count: bool = False
    ) -> Callable[..., tuple[Any, Array, Array, State]]:
        """step(theta, phi, state, x, y, weight, share) -> loss, theta, phi, state; count: (loss, hits) for the loss.

        With Accumulate the gradients of its steps are added up by each rank for itself, and over the ranks once for
        each update; of the other steps the loss and the hits are sent. Not so with JAX under MPI, whose compiled
        conditions hold no calls to the host: there the gradients are sent at every step.
        """
        once = accumulates(optimizer) and (self.be.name != "jax" or self.group.engine == "jax")
        be = reducing_backend(self.be, self.group) if once else self.be
        gradient = self.gradient(keep=True, fuse=fuse, add=not once, count=count)
        divisor = self.divisor()
        update = updater(fusion.fuse_optimizer(optimizer) if fuse else optimizer, be)

        def step(
            theta: Array, phi: Array, state: State, x: Any, y: Any, weight: Array | None, share: Share
        ) -> tuple[Any, Array, Array, State]:
            value, grad, new_phi = gradient(theta, phi, state["t"], x, y, weight, None, share)
            if "divisor" in state:
                total = divisor(state["t"], x, y, weight, share)
                state = {**state, "divisor": total if total.ndim == 0 else total[0]}
            if once:
                good, numbers = be.all_finite(grad), packed(be, value)
                loss = be.nan_unless(good, numbers[:1])
                value = unpacked(be, be.all_reduce(be.xp.concat([loss, numbers[1:]])))
                grad = be.xp.where(good, grad, be.xp.zeros_like(grad))
            value, *hits = value if count else (value,)
            value, theta, phi, state = update(theta, phi, state, value, grad, new_phi)
            return (value, *hits) if count else value, theta, phi, state

        return step

    def indexed_step(
        self, optimizer: Optimizer, *, fuse: bool = True, count: bool = False
    ) -> Callable[..., tuple[Any, ...]]:
        """indexed(theta, phi, state, position, data, n, share): the n rows of the data that come next are the share."""
        rescale, rest = fusion.split_rescale(self.net) if fuse and self.mixing is None else (None, self.net)
        step = replace(self, net=rest).step(optimizer, fuse=fuse, count=count)

        def indexed(
            theta: Array,
            phi: Array,
            state: State,
            position: Position,
            data: tuple[Any, ...],
            n: int,
            share: Share,
        ) -> tuple[Any, ...]:
            x, y, weight, position = self.rows(position, data, n, rescale)
            return *step(theta, phi, state, x, y, weight, share), position

        return indexed


def packed(be: Backend, value: Any) -> Array:
    """A loss, or (loss, hits), as a vector of at most `numbers_of` the loss, for one message. Hits: exact to 2^24."""
    loss, *hits = value if isinstance(value, tuple) else (value,)
    return be.xp.concat([be.xp.reshape(be.xp.astype(a, loss.dtype), (-1,)) for a in (loss, *hits)])


def unpacked(be: Backend, numbers: Array) -> Any:
    """The loss, or (loss, hits), of which that vector was made."""
    loss, hits = be.xp.reshape(numbers[:1], ()), numbers[1:]
    if not hits.shape[0]:
        return loss
    hits = be.xp.astype(hits, be.xp.int64)
    return loss, be.xp.reshape(hits, ()) if hits.shape[0] == 1 else hits


def accumulates(optimizer: Optimizer) -> bool:
    """Whether the optimizer is, or wraps, an Accumulate."""
    while isinstance(optimizer, Wrapper):
        if isinstance(optimizer, Accumulate):
            return True
        optimizer = optimizer.optimizer
    return False
