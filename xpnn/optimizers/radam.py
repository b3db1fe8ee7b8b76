"""The optimizer RAdam."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.adam import Adam
from xpnn.optimizers.base import State, bias_correction


@dataclass(frozen=True)
class RAdam(Adam):
    """Adam's m and v; R = 2 / (1 - beta2) - 1; r = R - 2 t beta2^t / (1 - beta2^t);
    theta <- theta - lr m / (1 - beta1^t) a, where
    a = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)) sqrt(1 - beta2^t) / (sqrt(v) + eps) if r > 5, else 1.

    PyTorch's form (torch.optim.RAdam): eps is added before the bias correction, and the threshold is 5.
    Source: Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020.
    """

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        """The rate, whether it adapts yet, and its factor if so.

        In float64 whatever the model's dtype is: r is a small difference of large numbers.
        """
        xp, limit = be.xp, 2 / (1 - self.beta2) - 1
        rate = lr / bias_correction(be, self.beta1, t)
        if limit <= 5:  # r never reaches the threshold
            return {"rate": rate, "adapts": t < 0, "factor": rate}
        t = xp.astype(t, xp.float64)
        correction = bias_correction(be, self.beta2, t)
        r = limit - 2 * t * (1 - correction) / correction
        adapts = r > 5
        r = xp.where(adapts, r, xp.full_like(r, 5.0))
        square = (r - 4) * (r - 2) * limit / ((limit - 4) * (limit - 2) * r) * correction
        return {"rate": rate, "adapts": adapts, "factor": xp.astype(xp.sqrt(square), be.dtype)}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        m, v = slots
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        a = s["factor"] / (be.xp.sqrt(v) + self.eps)
        return theta - s["rate"] * m * be.xp.where(s["adapts"], a, be.xp.ones_like(a)), m, v
