"""Activations: one function per layer, elementwise except Softmax.

Each keeps only what its derivative needs, and each formula is written so that no finite input overflows.
"""

from dataclasses import dataclass
from typing import Any

from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree


@dataclass(frozen=True)
class ReLU(Layer):
    """y = max(x, 0); dx = dy where x > 0, else 0. Source: Nair and Hinton, ICML 2010."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = cx.be.relu(x)
        return y, (y,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (y,) = cache
        return cx.be.relu_grad(dy, y), {}


@dataclass(frozen=True)
class LeakyReLU(Layer):
    """y = x where x > 0, else slope x. Source: Maas, Hannun, Ng, ICML 2013."""

    role = "activation"
    slope: float = 0.01

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.where(x > 0, x, self.slope * x), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = dy where x > 0, else slope dy."""
        (x,) = cache
        return cx.be.xp.where(x > 0, dy, self.slope * dy), {}


@dataclass(frozen=True)
class ELU(Layer):
    """y = x where x > 0, else alpha (e^x - 1). Source: Clevert, Unterthiner, Hochreiter, ICLR 2016."""

    role = "activation"
    alpha: float = 1.0

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x and the negative branch, computed at min(x, 0) so that it is finite where it is not used."""
        xp = cx.be.xp
        low = self.alpha * xp.expm1(xp.where(x > 0, xp.zeros_like(x), x))
        return xp.where(x > 0, x, low), (x, low)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """dx = dy where x > 0, else dy alpha e^x = dy (y + alpha)."""
        x, low = cache
        return cx.be.xp.where(x > 0, dy, dy * (low + self.alpha)), {}


@dataclass(frozen=True)
class Sigmoid(Layer):
    """y = 1 / (1 + e^-x); dx = dy y (1 - y)."""

    role = "activation"
    output_kind = "probabilities"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = cx.be.sigmoid(x)
        return y, (y,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (y,) = cache
        return dy * y * (1 - y), {}


@dataclass(frozen=True)
class Tanh(Layer):
    """y = tanh x; dx = dy (1 - y^2)."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = cx.be.xp.tanh(x)
        return y, (y,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (y,) = cache
        return dy * (1 - y * y), {}


@dataclass(frozen=True)
class Softplus(Layer):
    """y = log(1 + e^x); dx = dy sigmoid(x). Source: Dugas et al., NIPS 2000."""

    role = "activation"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.softplus(x), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x,) = cache
        return dy * cx.be.sigmoid(x), {}


@dataclass(frozen=True)
class Softmax(Layer):
    """y_i = e^x_i / sum_j e^x_j on the last axis; dx = y (dy - sum_j dy_j y_j).

    For training, leave it out and use `softmax_cross_entropy`, which takes logits: the two cancel into
    softmax - onehot.
    A row of -inf alone has no softmax: it gives NaN, as in PyTorch.
    """

    role = "activation"
    output_kind = "probabilities"

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = cx.be.softmax(x)
        return y, (y,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The Jacobian diag(y) - y y^T, applied to dy."""
        (y,) = cache
        return y * (dy - cx.be.xp.sum(dy * y, axis=-1, keepdims=True)), {}


@dataclass(frozen=True)
class Step(Layer):
    """y = 1 where x > threshold, else 0: the perceptron's decision. Source: Rosenblatt 1958.

    Its slope is 0 wherever it has one, so nothing can be learned through it: backward raises UsageError.
    """

    role = "activation"
    differentiable = False
    threshold: float = 0.0

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return cx.be.xp.astype(x > self.threshold, x.dtype), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        path = ".".join(map(str, cx.key[1:]))
        raise UsageError(
            f"layer {path} Step cannot be trained through",
            why="its gradient is 0 everywhere, so no layer before it would ever learn",
            fix="train with Sigmoid() or Tanh(), and put Step() in its place afterwards",
        )
