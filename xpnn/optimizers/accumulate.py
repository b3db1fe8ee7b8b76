"""Gradient accumulation."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import State
from xpnn.optimizers.wrapper import Wrapper


@dataclass(frozen=True)
class Accumulate(Wrapper):
    """One update of `optimizer` with the mean gradient of every `steps` steps: a batch `steps` times as large.

    Between updates theta rests. t, and so a schedule, counts every step; the optimizer inside counts its updates.
    """

    steps: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 1:
            raise UsageError(f"Accumulate(steps={self.steps}): wanted at least 1")

    def begin(self, be: Backend, theta: Array) -> State:
        """The sum of the gradients since the last update."""
        return {"sum": be.xp.zeros_like(theta)}

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """Adds the gradient; every `steps` steps, updates."""
        total, t = state["sum"] + grad, state["t"] + 1

        def then(tree: State) -> State:
            inner = {name: a for name, a in tree.items() if name != "theta"}
            inner = inner | {"t": state["t"] // self.steps}
            theta, inner = self.optimizer.update(be, tree["theta"], total / self.steps, inner)
            return {**inner, "theta": theta, "t": t, "sum": be.xp.zeros_like(total)}

        new = be.cond(t % self.steps == 0, then, {**state, "theta": theta, "t": t, "sum": total})
        return new["theta"], {name: a for name, a in new.items() if name != "theta"}
