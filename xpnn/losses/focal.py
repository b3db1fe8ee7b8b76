"""The focal loss."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Terms
from xpnn.losses.classes import ClassLoss


@dataclass(frozen=True)
class Focal(ClassLoss):
    """L = sum_n s_n sum_c -y_nc (1 - p_nc)^gamma log p_nc / sum_n s_n, with p = softmax(z): easy samples count less.

    z: logits (N, C), or (N, ..., C) with positions: n runs over all positions of all samples. Target: class ids
    (N, ...), or one-hot or soft rows (N, ..., C) that sum to 1; y: as rows; s: weights of samples or positions (1 if
    none), 0 where the id is `ignore_index`. Gradient: with
    a_c = y_c (gamma p_c (1 - p_c)^(gamma - 1) log p_c - (1 - p_c)^gamma), dz_k = s (a_k - p_k sum_c a_c) / sum s.
    gamma: 0, where it is the softmax cross-entropy, or at least 1.
    Source: Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", ICCV 2017.
    """

    wants = "logits"
    gamma: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gamma != 0 and not self.gamma >= 1:
            raise UsageError(
                f"Focal(gamma={self.gamma}): wanted 0, or at least 1",
                why="between, the gradient has a pole at p = 1",
            )

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """1 - p is -expm1(log p), which keeps its digits where p is nearly 1."""
        xp = be.xp
        y = self.rows(be, prediction, target)
        z = prediction - xp.max(prediction, axis=-1, keepdims=True)
        logs = z - xp.log(xp.sum(xp.exp(z), axis=-1, keepdims=True))
        p, rest, logs = xp.exp(logs), -xp.expm1(logs), be.mask(logs, y > 0)
        losses = -y * rest**self.gamma * logs
        logs = be.mask(logs, p > 0)  # p log p is 0 at p = 0
        a = -y * rest**self.gamma
        if self.gamma:
            a = a + y * self.gamma * p * rest ** (self.gamma - 1) * logs
        return xp.sum(losses, axis=-1), a - p * xp.sum(a, axis=-1, keepdims=True), None
