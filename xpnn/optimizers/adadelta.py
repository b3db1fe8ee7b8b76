"""The optimizer Adadelta."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State
from xpnn.settings import BelowOne, Positive


@dataclass(frozen=True)
class Adadelta(Elementwise):
    """S <- rho S + (1 - rho) g^2; d = sqrt(D + eps) / sqrt(S + eps) g; D <- rho D + (1 - rho) d^2;
    theta <- theta - lr d.

    PyTorch's form (torch.optim.Adadelta); the paper has lr = 1 and rho = 0.95. eps starts the motion, so it is above 0.
    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """

    lr: float = 1.0
    rho: BelowOne = 0.9
    eps: Positive = 1e-6

    @property
    def slots(self) -> dict[str, float]:
        return {"S": 0.0, "D": 0.0}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        S, D = slots
        S = self.rho * S + (1 - self.rho) * g * g
        d = be.xp.sqrt(D + self.eps) / be.xp.sqrt(S + self.eps) * g
        D = self.rho * D + (1 - self.rho) * d * d
        return theta - s["lr"] * d, S, D
