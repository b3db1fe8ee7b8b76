"""The fully connected layer."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree


@dataclass(frozen=True)
class Dense(Layer):
    """y = x W + b on the last axis.

    Shapes: x (..., n_in), W (n_in, units), b (units,), y (..., units).
    Backward: dW = x^T dy, db = sum of dy over all rows, dx = dy W^T.
    Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323 (1986).
    """

    trained = True
    fresh = True
    units: int
    init: Initializer = he_normal
    bias_init: Initializer = zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.units < 1:
            raise UsageError(f"Dense(units={self.units}): wanted a whole number of at least 1")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W and b; the last axis becomes `units`."""
        if not shape or shape[-1] == 0:
            raise ShapeError("wants at least one feature on the last axis", why=f"got {shape}")
        W, b = Spec((shape[-1], self.units), self.init), Spec((self.units,), self.bias_init, decay=False)
        return {"W": W, "b": b}, (*shape[:-1], self.units)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x and W as products take them."""
        x, W = cx.be.operand(x), cx.be.operand(p["W"])
        return cx.be.affine(x, W, p["b"]), (x, W)

    def forward_relu(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """max(y, 0), as a ReLU after it gives, without y itself. Also keeps the marks for a Dense above that ReLU."""
        x, W = cx.be.operand(x), cx.be.operand(p["W"])
        y, marks = cx.be.affine_relu_marks(x, W, p["b"])
        return y, (x, W, marks)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx is skipped for the first layer: nobody asks for it, and it costs as much as dW."""
        x, W, *_ = cache
        return affine_back(cx, x, W, dy)

    def backward_relu(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, below: tuple[Any, ...]
    ) -> tuple[Array | None, Tree]:
        """`backward`, and then that of the ReLU before it, inside a Dense that kept `below` in `forward_relu`."""
        x, W, *_ = cache
        return affine_back(cx, x, W, dy, below[2])


def affine_back(cx: Ctx, x: Array, W: Array, dy: Array, below: Any = None) -> tuple[Array | None, Tree]:
    """dx and the gradients of y = x W + b: {"W": dW, "b": db}. Any number of axes before the last.

    below: see `affine_grads`.
    """
    into, rows = (cx.home("W"), cx.home("b")), flat_rows(cx, x)
    dx, dW, db = cx.be.affine_grads(rows, W, flat_rows(cx, dy), into, cx.need_dx, below)
    return (dx if dx is None or x.ndim == 2 else cx.be.xp.reshape(dx, x.shape)), {"W": dW, "b": db}


def flat_rows(cx: Ctx, x: Array) -> Array:
    """(..., n) -> (rows, n)."""
    return x if x.ndim == 2 else cx.be.xp.reshape(x, (-1, x.shape[-1]))
