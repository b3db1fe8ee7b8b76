"""The optimizer Lion."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State
from xpnn.settings import BelowOne


@dataclass(frozen=True)
class Lion(Elementwise):
    """theta <- theta - lr sign(beta1 m + (1 - beta1) g); m <- beta2 m + (1 - beta2) g.

    Every weight moves by lr, so lr is 3 to 10 times smaller than Adam's and weight_decay as much larger.
    Source: Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023, algorithm 2 (PyTorch has none).
    """

    lr: float = 1e-4
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.99

    @property
    def slots(self) -> dict[str, float]:
        return {"m": 0.0}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        direction = be.xp.sign(self.beta1 * slots[0] + (1 - self.beta1) * g)
        return theta - s["lr"] * direction, self.beta2 * slots[0] + (1 - self.beta2) * g
