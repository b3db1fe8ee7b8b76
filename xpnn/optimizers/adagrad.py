"""The optimizer AdaGrad."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State
from xpnn.settings import AtLeastZero, Positive


@dataclass(frozen=True)
class AdaGrad(Elementwise):
    """G <- G + g^2; theta <- theta - lr / (1 + (t - 1) lr_decay) g / (sqrt(G) + eps).

    Source: Duchi, Hazan, Singer, JMLR 12 (2011).
    """

    lr: float = 1e-2
    lr_decay: AtLeastZero = 0.0
    initial: AtLeastZero = 0.0
    eps: Positive = 1e-10

    @property
    def slots(self) -> dict[str, float]:
        return {"G": self.initial}

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        return {"lr": lr / (1 + (t - 1) * self.lr_decay)}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        G = slots[0] + g * g
        return theta - s["lr"] * g / (be.xp.sqrt(G) + self.eps), G
