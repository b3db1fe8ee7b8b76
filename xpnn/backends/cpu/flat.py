"""Update rules over flat vectors, compiled by numba: one pass, in place. Used by `fast`.

Each is the rule of its name in `xpnn.optimizers`, element by element: the weights and their slots, the gradient, the
factors of the penalties, and numbers.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends.cpu.loops import Array, compiled


@compiled
def penalised(w: Any, g: Any, decay: Any, clip: Any, shrink: Any, l2: Any, l1: Any) -> tuple[Any, Any]:
    """A weight after decoupled decay, its gradient after clipping and with those of the penalties."""
    w -= shrink * decay * w
    return w, g * clip + decay * (l2 * w + l1 * np.sign(w))


@compiled
def descent_loop(
    theta: Array, grad: Array, decay: Array, clip: Any, shrink: Any, l2: Any, l1: Any, lr: Any
) -> None:
    """SGD's rule."""
    for i in range(theta.size):
        w, g = penalised(theta[i], grad[i], decay[i], clip, shrink, l2, l1)
        theta[i] = w - lr * g


@compiled
def momentum_loop(
    theta: Array, v: Array, grad: Array, decay: Array,
    clip: Any, shrink: Any, l2: Any, l1: Any, keep: Any, nesterov: Any, lr: Any,
) -> None:  # fmt: skip
    """SGD's rule with momentum."""
    for i in range(theta.size):
        w, g = penalised(theta[i], grad[i], decay[i], clip, shrink, l2, l1)
        v[i] = keep * v[i] + g
        step = g + keep * v[i] if nesterov else v[i]
        theta[i] = w - lr * step


@compiled
def adam_loop(
    theta: Array, m: Array, v: Array, grad: Array, decay: Array,
    clip: Any, shrink: Any, l2: Any, l1: Any,
    beta1: Any, rest1: Any, beta2: Any, rest2: Any, eps: Any, rate: Any, root: Any,
) -> None:  # fmt: skip
    """Adam's rule."""
    for i in range(theta.size):
        w, g = penalised(theta[i], grad[i], decay[i], clip, shrink, l2, l1)
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * g * g
        theta[i] = w - rate * m[i] / (np.sqrt(v[i]) / root + eps)


def adam_numbers(t: int, lr: float, numbers: tuple[float, ...]) -> tuple[float, ...]:
    """The betas, eps, and both bias corrections."""
    beta1, _, beta2, _, _ = numbers
    return *numbers, lr / correction(beta1, t), math.sqrt(correction(beta2, t))


def correction(beta: float, t: int) -> float:
    """1 - beta^t."""
    return -math.expm1(t * math.log(beta)) if beta > 0 else 1.0


LOOPS: dict[str, tuple[Any, Callable[[int, float, tuple[float, ...]], tuple[float, ...]]]] = {
    "descent": (descent_loop, lambda t, lr, numbers: (lr,)),
    "momentum": (momentum_loop, lambda t, lr, numbers: (*numbers, lr)),
    "adam": (adam_loop, adam_numbers),
}
"""By name: the loop, and its last numbers from t, lr and those of the rule."""


def update(name: str, vectors: tuple[Array, ...], given: tuple[Array, ...], numbers: Any, read: Any) -> None:
    """The rule of that name, in place. given: gradient and decay; numbers, read: see `Kernels.elementwise`."""
    loop, last = LOOPS[name]
    (l2, l1, weight_decay, *own), (t, lr) = numbers, (int(read[0]), float(read[1]))
    kind = vectors[0].dtype.type
    rest = (float(read[2]), lr * weight_decay, l2, l1, *last(t, lr, tuple(own)))
    loop(*vectors, *given[:2], *(kind(n) for n in rest))
