"""Constraints on parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Optimizer, State
from xpnn.optimizers.constraints import Constraint
from xpnn.optimizers.patterns import fits, fitting
from xpnn.optimizers.wrapper import Wrapper
from xpnn.parameters import ParamInfo


@dataclass(frozen=True)
class Constrained(Wrapper):
    """theta <- P(theta) after every step of `optimizer`, where P projects the parameters that `constraints` name.

    Constrained(SGD(0.1), [MaxNorm("*.W", 3.0), NonNegative("0.W")]): where several fit one parameter, all hold
    it, one after the other. Frozen parameters are left as they are. Around Lookahead and averages it constrains
    the weights that are trained; inside them, those that they see.
    Raises UsageError for a pattern that fits no parameter, and for an axis that a parameter has not.
    """

    constraints: tuple[Constraint, ...]

    if TYPE_CHECKING:  # a list is as good as a tuple

        def __init__(self, optimizer: Optimizer, constraints: Sequence[Constraint]) -> None: ...

    def bind(self, params: tuple[ParamInfo, ...]) -> Optimizer:
        """Each constraint checks the parameters that its pattern fits."""
        by_path = {param.path: param for param in params}
        for constraint in self.constraints:
            for path in fitting(constraint.pattern, by_path):
                constraint.check(by_path[path])
        return super().bind(params)

    def begin(self, be: Backend, theta: Array) -> State:
        """Nothing. Raises UsageError before `bind`."""
        self.bound_params()
        return {}

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        theta, new = self.optimizer.update(be, theta, grad, state)
        _, moved = self.moved(be, state, new)
        held = be.xp.concat([self.project(be, theta, param) for param in self.params])
        return held if moved is True else be.xp.where(moved, held, theta), new

    def project(self, be: Backend, theta: Array, param: ParamInfo) -> Array:
        """The part of theta that is this parameter, projected, flat."""
        w = be.xp.reshape(theta[param.start : param.stop], param.shape)
        for constraint in self.constraints:
            if param.lr and fits(param.path, constraint.pattern):
                w = constraint.project(be, w)
        return be.xp.reshape(w, (-1,))
