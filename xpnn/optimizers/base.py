"""What an optimizer is: `init(be, theta) -> state` and `update(be, theta, grad, state) -> theta, state`.

It sees one flat vector. The learning rate and the step count are 0-d arrays in the state, so that a compiled or
replayed step reads their present values. The formulas are PyTorch's (torch.optim), term for term.
"""

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, TypeAlias

from xpnn.backends.base import Backend
from xpnn.describe import Described
from xpnn.errors import UsageError
from xpnn.kernels import Array

State: TypeAlias = dict[str, Any]


class Optimizer(Described):
    """A frozen description with `init` and `update`."""

    @property
    def lr(self) -> float:
        """The learning rate that a schedule multiplies."""
        raise NotImplementedError

    @property
    def slots(self) -> dict[str, float]:
        """The vectors the rule carries from step to step, and the number each begins with."""
        return {}

    @property
    def penalised(self) -> bool:
        """Whether theta itself is pulled towards 0."""
        return False

    def init(self, be: Backend, theta: Array, decay: Array | None = None) -> State:
        """The state before the first step, a flat dict with t = 0 and lr among it.

        `decay`: 1 where weights are penalised, 0 for biases (default: everywhere 1).
        """
        raise NotImplementedError

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """One step. theta and the slots are given away: a backend may write the new values into them."""
        raise NotImplementedError


@dataclass(frozen=True)
class Elementwise(Optimizer):
    """An optimizer that treats every weight alone, by `rule`. The settings that all of these share:

    l2: adds l2 theta to the gradient, the derivative of l2 / 2 |theta|^2 (PyTorch's `weight_decay` in SGD and Adam).
    l1: adds l1 sign(theta). weight_decay: decoupled, theta <- theta (1 - lr weight_decay) before the step
    (Loshchilov and Hutter, ICLR 2019). None of the three touches biases.
    clip_norm: a gradient longer than this is scaled down to it (Pascanu, Mikolov, Bengio, ICML 2013); as PyTorch's
    `clip_grad_norm_`, before anything else.
    """

    lr: float = 1e-3
    _: KW_ONLY
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None

    bounds: ClassVar[dict[str, tuple[float, float]]] = {}
    """Settings of a subclass that must lie in [low, high)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        bounds = {
            "lr": (0.0, math.inf),
            "l1": (0.0, math.inf),
            "l2": (0.0, math.inf),
            "weight_decay": (0.0, math.inf),
        }
        for name, (low, high) in (bounds | self.bounds).items():
            value = getattr(self, name)
            if not low <= value < high:
                raise UsageError(f"{type(self).__name__}({name}={value}): wanted {low} <= {name} < {high}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise UsageError(
                f"{type(self).__name__}(clip_norm={self.clip_norm}): wanted a norm above 0, or None"
            )

    @property
    def carried(self) -> dict[str, float]:
        """The 0-d numbers carried from step to step besides t, and what each begins with."""
        return {}

    @property
    def penalised(self) -> bool:
        """Whether theta itself is pulled towards 0."""
        return bool(self.l1 or self.l2 or self.weight_decay)

    def init(self, be: Backend, theta: Array, decay: Array | None = None) -> State:
        """Step count t = 0, lr, the slots and the 0-d numbers carried."""
        state: State = {"t": be.scalar(0, be.xp.int64), "lr": be.scalar(self.lr)}
        for name, start in self.slots.items():
            state[name] = be.xp.zeros_like(theta) + start
        for name, start in self.carried.items():
            state[name] = be.scalar(start)
        if self.penalised:
            state["decay"] = be.xp.ones_like(theta) if decay is None else decay
        return state

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """Clipping and penalties, then the rule."""
        t = state["t"] + 1
        s = self.scalars(be, be.xp.astype(t, be.dtype), state["lr"], state)
        if self.clip_norm is not None:
            s["clip"] = clip_factor(be, grad, self.clip_norm)
        if self.weight_decay:
            s["shrink"] = state["lr"] * self.weight_decay
        given = (grad, state["decay"] if self.penalised else grad)

        def rule(g: Array, decay: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
            g, theta = self.penalise(be, s, g, decay, theta)
            return self.rule(be, s, g, theta, *slots)

        theta, *slots = be.elementwise(rule, given, (theta, *(state[name] for name in self.slots)))
        carried = {name: s[name] for name in self.carried}
        return theta, {**state, "t": t, **carried, **dict(zip(self.slots, slots, strict=True))}

    def penalise(self, be: Backend, s: State, g: Array, decay: Array, theta: Array) -> tuple[Array, Array]:
        """Clipping, then decoupled decay, then the gradients of the penalties."""
        if self.clip_norm is not None:
            g = g * s["clip"]
        if self.weight_decay:
            theta = theta - s["shrink"] * decay * theta
        if self.l2:
            g = g + self.l2 * decay * theta
        if self.l1:
            g = g + self.l1 * decay * be.xp.sign(theta)
        return g, theta

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        """0-d arrays computed once a step, the new values of those `carried` among them. t counts from 1."""
        return {"lr": lr}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        """-> (theta, *slots), elementwise."""
        raise NotImplementedError


def clip_factor(be: Backend, grad: Array, limit: float) -> Array:
    """min(1, limit / (|grad| + 1e-6)), with the norm taken of grad / max|grad| so that squares do not overflow."""
    xp = be.xp
    top = xp.max(xp.abs(grad))
    scaled = grad / xp.where(top > 0, top, xp.ones_like(top))
    factor = limit / (top * xp.sqrt(xp.sum(scaled * scaled)) + 1e-6)
    return xp.where(factor < 1, factor, xp.ones_like(factor))


def bias_correction(be: Backend, beta: float, t: Array) -> Array:
    """1 - beta^t as -expm1(t log beta), which keeps all its digits in float32 too."""
    return -be.xp.expm1(t * math.log(beta)) if beta > 0 else be.xp.ones_like(t)
