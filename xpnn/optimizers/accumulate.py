"""Gradient accumulation."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import State
from xpnn.optimizers.wrapper import Wrapper
from xpnn.settings import Count

OWN = ("theta", "sum", "total", "waiting", "updates", "divisor", "last")
"""Entries of the state that the optimizer inside does not see."""


@dataclass(frozen=True)
class Accumulate(Wrapper):
    """One update of `optimizer` with the gradient of every `steps` steps together: a batch `steps` times as large.

    sum_i D_i g_i / sum_i D_i, where the loss of step i is a mean with the divisor D_i, such as the sum of its samples'
    weights; of losses that are sums, sum_i g_i. A training step sets D_i as state["divisor"]; it is 1 otherwise.
    The last step of an epoch of `Trainer.fit` makes an update too, as the last batch of an epoch may be short. Between
    updates theta rests. t, and so a schedule, counts every step; the optimizer inside and wrappers around it, updates.
    Raises UsageError for steps below 1; `fit` raises it for more steps than the run has batches.
    """

    steps: Count = 4

    def begin(self, be: Backend, theta: Array) -> State:
        """What has been summed since the last update, of how many steps; updates so far; what the step to come says."""
        none = be.scalar(0, be.xp.int64)
        return {
            "sum": be.xp.zeros_like(theta),
            "total": be.scalar(0.0),
            "waiting": none,
            "updates": none + 0,
            "divisor": be.scalar(1.0),
            "last": be.scalar(False, be.xp.bool),
        }

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """Adds the gradient; every `steps` steps, and at the last of an epoch, updates."""
        xp, D = be.xp, state["divisor"]
        waiting, due = state["waiting"] + 1, state["last"]
        due = due | (waiting >= self.steps)
        new = {
            **state,
            "theta": theta,
            "t": state["t"] + 1,
            "sum": state["sum"] + xp.where(D > 0, D, xp.ones_like(D)) * grad,
            "total": state["total"] + D,
            "waiting": waiting,
            "last": xp.zeros_like(state["last"]),
        }

        def then(tree: State) -> State:
            total, done = tree["total"], tree["updates"]
            grad = be.all_reduce(tree["sum"]) / xp.where(total > 0, total, xp.ones_like(total))
            inner = {name: a for name, a in tree.items() if name not in OWN} | {"t": done}
            theta, inner = self.optimizer.update(be, tree["theta"], grad, inner)
            empty = {name: xp.zeros_like(tree[name]) for name in ("sum", "total", "waiting")}
            return {**tree, **inner, **empty, "theta": theta, "t": tree["t"], "updates": done + 1}

        new = be.cond(due, then, new)
        return new["theta"], {name: a for name, a in new.items() if name != "theta"}
