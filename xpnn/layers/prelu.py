"""The rectifier that learns its slope."""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.initializers import Constant, Initializer
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree

quarter = Constant(0.25)


@dataclass(frozen=True)
class PReLU(Layer):
    """y = x where x > 0, else slope x, with a trained slope per feature of the last axis, or one if `shared`.

    Shapes: x (..., features), slope (features,) or (1,). The slope starts at 0.25 and is left out of weight decay,
    which would pull it towards ReLU's 0. Source: He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    role = "activation"
    trained = True
    shared: bool = False
    init: Initializer = quarter

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        if not self.shared and not shape:
            raise ShapeError("wants a last axis with a slope for each feature", why=f"got {shape}")
        return {"slope": Spec((1,) if self.shared else shape[-1:], self.init, decay=False)}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.where(x > 0, x, p["slope"] * x), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = dy where x > 0, else slope dy; dslope = sum of dy x over x <= 0."""
        (x,), xp = cache, cx.be.xp
        share = cx.be.mask(dy * x, x <= 0)
        slope = xp.reshape(xp.sum(share), (1,)) if self.shared else cx.be.column_sums(share)
        return (xp.where(x > 0, dy, p["slope"] * dy) if cx.need_dx else None), {"slope": slope}
