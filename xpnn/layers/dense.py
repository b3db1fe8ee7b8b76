"""The fully connected layer."""

from dataclasses import dataclass
from typing import Any

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.settings import Count


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b on the last axis; y = x W, without the parameter b, with bias=False.

    Shapes: x (..., n_in), W (n_in, units), b (units,), y (..., units).
    Backward: dW = x^T dy, db = sum of dy over all rows, dx = dy W^T.
    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323 (1986).
    """

    trained = True
    units: Count
    init: Initializer = he_normal
    bias_init: Initializer = zeros
    bias: bool = True

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        if not shape or shape[-1] == 0:
            raise ShapeError("wants at least one feature on the last axis", why=f"got {shape}")
        W, b = Spec((shape[-1], self.units), self.init), Spec((self.units,), self.bias_init, decay=False)
        if not self.bias:
            return {"W": W}, (*shape[:-1], self.units)
        return {"W": W, "b": b}, (*shape[:-1], self.units)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if not self.bias:
            return cx.be.matmul(x, p["W"]), (x,)
        return cx.be.affine(x, p["W"], p["b"]), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x,) = cache
        rows, drows = flat_rows(cx.be, x), flat_rows(cx.be, dy)
        dx = cx.be.matmul(dy, p["W"].T) if cx.need_dx else None
        if not self.bias:
            return dx, {"W": cx.be.matmul(rows.T, drows)}
        return dx, {"W": cx.be.matmul(rows.T, drows), "b": cx.be.column_sums(drows)}


def flat_rows(be: Backend, x: Array) -> Array:
    """(..., n) -> (rows, n)."""
    return x if x.ndim == 2 else be.xp.reshape(x, (-1, x.shape[-1]))
