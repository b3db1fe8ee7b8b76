"""Batch normalization: statistics over the samples of a batch, remembered for evaluation."""

import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError
from xpnn.initializers import ones, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.normalize import inverse_root, scale_shift_grads, scale_shift_specs, scaled_and_shifted
from xpnn.settings import Positive, Share


@dataclass(frozen=True)
class BatchNorm(Layer):
    """y = gain (x - mean) / sqrt(var + eps) + bias, for each feature of the last axis.

    While training, mean and var (divisor n) are those of the batch, over its samples and all axes but the last;
    afterwards they are the running ones, kept in phi and moved by every training step:
    new = (1 - momentum) old + momentum batch's, where the batch's variance has the divisor n - 1, or n with
    unbiased=False. The first is PyTorch's convention, the second ONNX's and that of Keras, which calls 1 - momentum
    momentum. bias=False leaves the parameter bias out.
    Shapes: x (N, ..., features); gain, bias, mean, var (features,). A batch of one value per feature is refused
    while training: it has no variance. Source: Ioffe and Szegedy, ICML 2015.
    """

    role = "normalization"
    trained = True
    momentum: Share = 0.1
    eps: Positive = 1e-5
    unbiased: bool = True
    bias: bool = True

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        if not shape or 0 in shape:
            raise ShapeError(
                "wants at least one feature on the last axis, with at least one value", why=f"got {shape}"
            )
        features = shape[-1:]
        return {
            **scale_shift_specs(features, self.bias),
            "mean": Spec(features, zeros, trainable=False),
            "var": Spec(features, ones, trainable=False),
        }, shape

    def min_batch_size(self, shape: Shape) -> int:
        """One value per feature has no variance."""
        return 2 if math.prod(shape[:-1]) == 1 else 1

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps n = (x - mean) / sqrt(var + eps) and 1 / sqrt(var + eps); while training also mean and var."""
        if not cx.train:
            r = inverse_root(cx, p["var"], self.eps)
            n = (x - p["mean"]) * r
            return scaled_and_shifted(n, p), (n, r)
        self.check_batch(cx, x)
        y, *cache = cx.be.batch_norm(x, p["gain"], shift_of(cx, p), self.eps)
        return y, tuple(cache)

    def check_batch(self, cx: Ctx, x: Array) -> None:
        """Raise ShapeError for a batch of one value per feature."""
        if cx.be.values_per_feature(x) < 2:
            path = ".".join(map(str, cx.key[1:]))
            raise ShapeError(
                "cannot train on one value per feature: it has no variance",
                why=f"got a batch of shape {tuple(x.shape)}",
                fix="larger batches; choose a batch size that leaves no last batch of one sample",
                path=path or "0",
                layer="BatchNorm",
            )

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Through the batch's statistics while training; the running ones do not depend on x."""
        n, r = cache[:2]
        if cx.train:
            dx, gain, bias = cx.be.batch_norm_grad(dy, n, r, p["gain"])
            return (dx if cx.need_dx else None), {"gain": gain, **({"bias": bias} if self.bias else {})}
        return (dy * p["gain"] * r if cx.need_dx else None), scale_shift_grads(cx, n, dy, p)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        n, _, mean, var = cache
        if self.unbiased:
            count = cx.be.values_per_feature(n)
            var = var * (count / (count - 1))
        batch = {"mean": mean, "var": var}
        old, new = 1 - self.momentum, self.momentum
        return {k: old * p[k] + new * cx.be.xp.reshape(a, p[k].shape) for k, a in batch.items()}


def shift_of(cx: Ctx, p: Tree) -> Array:
    """The bias, or zeros."""
    return p["bias"] if "bias" in p else cx.be.zeros(p["gain"].shape)
