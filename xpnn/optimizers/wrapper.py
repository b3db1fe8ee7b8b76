"""Optimizers around an optimizer."""

from dataclasses import dataclass
from typing import ClassVar

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import Optimizer, State
from xpnn.optimizers.lbfgs import LBFGS
from xpnn.parameters import ParamInfo


@dataclass(frozen=True)
class Wrapper(Optimizer, abstract=True):
    """Does what `optimizer` does, and more. Its arrays stand in the same flat state, under names of their own."""

    optimizer: Optimizer

    outermost: ClassVar[bool] = False
    """Whether it must be the outermost wrapper."""

    def __post_init__(self) -> None:
        super().__post_init__()
        inner = self.optimizer
        while isinstance(inner, Wrapper):
            if type(inner) is type(self):
                name = type(self).__name__
                raise UsageError(f"{name} inside {name}", why="each kind has its names in the state once")
            if inner.outermost:
                name, other = type(self).__name__, type(inner).__name__
                raise UsageError(
                    f"{other} inside {name}",
                    why=f"{name} must treat each parameter as {other} says, too",
                    fix=f"{other}({name}(...), ...)",
                )
            inner = inner.optimizer
        if isinstance(inner, LBFGS):
            raise UsageError(
                f"{type(self).__name__} around LBFGS",
                why="it makes no steps from single gradients that could be wrapped",
                fix="use LBFGS alone",
            )

    @property
    def lr(self) -> float:
        return self.optimizer.lr

    def bind(self, params: tuple[ParamInfo, ...]) -> Optimizer:
        bound = super().bind(params)
        object.__setattr__(bound, "optimizer", self.optimizer.bind(params))
        return bound

    def init(self, be: Backend, theta: Array) -> State:
        return self.optimizer.init(be, theta) | self.begin(be, theta)

    def moved(self, be: Backend, old: State, new: State) -> tuple[Array, Array | bool]:
        """How many updates there have been, and whether the step from the old state to the new has made one."""
        if "updates" not in new:
            return new["t"], True
        return new["updates"], new["updates"] != old["updates"]

    def begin(self, be: Backend, theta: Array) -> State:
        """What the wrapper itself keeps, before the first step, in memory of its own: theta's is given away."""
        raise NotImplementedError
