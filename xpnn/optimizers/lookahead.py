"""The optimizer Lookahead."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import State
from xpnn.optimizers.wrapper import Wrapper
from xpnn.settings import Count, Factor


@dataclass(frozen=True)
class Lookahead(Wrapper):
    """After every k steps of `optimizer`: slow <- slow + alpha (theta - slow); theta <- slow.

    The slots of the optimizer inside go on as they are.
    Source: Zhang, Lucas, Hinton, Ba, "Lookahead optimizer: k steps forward, 1 step back", NeurIPS 2019.
    """

    k: Count = 5
    alpha: Factor = 0.5

    def begin(self, be: Backend, theta: Array) -> State:
        return {"slow": theta * 1}

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        xp, slow = be.xp, state["slow"]
        theta, new = self.optimizer.update(be, theta, grad, state)
        updates, moved = self.moved(be, state, new)
        back = updates % self.k == 0
        if moved is not True:  # where theta rests, so does slow, from which a constraint may have moved theta
            back = back & moved
        # slow - (slow - theta), as a weight that rests then keeps its bits, the sign of 0 among them.
        slow = xp.where(back, slow - self.alpha * (slow - theta), slow)
        return xp.where(back, slow, theta), {**new, "slow": slow}
