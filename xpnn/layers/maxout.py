"""Layers that compute several candidates and let some decide over others."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.dense import flat_rows
from xpnn.settings import Count


@dataclass(frozen=True)
class GLU(Layer):
    """y = a sigmoid(b), where a and b are the two halves of the last axis; da = dy s, db = dy a s (1 - s).

    Shapes: x (..., 2 n), y (..., n). Source: Dauphin, Fan, Auli, Grangier, ICML 2017.
    """

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError unless the last axis has two halves."""
        if not shape or shape[-1] % 2:
            raise ShapeError("wants an even number of features on the last axis", why=f"got {shape}")
        return {}, (*shape[:-1], shape[-1] // 2)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        n = x.shape[-1] // 2
        a, s = x[..., :n], cx.be.sigmoid(x[..., n:])
        return a * s, (a, s)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        a, s = cache
        da = dy * s
        return cx.be.xp.concat([da, da * a * (1 - s)], axis=-1), {}


@dataclass(frozen=True)
class Maxout(Layer):
    """y_j = the largest of z_j1 ... z_jk, z = x W + b: the maximum of `pieces` linear functions. bias=False: without b.

    Shapes: x (..., n_in), W (n_in, units pieces), b (units pieces,), y (..., units).
    Backward: dz = dy for the first of the largest, else 0; dW = x^T dz, db = sum of dz over all rows, dx = dz W^T.
    Source: Goodfellow, Warde-Farley, Mirza, Courville, Bengio, ICML 2013.
    """

    trained = True
    units: Count
    pieces: Count = 2
    init: Initializer = he_normal
    bias_init: Initializer = zeros
    bias: bool = True

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        if not shape or shape[-1] == 0:
            raise ShapeError("wants at least one feature on the last axis", why=f"got {shape}")
        columns = self.units * self.pieces
        W, b = Spec((shape[-1], columns), self.init), Spec((columns,), self.bias_init, decay=False)
        return ({"W": W, "b": b} if self.bias else {"W": W}), (*shape[:-1], self.units)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        z = cx.be.affine(x, p["W"], p["b"]) if self.bias else cx.be.matmul(x, p["W"])
        z = cx.be.xp.reshape(z, (*x.shape[:-1], self.units, self.pieces))
        return cx.be.xp.max(z, axis=-1), (x, cx.be.xp.argmax(z, axis=-1))

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x, first), xp = cache, cx.be.xp
        chosen = xp.expand_dims(first, axis=-1) == cx.be.arange(self.pieces)
        dz = xp.where(chosen, xp.expand_dims(dy, axis=-1), xp.zeros_like(xp.expand_dims(dy, axis=-1)))
        dz = xp.reshape(dz, (*dy.shape[:-1], self.units * self.pieces))
        rows, drows = flat_rows(cx.be, x), flat_rows(cx.be, dz)
        dx = cx.be.matmul(dz, p["W"].T) if cx.need_dx else None
        db = {"b": cx.be.column_sums(drows)} if self.bias else {}
        return dx, {"W": cx.be.matmul(rows.T, drows), **db}
