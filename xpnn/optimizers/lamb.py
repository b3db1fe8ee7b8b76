"""The optimizer LAMB."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.kernels.length import length
from xpnn.optimizers.base import State, bias_correction
from xpnn.optimizers.layerwise import Layerwise, trust_ratio
from xpnn.parameters import ParamInfo
from xpnn.settings import BelowOne, Positive


@dataclass(frozen=True)
class LAMB(Layerwise):
    """m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
    u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay w; w <- w - lr |w| / |u| u.

    |.| is the length of one parameter: a W, a b. |w| / |u| is 1 where either is 0, and for biases and gains, which are
    not decayed either. Source: You et al., "Large batch optimization for deep learning: training BERT in 76 minutes",
    ICLR 2020, algorithm 2, with phi(z) = z.
    """

    lr: float = 5e-3
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    eps: Positive = 1e-6

    def shapes(self, param: ParamInfo) -> dict[str, tuple[int, ...]]:
        return {"m": param.shape, "v": param.shape}

    def scalars(self, be: Backend, t: Array, lr: Array) -> State:
        return {
            "lr": lr,
            "of_m": bias_correction(be, self.beta1, t),
            "of_v": bias_correction(be, self.beta2, t),
        }

    def rule(
        self, be: Backend, s: State, param: ParamInfo, g: Array, w: Array, *slots: Array
    ) -> tuple[Array, ...]:
        m, v = slots
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        u = m / s["of_m"] / (be.xp.sqrt(v / s["of_v"]) + self.eps) + self.weight_decay * param.decay * w
        rate = s["lr"]
        if param.weight:
            of_w, of_u = length(be, w), length(be, u)
            rate = rate * trust_ratio(be, of_w, of_u, (of_w > 0) & (of_u > 0))
        return w - rate * u, m, v
