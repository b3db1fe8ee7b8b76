"""Stochastic gradient descent."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import Elementwise, State
from xpnn.settings import BelowOne


@dataclass(frozen=True)
class SGD(Elementwise):
    """v <- momentum v + g; theta <- theta - lr v, or with nesterov theta <- theta - lr (g + momentum v).

    Sources: Robbins and Monro 1951; Polyak 1964; Sutskever, Martens, Dahl, Hinton, ICML 2013 (PyTorch's form).
    """

    lr: float = 1e-2
    momentum: BelowOne = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not self.momentum:
            raise UsageError(
                "SGD(nesterov=True) needs a momentum above 0", fix="SGD(lr, momentum=0.9, nesterov=True)"
            )

    @property
    def slots(self) -> dict[str, float]:
        return {"v": 0.0} if self.momentum else {}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        if not slots:
            return (theta - s["lr"] * g,)
        v = self.momentum * slots[0] + g
        step = g + self.momentum * v if self.nesterov else v
        return theta - s["lr"] * step, v
