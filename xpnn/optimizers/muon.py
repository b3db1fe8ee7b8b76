"""The optimizer Muon."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Any

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.kernels.length import length, scaled
from xpnn.optimizers.adam import Adam, AdamW
from xpnn.optimizers.base import State
from xpnn.optimizers.layerwise import Layerwise
from xpnn.parameters import ParamInfo
from xpnn.settings import BelowOne, Positive, within


@dataclass(frozen=True)
class Muon(Layerwise):
    """B <- momentum B + (1 - momentum) g; D = (1 - momentum) g + momentum B with nesterov, else B;
    w <- w (1 - lr weight_decay) - lr sqrt(max(1, columns / rows)) orthogonalise(D).

    For weights of two or more axes: all axes but the last are the rows of a matrix, so a convolution's kernel has one
    row per tap and input channel and one column per filter; the gates of a recurrent layer are one matrix.
    Everything else, biases and gains of any shape among it, is trained by `others`, whose learning rate the schedule
    multiplies too. The orthogonalisation runs in the model's dtype (PyTorch's in bfloat16).
    Source: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; as torch.optim.Muon.
    """

    lr: Positive = 0.02
    momentum: BelowOne = 0.95
    nesterov: bool = True
    steps: Annotated[int, within(1, 99)] = 5
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315)
    eps: Positive = 1e-7
    others: Adam = field(default=AdamW())

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.others.carried or self.others.clip_norm is not None:
            raise UsageError(
                f"Muon(others={self.others}): wanted Adam, AdamW or AMSGrad without clip_norm",
                why="one gradient has one length",
                fix="Muon(clip_norm=...) clips for all parameters",
            )

    def check_eps(self, info: Any) -> None:
        """That of the others, too."""
        super().check_eps(info)
        self.others.check_eps(info)

    def shapes(self, param: ParamInfo) -> dict[str, tuple[int, ...]]:
        """The momentum B of a matrix; else what `others` carries."""
        names = ["B"] if is_matrix(param) else self.others.slots
        return dict.fromkeys(names, param.shape)

    def scalars(self, be: Backend, t: Array, lr: Array) -> State:
        """The rate, and what `others` reads."""
        return self.others.numbers(be, t, lr * (self.others.lr / self.lr), {}) | {"muon": lr}

    def rule(
        self, be: Backend, s: State, param: ParamInfo, g: Array, w: Array, *slots: Array
    ) -> tuple[Array, ...]:
        if not is_matrix(param):
            g, w = self.others.penalise(be, s, g, param.decay, w)
            return self.others.rule(be, s, g, w, *slots)
        B = slots[0] + (1 - self.momentum) * (g - slots[0])
        D = g + self.momentum * (B - g) if self.nesterov else B
        step = self.orthogonalise(be, be.xp.reshape(D, (-1, param.shape[-1])))
        step = stretch(param.shape) * be.xp.reshape(step, param.shape)
        return w - s["muon"] * (self.weight_decay * param.decay) * w - s["muon"] * step, B

    def orthogonalise(self, be: Backend, D: Array) -> Array:
        """X = D / max(|D|, eps); `steps` times: X <- a X + b (X X^T) X + c (X X^T)^2 X, with `coefficients` a, b, c.

        Newton-Schulz: it takes the singular values of D near 1 and leaves the singular vectors.
        """
        xp, (a, b, c) = be.xp, self.coefficients
        (X, s), tall = scaled(be, D), D.shape[0] > D.shape[1]
        size, eps = length(be, X), self.eps / s
        X = X / xp.where(size < eps, eps, size)
        X = X.T if tall else X
        for _ in range(self.steps):
            A = be.matmul(X, X.T)
            X = a * X + be.matmul(b * A + c * be.matmul(A, A), X)
        return X.T if tall else X


def is_matrix(param: ParamInfo) -> bool:
    """Whether Muon orthogonalises the parameter."""
    return param.weight and len(param.shape) >= 2


def stretch(shape: tuple[int, ...]) -> float:
    """sqrt(max(1, columns / rows)): a step changes the output as much in a wide matrix as in a tall one."""
    return math.sqrt(max(1.0, shape[-1] / math.prod(shape[:-1])))
