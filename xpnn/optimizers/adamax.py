"""The optimizer Adamax."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State, bias_correction
from xpnn.settings import BelowOne, Positive


@dataclass(frozen=True)
class Adamax(Elementwise):
    """m <- beta1 m + (1 - beta1) g; u <- max(beta2 u, |g| + eps); theta <- theta - lr / (1 - beta1^t) m / u.

    PyTorch's form (torch.optim.Adamax). With eps = 0 a weight whose gradient has always been 0 divides 0 by 0, so eps
    is above 0. Source: Kingma and Ba, ICLR 2015, section 7.1.
    """

    lr: float = 2e-3
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    eps: Positive = 1e-8

    @property
    def slots(self) -> dict[str, float]:
        return {"m": 0.0, "u": 0.0}

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        return {"rate": lr / bias_correction(be, self.beta1, t)}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        m, u = slots
        m = self.beta1 * m + (1 - self.beta1) * g
        u = be.xp.maximum(self.beta2 * u, be.xp.abs(g) + self.eps)
        return theta - s["rate"] * m / u, m, u
