"""Dense layers in a row, with a ReLU between each two and perhaps one at the end."""

from typing import Any

from xpnn.fusion.rule import Rule, place
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.batchnorm import BatchNorm
from xpnn.layers.dense import Dense, flat_rows


class DenseReLU(Rule):
    """Bias and ReLU are applied to a product as it is made; going back, each ReLU to the product behind it.

    Weights and inputs are rounded for products once, where the backend rounds them, and the gradients of weights and
    biases are written to their places.
    """

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """Dense, ReLU, Dense, ReLU, ..., as far as it goes, but for a Dense without bias, or before a BatchNorm."""
        kinds, n = [*map(type, layers), None], 0
        while kinds[n] is (Dense, ReLU)[n % 2] and kinds[n + 1] is not BatchNorm:
            if n % 2 == 0 and not layers[n].bias:  # type: ignore[attr-defined]
                break
            n += 1
        return n

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps each Dense's input, its W, and the mask of the ReLU behind it; and y."""
        be, kept = cx.be, []
        for i in range(0, len(p), 2):
            x, W = be.operand(x), be.operand(p[i]["W"])
            relu_follows = i + 1 < len(p)
            y, relu_mask = (
                be.affine_relu_with_mask(x, W, p[i]["b"])
                if relu_follows
                else (be.affine(x, W, p[i]["b"]), None)
            )
            kept.append((x, W, relu_mask))
            x = y
        return x, (tuple(kept), x)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        """From the last Dense to the first; each product for dx also goes back through the ReLU before its Dense."""
        kept, y = cache
        grads: list[Tree] = [{}] * len(self.layers)
        dx = cx.be.relu_grad(dy, y, may_overwrite) if kept[-1][2] is not None else dy
        for n in reversed(range(len(kept))):
            x, W, _ = kept[n]
            relu_mask = kept[n - 1][2] if n else None
            places = place(out, 2 * n, "W"), place(out, 2 * n, "b")
            rows, drows = flat_rows(cx.be, x), flat_rows(cx.be, dx)
            dx, dW, db = cx.be.affine_grads(rows, W, drows, places, n > 0 or need_dx, relu_mask)
            if dx is not None and x.ndim != 2:
                dx = cx.be.xp.reshape(dx, x.shape)
            grads[2 * n] = {"W": dW, "b": db}
        return dx, tuple(grads)
