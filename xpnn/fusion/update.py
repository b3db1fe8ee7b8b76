"""Optimizers whose rule a backend may have as one loop over the weights."""

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

from xpnn.backends.base import Backend
from xpnn.kernels import Array, Rule
from xpnn.optimizers.adam import Adam
from xpnn.optimizers.base import Elementwise, Optimizer, State
from xpnn.optimizers.sgd import SGD
from xpnn.optimizers.wrapper import Wrapper

Loop: TypeAlias = tuple[str, tuple[float, ...]]


def sgd_loop(optimizer: Any) -> Loop:
    """The loop of SGD, with momentum or without."""
    if not optimizer.momentum:
        return "descent", ()
    return "momentum", (optimizer.momentum, float(optimizer.nesterov))


def adam_loop(optimizer: Any) -> Loop:
    """Each beta with what is left to 1, and eps."""
    beta1, beta2 = optimizer.beta1, optimizer.beta2
    return "adam", (beta1, 1 - beta1, beta2, 1 - beta2, optimizer.eps)


LOOPS: dict[type[Elementwise], Callable[[Any], Loop]] = {SGD: sgd_loop, Adam: adam_loop}
"""The name of each rule's loop, and the numbers in it."""
FORMULA = ("rule", "scalars", "numbers", "penalise")
"""What a subclass must have inherited for the loop to be its own."""


def loop_of(optimizer: Optimizer) -> Loop | None:
    """The loop of an optimizer, if its rule has one. It has one learning rate for all weights."""
    if not isinstance(optimizer, Elementwise) or optimizer.uneven:
        return None
    for kind, make in LOOPS.items():
        if isinstance(optimizer, kind) and all(
            getattr(type(optimizer), f) is getattr(kind, f) for f in FORMULA
        ):
            return make(optimizer)
    return None


class FusedUpdate(Optimizer, abstract=True):
    """`optimizer`, whose update a backend may compute in one loop."""

    def __init__(self, optimizer: Elementwise, loop: Loop) -> None:
        self.optimizer, self.loop = optimizer, loop

    @property
    def lr(self) -> float:
        return self.optimizer.lr

    def init(self, be: Backend, theta: Array) -> State:
        return self.optimizer.init(be, theta)

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """As the optimizer's; what its rule reads is computed only where the backend has no loop for it."""
        own, (name, numbers) = self.optimizer, self.loop
        grad, clip = own.clipping(be, grad, state)
        reads = state["t"] + 1, state["lr"], be.scalar(1.0) if clip is None else clip

        made: list[Rule] = []

        def rule(*vectors: Array) -> tuple[Array, ...]:
            if not made:
                made.append(own.bound_rule(be, own.numbers(be, *reads[:2], state), clip, state))
            return made[0](*vectors)

        loop = name, (own.l2, own.l1, own.weight_decay, *numbers), reads
        theta, *slots = be.elementwise(rule, own.inputs(grad, state), own.vectors(theta, state), loop)
        return theta, {**state, "t": reads[0], **dict(zip(own.slots, slots, strict=True))}


def fuse_optimizer(optimizer: Optimizer) -> Optimizer:
    """An optimizer that `bind` made, with a loop for its rule where there is one; also inside others."""
    if isinstance(optimizer, Wrapper):
        inner = fuse_optimizer(optimizer.optimizer)
        fused = copy.copy(optimizer)
        object.__setattr__(fused, "optimizer", inner)
        return fused
    loop = loop_of(optimizer)
    return optimizer if loop is None else FusedUpdate(optimizer, loop)  # type: ignore[arg-type]
