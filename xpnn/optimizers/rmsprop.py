"""The optimizer RMSProp."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State
from xpnn.settings import BelowOne, Positive


@dataclass(frozen=True)
class RMSProp(Elementwise):
    """S <- rho S + (1 - rho) g^2; theta <- theta - lr g / (sqrt(S) + eps).

    centered: S - M^2 under the root, with M <- rho M + (1 - rho) g. momentum: v <- momentum v + (the step without lr);
    theta <- theta - lr v. Source: Hinton, Coursera lecture 6e (2012); Graves 2013 for the centered form.
    """

    lr: float = 1e-2
    rho: BelowOne = 0.99
    eps: Positive = 1e-8
    momentum: BelowOne = 0.0
    centered: bool = False

    @property
    def slots(self) -> dict[str, float]:
        return {"S": 0.0} | ({"M": 0.0} if self.centered else {}) | ({"v": 0.0} if self.momentum else {})

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        S = self.rho * slots[0] + (1 - self.rho) * g * g
        new, spread = [S], S
        if self.centered:
            M = self.rho * slots[1] + (1 - self.rho) * g
            spread = S - M * M
            # A variance; rounding takes it below 0 once the gradient has long been constant (PyTorch: NaN from there).
            new, spread = [S, M], be.xp.where(spread < 0, be.xp.zeros_like(spread), spread)
        step = g / (be.xp.sqrt(spread) + self.eps)
        if self.momentum:
            step = self.momentum * slots[-1] + step
            new.append(step)
        return (theta - s["lr"] * step, *new)
