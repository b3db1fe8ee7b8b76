"""The optimizer Adafactor."""

import math
from dataclasses import dataclass
from typing import Annotated

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.kernels.length import length
from xpnn.optimizers.base import State
from xpnn.optimizers.layerwise import Layerwise
from xpnn.parameters import ParamInfo
from xpnn.settings import AtLeastZero, Positive, at_least


@dataclass(frozen=True)
class Adafactor(Layerwise):
    """b = t^-decay_rate; rho = min(lr, 1 / sqrt(t)); alpha = max(eps2, rms(w)) rho; w <- w - lr weight_decay w;
    matrices: R <- (1 - b) R + b mean_j g_ij^2; C <- (1 - b) C + b mean_i g_ij^2; V_ij = R_i C_j / max(mean R, eps1);
    vectors: V <- (1 - b) V + b g^2;
    u = g / max(sqrt(V), eps1); w <- w - alpha u / max(1, rms(u) / threshold), where rms(x) = sqrt(mean x^2).

    A matrix lies in the last two axes; those before them number several, as the taps of a convolution's kernel do.
    PyTorch's form (torch.optim.Adafactor): the paper adds eps1 to g^2 and has 0.01 for lr. eps1 None: the spacing of
    the model's dtype at 1. Source: Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory
    cost", ICML 2018.
    """

    lr: float = 1e-2
    decay_rate: AtLeastZero = 0.8
    eps1: Positive | None = None
    eps2: AtLeastZero = 1e-3
    threshold: Annotated[float, at_least(1)] = 1.0

    def shapes(self, param: ParamInfo) -> dict[str, tuple[int, ...]]:
        """The shapes of R and C for a matrix, of V for a vector."""
        if len(param.shape) < 2:
            return {"V": param.shape}
        *several, rows, columns = param.shape
        return {"R": (*several, rows, 1), "C": (*several, 1, columns)}

    def scalars(self, be: Backend, t: Array, lr: Array) -> State:
        """The rate, the share b of the new gradient, and rho."""
        rho = 1 / be.xp.sqrt(t)
        return {"lr": lr, "b": t**-self.decay_rate, "rho": be.xp.where(lr < rho, lr, rho)}

    def rule(
        self, be: Backend, s: State, param: ParamInfo, g: Array, w: Array, *slots: Array
    ) -> tuple[Array, ...]:
        xp, square = be.xp, g * g
        eps1 = xp.finfo(be.dtype).eps if self.eps1 is None else self.eps1
        if len(slots) == 2:
            means = xp.mean(square, axis=-1, keepdims=True), xp.mean(square, axis=-2, keepdims=True)
            R, C = news = tuple(old + s["b"] * (mean - old) for old, mean in zip(slots, means, strict=True))
            V = R / floor_at(be, xp.mean(R, axis=-2, keepdims=True), eps1) * C
        else:
            V = slots[0] + s["b"] * (square - slots[0])
            news = (V,)
        alpha = floor_at(be, rms(be, w), self.eps2) * s["rho"]
        u = g / floor_at(be, xp.sqrt(V), eps1)
        w = w - s["lr"] * (self.weight_decay * param.decay) * w
        return w - alpha / floor_at(be, rms(be, u) / self.threshold, 1.0) * u, *news


def rms(be: Backend, x: Array) -> Array:
    """sqrt(mean x^2), 0-d."""
    return length(be, x) / math.sqrt(math.prod(x.shape))


def floor_at(be: Backend, x: Array, limit: float) -> Array:
    """max(x, limit). NaN stays NaN."""
    return be.xp.where(x < limit, be.xp.full_like(x, limit), x)
