"""Optimizers around an optimizer."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import Optimizer, State
from xpnn.optimizers.lbfgs import LBFGS


@dataclass(frozen=True)
class Wrapper(Optimizer):
    """Does what `optimizer` does, and more. Its arrays stand in the same flat state, under names of their own."""

    optimizer: Optimizer

    def __post_init__(self) -> None:
        super().__post_init__()
        inner = self.optimizer
        while isinstance(inner, Wrapper):
            if type(inner) is type(self):
                name = type(self).__name__
                raise UsageError(f"{name} inside {name}", why="both would keep their state under one name")
            inner = inner.optimizer
        if isinstance(inner, LBFGS):
            raise UsageError(
                f"{type(self).__name__} around LBFGS",
                why="it makes no steps from single gradients that could be wrapped",
                fix="use LBFGS alone",
            )

    @property
    def lr(self) -> float:
        """Of the optimizer inside."""
        return self.optimizer.lr

    @property
    def slots(self) -> dict[str, float]:
        """Of the optimizer inside."""
        return self.optimizer.slots

    @property
    def penalised(self) -> bool:
        """Of the optimizer inside."""
        return self.optimizer.penalised

    def init(self, be: Backend, theta: Array, decay: Array | None = None) -> State:
        """The inner state with this one's arrays."""
        return self.optimizer.init(be, theta, decay) | self.begin(be, theta)

    def begin(self, be: Backend, theta: Array) -> State:
        """This one's own arrays before the first step. A subclass gives each memory of its own: theta is given away."""
        raise NotImplementedError
