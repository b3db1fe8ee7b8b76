"""What a planned training step is made of: products and loops that write into memory which is kept for the next step.

Every number is that of the kernels which a step calls otherwise, in their order, so the bits are the same.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.chain import Chain
from xpnn.backends.cpu.blocks import is_column_major
from xpnn.backends.cpu.products import multiplies_by_columns
from xpnn.kernels import Array
from xpnn.random import Key


class Weights(NamedTuple):
    """W and b of a Dense, and where their gradients are written."""

    W: Array
    b: Array
    W_grad: Array
    b_grad: Array


class PlannedDense:
    """y = x W + b or max(x W + b, 0), of n rows; need_dx: False for the first.

    `dropout` may be set to the key and the rate, below 1, of a Dropout behind it: then y is what that makes of it.
    """

    def __init__(self, be: Backend, n: int, weights: Weights, relu: bool, need_dx: bool) -> None:
        self.be, self.relu, self.need_dx = be, relu, need_dx
        self.dropout: tuple[Key, float] | None = None
        self.W, self.b, self.W_grad, self.b_grad = weights
        self.Wt, units = self.W.T, self.W.shape[1]
        self.by_columns = relu and multiplies_by_columns(n, units)
        self.transposed = np.empty((units, n) if self.by_columns else (n, units), be.dtype)
        self.y = self.transposed.T if self.by_columns else self.transposed
        self.x: Any = None
        self.dy: Any = None
        self.dx: Any = None

    @property
    def may_drop(self) -> bool:
        """Whether a Dropout behind it can be its last part.

        Behind a ReLU one look at y tells where it was negative or dropped; by rows it is in the order of the draws.
        """
        return self.relu and not self.by_columns and self.dropout is None

    def forward(self, tick: Array, x: Array) -> Array:
        """Keep x for the way back."""
        self.x, y = x, self.y
        if self.by_columns:
            np.matmul(self.Wt, x.T, out=self.transposed)
        else:
            np.matmul(x, self.W, out=y)
        if self.dropout:
            key, rate = self.dropout
            self.y = self.be.bias_relu_dropout(y, self.b, key, tick, rate)  # which may be another array
            return self.y
        if self.relu:
            return self.be.add_bias(y, self.b, True)
        y += self.b
        return y

    def backward(self, dy: Array) -> Array | None:
        """Write the gradients to their places; dy is written over."""
        x = self.x
        if self.dropout:
            dy = self.be.relu_dropout_grad(dy, self.y, self.dropout[1], True)
        elif self.relu:
            dy = self.be.relu_grad(dy, self.y, True)
        self.dy = dy
        dx = self._dx(dy, x) if self.need_dx else None
        np.matmul(x.T, dy, out=self.W_grad)
        self.be.column_sums(dy, self.b_grad)
        return dx

    def is_finite(self) -> bool:
        """Whether the gradients are, without a look at them where |x^T dy| <= |x| |dy| tells."""
        if (
            2 * (self.x.size + self.dy.size) < self.W_grad.size
            and is_moderate(self.x)
            and is_moderate(self.dy)
        ):
            return True
        return bool(self.be.all_finite(self.W_grad, self.b_grad))

    def _dx(self, dy: Array, x: Array) -> Array:
        """dy W^T, laid out as x is."""
        if self.dx is None:
            by_columns = is_column_major(x)
            self.transposed_dx = np.empty(x.shape[::-1] if by_columns else x.shape, x.dtype)
            self.dx = self.transposed_dx.T if by_columns else self.transposed_dx
        if self.dx is self.transposed_dx:
            return np.matmul(dy, self.Wt, out=self.dx)
        np.matmul(self.W, dy.T, out=self.transposed_dx)
        return self.dx


class PlannedDropout:
    """The mask is drawn anew in each step; going back it is the same one. need_dx: False before the first Dense."""

    def __init__(self, be: Backend, key: Key, rate: float, need_dx: bool) -> None:
        self.be, self.key, self.rate, self.need_dx = be, key, rate, need_dx
        self.scale = 0.0 if rate == 1 else 1 / (1 - rate)
        self.keep: Any = None

    def forward(self, tick: Array, x: Array) -> Array:
        """scale x where the mask keeps it, else 0; without a way back the mask is not written."""
        if not self.need_dx and self.scale:
            return self.be.dropout(x, self.key, tick, self.rate)
        self.keep = self.be.keep_mask(self.key, tick, x.shape, self.rate)
        return self.be.scaled_mask(x, self.keep, self.scale)

    def backward(self, dy: Array) -> Array | None:
        """The same of dy."""
        return self.be.scaled_mask(dy, self.keep, self.scale) if self.need_dx else None


class Plan:
    """The forward and the backward pass for n samples, with the weights in one vector theta."""

    def __init__(self, be: Backend, chain: Chain, theta: Array, grad: Any, n: int) -> None:
        self.be, self.theta, p = be, theta, chain.layout.split(be, theta, theta[:0])
        self.parts: list[PlannedDense | PlannedDropout] = []
        need_dx = False
        for i, rate, relu in chain.parts:
            last = self.parts[-1] if self.parts else None
            if rate is None:
                weights = Weights(p[i]["W"], p[i]["b"], grad.tree[i]["W"], grad.tree[i]["b"])
                self.parts.append(PlannedDense(be, n, weights, relu, need_dx))
                need_dx = True
            elif isinstance(last, PlannedDense) and last.may_drop and 0 < rate < 1:
                last.dropout = (chain.seed, i), rate
            elif rate:
                self.parts.append(PlannedDropout(be, (chain.seed, i), rate, need_dx))
        self.parts_reversed = self.parts[::-1]
        self.grad, self.dense = grad.vector, [part for part in self.parts if isinstance(part, PlannedDense)]

    def is_finite(self) -> bool:
        """Whether all gradients are."""
        if self.grad.size < MANY:
            return bool(self.be.all_finite(self.grad))
        return all(part.is_finite() for part in self.dense)

    def __call__(self, loss: Callable[..., Any], tick: Array, x: Any, ids: Array) -> tuple[Any, Any]:
        """The loss and the hits; the gradients are in their places."""
        for part in self.parts:
            x = part.forward(tick, x)
        value, dy, *hits = loss(x, ids)
        for part in self.parts_reversed:
            dy = part.backward(dy)
        return value, hits


def is_moderate(a: Array) -> bool:
    """Whether its norm is far from what overflows in a product with another one."""
    flat = (a.T if is_column_major(a) else a).reshape(-1)
    return bool(np.dot(flat, flat) < math.sqrt(np.finfo(a.dtype).max))


MANY = 1 << 19
"""So many gradients are not read to find out whether they are finite, but what they are products of."""
SIZES = 2
"""The plans of so many sizes of batches are kept: the usual one, and that of an epoch's last batch."""


def planned(be: Backend, step: Callable[..., Any], chain: Chain) -> Callable[..., Any]:
    """The step by a plan for the size of its batch; by `step` where the batch is another one or it is not finite."""
    kernel = be.softmax_cross_entropy_gradient_and_correct if chain.counts_hits else be.softmax_cross_entropy
    first = next(i for i, rate, _ in chain.parts if rate is None)
    features = chain.layout.named[f"{first}.W"].shape[0]
    plans: dict[int, Plan] = {}
    made = functools.cache(chain.layout.gradient_buffer)

    def by_plan(
        theta: Array, phi: Array, state: dict[str, Any], x: Any, y: Any, weight: Array | None = None
    ) -> Any:
        n = len(y)
        rows = x.reshape(n, -1) if chain.flattens and len(x) == n > 0 else x
        if (
            weight is not None
            or y.ndim != 1
            or y.dtype != np.int64
            or rows.dtype != be.dtype
            or rows.shape != (n, features)
            or not state["ok"]
        ):
            return step(theta, phi, state, x, y, weight)
        plan, grad = plans.get(n), made(be)
        if plan is None or plan.theta is not theta:
            plans.pop(n, None)
            while len(plans) >= SIZES:
                del plans[next(iter(plans))]
            plan = plans[n] = Plan(be, chain, theta, grad, n)
        value, hits = plan(kernel, state["t"], rows, y)
        if not (math.isfinite(value) and plan.is_finite()):
            return step(theta, phi, state, x, y, weight)
        value = np.asarray(value)  # before the update, behind which no memory may be wanted
        theta, state = chain.optimizer.update(be, theta, grad.vector, state)
        return (value, *hits) if chain.counts_hits else value, theta, phi, state

    return by_plan
