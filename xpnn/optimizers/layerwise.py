"""Optimizers that scale the step of each parameter as a whole."""

import math
from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.optimizers.base import Formula, State, clip_scale
from xpnn.parameters import ParamInfo


@dataclass(frozen=True)
class Layerwise(Formula, abstract=True):
    """An optimizer whose `rule` sees one parameter at a time, in its own shape, and carries arrays of any shape.

    They stand in the state under the parameter's path and their name: "2.W.m". They begin with zeros.
    """

    def shapes(self, param: ParamInfo) -> dict[str, tuple[int, ...]]:
        """The arrays carried for this parameter."""
        raise NotImplementedError

    def init(self, be: Backend, theta: Array) -> State:
        """Step count t = 0, lr, and the arrays carried. Raises UsageError before `bind`, and for an eps too small."""
        self.check_eps(be.xp.finfo(be.dtype))
        state: State = {"t": be.scalar(0, be.xp.int64), "lr": be.scalar(self.lr)}
        for param in self.bound_params():
            for name, shape in self.shapes(param).items():
                state[f"{param.path}.{name}"] = be.zeros(shape)
        return state

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """Clipping, then the rule, parameter by parameter. Frozen ones are left as they are."""
        xp, t = be.xp, state["t"] + 1
        parts, new, free = [], {"t": t}, [param for param in self.params if param.lr]
        if self.clip_norm is not None:
            free_grad = xp.concat([grad[param.start : param.stop] for param in free])
            s, factor = clip_scale(be, free_grad, self.clip_norm)
            grad = grad / s * factor
        for param in self.params:
            w, g = theta[param.start : param.stop], grad[param.start : param.stop]
            if param.lr:
                s = self.scalars(be, xp.astype(t, be.dtype), state["lr"] * param.lr)
                names = [f"{param.path}.{name}" for name in self.shapes(param)]
                w, g = xp.reshape(w, param.shape), xp.reshape(g, param.shape)
                w, *slots = self.rule(be, s, param, g, w, *(state[name] for name in names))
                w, new = xp.reshape(w, (-1,)), new | dict(zip(names, slots, strict=True))
            parts.append(w)
        return xp.concat(parts), {**state, **new}

    def scalars(self, be: Backend, t: Array, lr: Array) -> State:
        """0-d arrays that depend on the step and the learning rate alone. t counts from 1."""
        return {"lr": lr, "t": t}

    def rule(
        self, be: Backend, s: State, param: ParamInfo, g: Array, w: Array, *slots: Array
    ) -> tuple[Array, ...]:
        """-> (w, *slots), each of the shape that came."""
        raise NotImplementedError


def trust_ratio(be: Backend, upper: Array, lower: Array, defined: Array) -> Array:
    """upper / lower (0-d) where `defined`, else 1; also where it would be infinite, since infinity times 0 is NaN."""
    one = be.xp.ones_like(lower)
    ratio = upper / be.xp.where(defined, lower, one)
    return be.xp.where(defined & (ratio < math.inf), ratio, one)
