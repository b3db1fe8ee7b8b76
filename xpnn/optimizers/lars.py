"""The optimizer LARS."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.kernels.length import length
from xpnn.optimizers.base import State
from xpnn.optimizers.layerwise import Layerwise, trust_ratio
from xpnn.parameters import ParamInfo
from xpnn.settings import BelowOne, Positive


@dataclass(frozen=True)
class LARS(Layerwise):
    """r = trust |w| / (|g| + weight_decay |w|); v <- momentum v + lr r (g + weight_decay w); w <- w - v.

    |.| is the length of one parameter: a W, a b. r = 1 where |w| or |g| is 0, and for biases and gains, which are not
    decayed either. weight_decay is part of the gradient here, and lr part of the velocity, as in the paper.
    Source: You, Gitman, Ginsburg, "Large batch training of convolutional networks", 2017, algorithm 1.
    """

    lr: float = 1.0
    momentum: BelowOne = 0.9
    trust: Positive = 1e-3

    def shapes(self, param: ParamInfo) -> dict[str, tuple[int, ...]]:
        return {"v": param.shape}

    def rule(
        self, be: Backend, s: State, param: ParamInfo, g: Array, w: Array, *slots: Array
    ) -> tuple[Array, ...]:
        decay, rate = self.weight_decay * param.decay, s["lr"]
        if param.weight:
            of_w, of_g = length(be, w), length(be, g)
            defined = (of_w > 0) & (of_g > 0)
            rate = rate * trust_ratio(be, self.trust * of_w, of_g + decay * of_w, defined)
        v = self.momentum * slots[0] + rate * (g + decay * w)
        return w - v, v
