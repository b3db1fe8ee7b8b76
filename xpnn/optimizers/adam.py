"""Adam and AdamW."""

from dataclasses import KW_ONLY, dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State, bias_correction
from xpnn.settings import BelowOne, Positive


@dataclass(frozen=True)
class Adam(Elementwise):
    """m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
    theta <- theta - lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps).

    eps is added after the bias correction, as in the paper's algorithm 1 and in PyTorch, not before it (eps-hat).
    Source: Kingma and Ba, ICLR 2015.
    """

    lr: float = 1e-3
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    eps: Positive = 1e-8

    @property
    def slots(self) -> dict[str, float]:
        return {"m": 0.0, "v": 0.0}

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        root = be.xp.sqrt(bias_correction(be, self.beta2, t))
        return {"rate": lr / bias_correction(be, self.beta1, t), "root": root}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        m, v = slots
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        return theta - s["rate"] * m / (be.xp.sqrt(v) / s["root"] + self.eps), m, v


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, 0.01 by default. Source: Loshchilov and Hutter, ICLR 2019."""

    _: KW_ONLY
    weight_decay: float = 0.01
