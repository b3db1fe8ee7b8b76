"""What an optimizer is: `init(be, theta) -> state` and `update(be, theta, grad, state) -> theta, state`.

It sees one flat vector; `bind` first says where each parameter lies in it. The learning rate and the step count are
0-d arrays in the state, so that a compiled or replayed step reads their present values. The formulas are PyTorch's
(torch.optim), term for term.
"""

import copy
import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, TypeAlias

from xpnn.backends.base import Backend
from xpnn.config import Config
from xpnn.errors import UsageError, missing
from xpnn.kernels import Array, Rule
from xpnn.kernels.length import scaled
from xpnn.parameters import ParamInfo
from xpnn.renamed import old_members
from xpnn.settings import AtLeastZero, Positive

__all__ = ["Optimizer"]

State: TypeAlias = dict[str, Any]


@old_members
class Optimizer(Config, abstract=True):
    """Base class: a frozen description with `init` and `update`."""

    params: ClassVar[tuple[ParamInfo, ...]] = ()
    """Where the parameters lie, of a copy that `bind` made. No setting: neither shown, compared nor saved."""

    full_batch: ClassVar[bool] = False
    """Whether it takes the loss and its gradient over the whole data, at points of its own choice."""

    @classmethod
    def coerce(cls, value: Any) -> "Optimizer | None":
        """The optimizer of that name. Raises UsageError for an unknown one."""
        from xpnn.optimizers import get_optimizer

        return get_optimizer(value) if isinstance(value, str) else None

    @property
    def lr(self) -> float:
        """The learning rate that a schedule multiplies."""
        raise missing(self, "lr", "a number; or a field lr")

    def bind(self, params: tuple[ParamInfo, ...]) -> "Optimizer":
        """A copy that knows where the parameters lie: `model.layout.params`. `init` and `update` are then the copy's.

        Raises UsageError for a path pattern that fits none of them.
        """
        bound = copy.copy(self)
        object.__setattr__(bound, "params", params)
        return bound

    def bound_params(self) -> tuple[ParamInfo, ...]:
        """Return where the parameters lie. Raises UsageError before `bind`."""
        if not self.params:
            raise UsageError(
                f"{type(self).__name__} treats each parameter by its path and shape, and knows none yet",
                fix="optimizer = optimizer.bind(model.layout.params); a Trainer does so by itself",
            )
        return self.params

    def init(self, be: Backend, theta: Array) -> State:
        """The state before the first step, a flat dict with t = 0 and lr among it."""
        raise missing(self, "init(self, be, theta)", "a dict with t and lr")

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """One step: the new theta and state. The old ones are given away, and not to be used again."""
        raise missing(self, "update(self, be, theta, grad, state)", "theta, state")


@dataclass(frozen=True)
class Formula(Optimizer, abstract=True):
    """An optimizer with a rule of its own, not one around another. The settings that all of these share:

    weight_decay: decoupled, theta <- theta (1 - lr weight_decay) before the step (Loshchilov and Hutter, ICLR 2019),
    unless the class says otherwise. It leaves biases and gains alone.
    clip_norm: a gradient longer than this is scaled down to it (Pascanu, Mikolov, Bengio, ICML 2013); as PyTorch's
    `clip_grad_norm_`, before anything else. Frozen parameters have no part in its length.
    """

    lr: AtLeastZero = 1e-3
    _: KW_ONLY
    weight_decay: AtLeastZero = 0.0
    clip_norm: Positive | None = None

    def check_eps(self, info: Any) -> None:
        """Raise UsageError for an eps that is 0, or no normal number, in a dtype of which info is the finfo.

        A weight whose gradient has always been 0 would divide 0 by it.
        """
        least = float(info.smallest_normal)
        for name in ("eps", "eps1"):
            value = getattr(self, name, None)
            if value is not None and value < least:
                raise UsageError(
                    f"{type(self).__name__}({name}={value}): too small for float{info.bits}",
                    why="a weight whose gradient has always been 0 would divide 0 by 0",
                    fix=f"{least:.3g} or more",
                )


@dataclass(frozen=True)
class Elementwise(Formula, abstract=True):
    """An optimizer that treats every weight alone, by `rule`. Two more settings, which leave biases alone too:

    l2: adds l2 theta to the gradient, the derivative of l2 / 2 |theta|^2 (PyTorch's `weight_decay` in SGD and Adam).
    l1: adds l1 sign(theta).
    """

    _: KW_ONLY
    l1: AtLeastZero = 0.0
    l2: AtLeastZero = 0.0

    @property
    def slots(self) -> dict[str, float]:
        """The vectors that the rule carries from step to step, with their initial value."""
        return {}

    @property
    def carried(self) -> dict[str, float]:
        """The 0-d numbers carried from step to step besides t, with their initial values."""
        return {}

    @property
    def penalised(self) -> bool:
        """Whether theta is decayed or penalized."""
        return bool(self.l1 or self.l2 or self.weight_decay)

    @property
    def uneven(self) -> bool:
        """Whether parameters have different learning rates."""
        return any(param.lr != 1 for param in self.params)

    def init(self, be: Backend, theta: Array) -> State:
        """Step count t = 0, lr, the slots, the 0-d numbers carried, and the parameters' factors where they are needed.

        Raises UsageError for an eps too small for the dtype.
        """
        self.check_eps(be.xp.finfo(be.dtype))
        state: State = {"t": be.scalar(0, be.xp.int64), "lr": be.scalar(self.lr)}
        for name, start in self.slots.items():
            state[name] = be.xp.zeros_like(theta) + start
        for name, start in self.carried.items():
            state[name] = be.scalar(start)
        if self.penalised:
            state["decay"] = spread(be, theta, self.params, tuple(param.decay for param in self.params))
        if self.uneven:
            state["rates"] = spread(be, theta, self.params, tuple(param.lr for param in self.params))
        return state

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """Clip, add the penalties, apply the rule."""
        t, (grad, clip) = state["t"] + 1, self.clipping(be, grad, state)
        s = self.numbers(be, t, state["lr"], state)
        rule = self.bound_rule(be, s, clip, state)
        theta, *slots = be.elementwise(rule, self.inputs(grad, state), self.vectors(theta, state))
        carried = {name: s[name] for name in self.carried}
        return theta, {**state, "t": t, **carried, **dict(zip(self.slots, slots, strict=True))}

    def clipping(self, be: Backend, grad: Array, state: State) -> tuple[Array, Array | None]:
        """The gradient, scaled where it is huge, and the factor that `clip_norm` then puts before it.

        Frozen parameters have no part in its length.
        """
        if self.clip_norm is None:
            return grad, None
        grad = be.mask(grad, state["rates"] > 0) if self.uneven else grad
        s, factor = clip_scale(be, grad, self.clip_norm)
        return grad / s, factor

    def inputs(self, grad: Array, state: State) -> tuple[Array, Array, Array]:
        """What the rule reads for each weight: the gradient, and the factors of penalties and learning rate, if any."""
        return grad, state["decay"] if self.penalised else grad, state["rates"] if self.uneven else grad

    def vectors(self, theta: Array, state: State) -> tuple[Array, ...]:
        """What the rule changes for each weight: theta and the slots."""
        return theta, *(state[name] for name in self.slots)

    def bound_rule(self, be: Backend, s: State, clip: Array | None, state: State) -> Rule:
        """rule(*inputs, *vectors) -> new vectors: one step, element by element."""

        def rule(g: Array, decay: Array, rates: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
            own = self.numbers(be, state["t"] + 1, state["lr"] * rates, state) if self.uneven else s
            g, shrunk = self.penalise(be, own, g if clip is None else g * clip, decay, theta)
            new, *rest = self.rule(be, own, g, shrunk, *slots)
            return be.xp.where(rates > 0, new, theta) if self.uneven else new, *rest

        return rule

    def numbers(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        """What the rule reads besides vectors: of one learning rate, or of one for every weight."""
        s = self.scalars(be, be.xp.astype(t, be.dtype), lr, state)
        return s | {"shrink": lr * self.weight_decay}

    def penalise(self, be: Backend, s: State, g: Array, decay: Array, theta: Array) -> tuple[Array, Array]:
        """Decoupled decay, then the gradients of the penalties."""
        if self.weight_decay:
            theta = theta - s["shrink"] * decay * theta
        if self.l2:
            g = g + self.l2 * decay * theta
        if self.l1:
            g = g + self.l1 * decay * be.xp.sign(theta)
        return g, theta

    def scalars(self, be: Backend, t: Array, lr: Array, state: State) -> State:
        """Numbers computed before the rule, the new values of those `carried` among them. t counts from 1.

        All are 0-d arrays; those that follow from lr have its shape, which may be that of the weights.
        """
        return {"lr": lr}

    def rule(self, be: Backend, s: State, g: Array, theta: Array, *slots: Array) -> tuple[Array, ...]:
        """-> (theta, *slots), elementwise."""
        raise NotImplementedError


def spread(be: Backend, theta: Array, params: tuple[ParamInfo, ...], values: tuple[float, ...]) -> Array:
    """Each parameter's value at all of its weights; 1 everywhere before `bind`."""
    if not params:
        return be.xp.ones_like(theta)
    sizes = [param.stop - param.start for param in params]
    return be.xp.concat([be.zeros((size,)) + value for size, value in zip(sizes, values, strict=True)])


def clip_scale(be: Backend, grad: Array, limit: float) -> tuple[Array, Array]:
    """(s, f), 0-d, with grad / s f = grad min(1, limit / (|grad| + 1e-6)): their quotient may be too small a number."""
    small, s = scaled(be, grad)
    s = be.xp.reshape(s, ())
    size = be.xp.sqrt(be.xp.sum(small * small)) + 1e-6 / s
    long, one = size > limit / s, be.xp.ones_like(s)
    return be.xp.where(long, s, one), be.xp.where(long, limit / size, one)


def bias_correction(be: Backend, beta: float, t: Array) -> Array:
    """1 - beta^t as -expm1(t log beta), which keeps all its digits in float32 too."""
    return -be.xp.expm1(t * math.log(beta)) if beta > 0 else be.xp.ones_like(t)
