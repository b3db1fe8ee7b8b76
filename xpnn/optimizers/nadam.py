"""The optimizer NAdam."""

import math
from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.adam import Adam
from xpnn.optimizers.base import State, bias_correction
from xpnn.settings import AtLeastZero


@dataclass(frozen=True)
class NAdam(Adam):
    """Adam's m and v; mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2); P_t = mu_1 mu_2 ... mu_t;
    theta <- theta - lr ((1 - mu_t) / (1 - P_t) g + mu_(t+1) / (1 - P_(t+1)) m) / (sqrt(v / (1 - beta2^t)) + eps).

    PyTorch's form (torch.optim.NAdam). Source: Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """

    lr: float = 2e-3
    momentum_decay: AtLeastZero = 4e-3

    @property
    def carried(self) -> dict[str, float]:
        return {"P": 1.0}

    def mu(self, be: Backend, t: Array) -> Array:
        """The momentum of step t."""
        return self.beta1 * (1 - 0.5 * be.xp.exp(t * (self.momentum_decay * math.log(0.96))))

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        """The weights of g and m, and the correction of v."""
        mu, after = self.mu(be, t), self.mu(be, t + 1)
        P = state["P"] * mu
        root = be.xp.sqrt(bias_correction(be, self.beta2, t))
        return {"P": P, "of_g": lr * (1 - mu) / (1 - P), "of_m": lr * after / (1 - P * after), "root": root}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        m, v = slots
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        return theta - (s["of_g"] * g + s["of_m"] * m) / (be.xp.sqrt(v) / s["root"] + self.eps), m, v
