"""Rows scaled to length 1."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.kernels.length import scaled
from xpnn.layers.axes import axis_of, check_axes
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.settings import Positive


@dataclass(frozen=True)
class LpNormalize(Layer):
    """y = x / max(|x|_p, eps) along one axis, with |x|_1 = sum |x|, |x|_2 = sqrt(sum x^2): PyTorch's `normalize`.

    axis: 1 is the first behind the samples', -1 the last. With n = |x|_p above eps, dx = (dy - s sum(dy y)) / n, where
    s = sign(x) for p = 1 and y for p = 2; else dx = dy / eps. Raises UsageError for another p, and an eps of 0.
    """

    role = "normalization"
    p: int = 2
    axis: int = -1
    eps: Positive = 1e-12

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axes(self, self.axis)
        if self.p not in (1, 2):
            raise UsageError(f"LpNormalize(p={self.p}): wanted 1 or 2")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError for an axis that the samples do not have."""
        axis_of(self.axis, shape)
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps y, max(n, eps), and s where n is above eps, else 0. Scaled first: n itself may overflow."""
        xp, axis = cx.be.xp, axis_of(self.axis, x.shape[1:])
        small, scale = scaled(cx.be, x, axis)
        n = xp.sum(xp.abs(small) if self.p == 1 else small * small, axis=axis, keepdims=True)
        n = n if self.p == 1 else xp.sqrt(n)
        above = scale * n > self.eps
        y = xp.where(above, small / xp.where(n > 0, n, xp.ones_like(n)), x / self.eps)
        n = xp.where(above, scale * n, xp.full_like(n, self.eps))
        s = xp.sign(x) if self.p == 1 else y
        return y, (y, n, cx.be.mask(s, xp.broadcast_to(above, s.shape)))

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        y, n, s = cache
        axis = axis_of(self.axis, y.shape[1:])
        return (dy - s * cx.be.xp.sum(dy * y, axis=axis, keepdims=True)) / n, {}
