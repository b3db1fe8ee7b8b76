"""The optimizer AMSGrad."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.adam import Adam
from xpnn.optimizers.base import State


@dataclass(frozen=True)
class AMSGrad(Adam):
    """Adam's m and v; V <- max(V, v);
    theta <- theta - lr / (1 - beta1^t) m / (sqrt(V) / sqrt(1 - beta2^t) + eps).

    The maximum is taken before the bias correction, as in PyTorch's `Adam(amsgrad=True)`.
    Source: Reddi, Kale, Kumar, ICLR 2018.
    """

    @property
    def slots(self) -> dict[str, float]:
        """Adam's, then the largest second moment so far."""
        return super().slots | {"V": 0.0}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        m, v, V = slots
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        V = be.xp.maximum(V, v)
        return theta - s["rate"] * m / (be.xp.sqrt(V) / s["root"] + self.eps), m, v, V
