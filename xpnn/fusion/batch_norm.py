"""A BatchNorm right behind a convolution or Dense, and the ReLU behind it if there is one."""

import math
from typing import Any

from xpnn.fusion.conv_relu import CONVOLUTIONS, ConvReLU
from xpnn.fusion.dense_relu import DenseReLU
from xpnn.fusion.rule import Rule
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.batchnorm import BatchNorm, shift_of
from xpnn.layers.dense import Dense
from xpnn.layers.normalize import inverse_root
from xpnn.window import counts

LINEAR: dict[type[Layer], type[Rule]] = dict.fromkeys(CONVOLUTIONS, ConvReLU) | {Dense: DenseReLU}
"""Layers that are linear in W and b, and the rules that compute them."""


class LinearBatchNorm(Rule):
    """In evaluation y = g (x W + b - mean) + bias with g = gain / sqrt(var + eps), which is one linear layer:
    y = x (g W) + (g (b - mean) + bias). While training the ReLU is applied as the normalized values are made.
    """

    def __init__(self, layers: tuple[Any, ...], start: int = 0) -> None:
        super().__init__(layers, start)
        self.linear = LINEAR[type(layers[0])](layers[:1], start)
        self.norm, self.relu = layers[1], len(layers) == 3

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """A convolution, or Dense with a bias, BatchNorm, and a ReLU if there is one."""
        kinds = [type(layer) for layer in layers[:3]]
        if len(kinds) < 2 or kinds[0] not in LINEAR or kinds[1] is not BatchNorm:
            return 0
        if isinstance(layers[0], Dense) and not layers[0].bias:
            return 0
        return 3 if kinds[2:] == [ReLU] else 2

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """In training keep what the layers keep; in evaluation keep p and x, as a backward pass is rare."""
        return self._layers(cx, p, x) if cx.train else (self._evaluate(cx, p, x), (p, x))

    def _evaluate(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> Array:
        """With g taken into W where there are fewer weights than outputs, else into the outputs."""
        be, layer, W = cx.be, self.layers[0], p[0]["W"]
        g = p[1]["gain"] * inverse_root(cx, p[1]["var"], self.norm.eps)
        shift = g * (p[0]["b"] - p[1]["mean"] if "b" in p[0] else -p[1]["mean"])
        shift = shift + p[1]["bias"] if self.norm.bias else shift
        if type(layer) in CONVOLUTIONS:
            window = layer.window(x.shape[1:])
            if math.prod(W.shape[:-1]) <= x.shape[0] * math.prod(counts(x.shape, window)):
                return be.conv(x, W * g, shift, window, layer.groups, self.relu)
            y = be.conv(x, W, None, window, layer.groups) * g + shift
        elif W.shape[0] <= math.prod(x.shape[:-1]):
            return be.affine_relu(x, W * g, shift) if self.relu else be.affine(x, W * g, shift)
        else:
            y = be.matmul(x, W) * g + shift
        return be.relu(y) if self.relu else y

    def _layers(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Layer after layer, by statistics of the batch; in evaluation, for a backward pass, by the running ones."""
        z, linear = self.linear.forward(cx, p[:1], x)
        if cx.train:
            self.norm.check_batch(self.child(cx, 1), z)
            y, *norm = cx.be.batch_norm(z, p[1]["gain"], shift_of(cx, p[1]), self.norm.eps, self.relu)
            return y, (linear, tuple(norm), p[1], y)
        y, norm = self.norm.forward(self.child(cx, 1), p[1], z)
        return y, (linear, norm, p[1], cx.be.relu(y) if self.relu else y)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        linear, norm, p, y = cache if cx.train else self._layers(cx, *cache)[1]
        if self.relu:
            dy = cx.be.relu_grad(dy, y, may_overwrite)
        dz, grads = self.norm.backward(self.child(cx, 1, True), p, norm, dy)
        dx, first = self.linear.backward(cx, linear, dz, need_dx, None if out is None else out[:1], True)
        return dx, (*first, grads, *({},) * self.relu)

    def update_stats(self, cx: Ctx, p: tuple[Tree, ...], cache: tuple[Any, ...]) -> tuple[Tree, ...]:
        return {}, self.norm.update_stats(self.child(cx, 1), p[1], cache[1]), *({},) * self.relu
