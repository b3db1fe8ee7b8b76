"""Training steps of a chain of Dense, ReLU and Dropout, planned for batches of one size.

Between its kernels a step makes contexts, walks trees and merges dicts, which takes as long as a small product does.
A plan holds the same kernels in the same order, bound to the weights, to the places of the gradients and to memory for
what lies between. Whatever it does not know, and every step that is not finite, is left to the step that it stands for.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu.planned import PlannedDense, PlannedDropout, Weights
from xpnn.fusion.cross_entropy import is_plain
from xpnn.fusion.update import FusedUpdate
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Layer
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten
from xpnn.losses import Loss
from xpnn.optimizers.base import Optimizer, State
from xpnn.parameters import GradientBuffer, Layout

Step: TypeAlias = Callable[..., Any]
SIZES = 2
"""The plans of so many sizes of batches are kept: the usual one, and that of an epoch's last batch."""


class Part(NamedTuple):
    """Layer number i of the chain, a Dense or a Dropout, and whether a ReLU follows the Dense."""

    i: int
    layer: Any
    relu: bool = False


def parts_of(net: Layer) -> list[Part]:
    """The Dense layers, all with a bias, and the Dropouts of a chain of these and of ReLUs right behind a Dense.

    Flatten may stand before them, and the empty chain that takes the place of a Rescale. Empty for other networks.
    """
    found: list[Part] = []
    for i, layer in enumerate(net.layers if type(net) is Sequential else ()):
        last = found[-1] if found else None
        if type(layer) is Dropout or (type(layer) is Dense and layer.bias):
            found.append(Part(i, layer))
        elif type(layer) is ReLU and last and type(last.layer) is Dense and not last.relu:
            found[-1] = last._replace(relu=True)
        elif found or (type(layer) is not Flatten and layer != Sequential(())):
            return []
    return found if any(type(part.layer) is Dense for part in found) else []


class Plan:
    """The forward and the backward pass for n samples, with the weights in one vector theta."""

    def __init__(
        self,
        be: Backend,
        parts: list[Part],
        layout: Layout,
        theta: Array,
        grad: GradientBuffer,
        n: int,
        seed: int,
    ) -> None:
        self.theta, p = theta, layout.split(be, theta, theta[:0])
        self.way: list[PlannedDense | PlannedDropout] = []
        need_dx = False
        for i, layer, relu in parts:
            if type(layer) is Dense:
                weights = Weights(p[i]["W"], p[i]["b"], grad.tree[i]["W"], grad.tree[i]["b"])
                self.way.append(PlannedDense(be, n, weights, relu, need_dx))
                need_dx = True
            elif layer.rate:
                self.way.append(PlannedDropout(be, (seed, i), layer.rate, need_dx))
        self.way_back = self.way[::-1]

    def __call__(self, loss: Callable[..., Any], tick: Array, x: Any, ids: Array) -> tuple[Any, Any]:
        """The loss and the hits; the gradients are in their places."""
        for part in self.way:
            x = part.forward(tick, x)
        value, dy, *hits = loss(x, ids)
        for part in self.way_back:
            dy = part.backward(dy)
        return value, hits


def planned(
    step: Step,
    net: Any,
    loss: Loss,
    layout: Layout,
    be: Backend,
    seed: int,
    optimizer: Optimizer,
    count: bool,
) -> Step:
    """`step`, the one of these (see `Objective.step`), by a plan where there can be one; the arguments are the step's.

    optimizer: as `fuse_optimizer` gives it.
    """
    parts = parts_of(net) if be.plans_steps and is_plain(loss) and is_simple(optimizer) else []
    if not parts:
        return step
    kernel = be.softmax_cross_entropy_gradient_and_correct if count else be.softmax_cross_entropy
    flat = type(net.layers[0]) is Flatten
    features = next(layout.named[f"{part.i}.W"].shape[0] for part in parts if type(part.layer) is Dense)
    plans: dict[int, Plan] = {}
    made = functools.cache(layout.gradient_buffer)

    def by_plan(theta: Array, phi: Array, state: State, x: Any, y: Any, weight: Array | None = None) -> Any:
        n = len(y)
        rows = x.reshape(n, -1) if flat and len(x) == n > 0 else x
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
            plan = plans[n] = Plan(be, parts, layout, theta, grad, n, seed)
        value, hits = plan(kernel, state["t"], rows, y)
        if not (math.isfinite(value) and be.all_finite(grad.vector)):
            return step(theta, phi, state, x, y, weight)
        value = np.asarray(value)  # before the update, behind which no memory may be wanted
        theta, state = optimizer.update(be, theta, grad.vector, state)
        return (value, *hits) if count else value, theta, phi, state

    return by_plan


def is_simple(optimizer: Optimizer) -> bool:
    """Whether it is one rule for all weights, without clipping."""
    return isinstance(optimizer, FusedUpdate) and optimizer.optimizer.clip_norm is None
