"""Averages of the weights, kept in the state as "average"; training itself is not changed by them."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import State
from xpnn.optimizers.wrapper import Wrapper
from xpnn.settings import BelowOne, Count, Index


@dataclass(frozen=True)
class Averaged(Wrapper, abstract=True):
    """Base class of averages: average <- average + share (theta - average) after every update."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inner = self.optimizer
        while isinstance(inner, Wrapper):
            if isinstance(inner, Averaged):
                raise UsageError(
                    f"{type(self).__name__} around {type(inner).__name__}: one average at a time"
                )
            inner = inner.optimizer

    def begin(self, be: Backend, theta: Array) -> State:
        """The average, at first theta itself."""
        return {"average": theta * 1}

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        theta, new = self.optimizer.update(be, theta, grad, state)
        updates, moved = self.moved(be, state, new)
        share = self.share(be, be.xp.astype(updates, be.dtype))
        share = share if moved is True else be.xp.where(moved, share, be.xp.zeros_like(share))
        return theta, {**new, "average": state["average"] - share * (state["average"] - theta)}

    def share(self, be: Backend, t: Array) -> Array:
        """How much of theta goes into the average at update t, from 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class EMA(Averaged):
    """average <- decay average + (1 - decay) theta; at the first step theta itself.

    Sources: Polyak and Juditsky 1992; as torch.optim.swa_utils with `get_ema_avg_fn`.
    """

    decay: BelowOne = 0.999

    def share(self, be: Backend, t: Array) -> Array:
        """1 at first, then 1 - decay."""
        first = be.xp.ones_like(t)
        return be.xp.where(t == 1, first, (1 - self.decay) * first)


@dataclass(frozen=True)
class SWA(Averaged):
    """The mean of theta after step start + every, start + 2 every, ...; until then theta itself.

    Best with a rate that stays high (Cyclic, or constant from `start` on). Running statistics, as of BatchNorm, are
    not averaged: the callback UseAverage measures them for the average. Source: Izmailov et al., "Averaging weights
    leads to wider optima and better generalization", UAI 2018.
    """

    start: Index = 0
    every: Count = 1

    def share(self, be: Backend, t: Array) -> Array:
        """1 / n for the n-th that is averaged, 1 before the first, 0 between two."""
        xp, past = be.xp, t - self.start
        n = xp.floor(past / self.every)
        one = xp.ones_like(t)
        between = xp.where(past == n * self.every, one / xp.where(n < 1, one, n), xp.zeros_like(t))
        return xp.where(past < self.every, one, between)
