"""Update rules over flat vectors, compiled by numba: one pass, in place. Used by `fast`.

Each is the rule of its name in `xpnn.optimizers`, element by element: the weights and their slots, the gradient, the
factors of the penalties, and numbers.
"""

from typing import Any

import numpy as np

from xpnn.backends.cpu.loops import Array, compiled
from xpnn.backends.cpu.updates import LAST, descend_by_blas
from xpnn.backends.cpu.workers import each


def fused(f: Any) -> Any:
    """Compiled, with fused multiply-adds where the processor has them."""
    return compiled(f, fastmath={"contract"})


@fused
def penalised(
    w: Any, g: Any, decay: Any, i: int, clip: Any, shrink: Any, l2: Any, l1: Any
) -> tuple[Any, Any]:
    """A weight after decoupled decay, its gradient after clipping and with those of the penalties.

    decay is None without a penalty: numba then compiles a loop without them.
    """
    if decay is None:
        return w, g * clip
    w -= shrink * decay[i] * w
    return w, g * clip + decay[i] * (l2 * w + l1 * np.sign(w))


@fused
def descent_loop(
    theta: Array, grad: Array, decay: Array | None, clip: Any, shrink: Any, l2: Any, l1: Any, lr: Any
) -> None:
    """SGD: w <- w - lr g."""
    for i in range(theta.size):
        w, g = penalised(theta[i], grad[i], decay, i, clip, shrink, l2, l1)
        theta[i] = w - lr * g


@fused
def momentum_loop(
    theta: Array, v: Array, grad: Array, decay: Array | None,
    clip: Any, shrink: Any, l2: Any, l1: Any, keep: Any, nesterov: Any, lr: Any,
) -> None:  # fmt: skip
    """SGD with momentum: v <- keep v + g; w <- w - lr v, or with Nesterov's w - lr (g + keep v)."""
    for i in range(theta.size):
        w, g = penalised(theta[i], grad[i], decay, i, clip, shrink, l2, l1)
        v[i] = keep * v[i] + g
        step = g + keep * v[i] if nesterov else v[i]
        theta[i] = w - lr * step


@fused
def adam_loop(
    theta: Array, m: Array, v: Array, grad: Array, decay: Array | None,
    clip: Any, shrink: Any, l2: Any, l1: Any,
    beta1: Any, rest1: Any, beta2: Any, rest2: Any, floor: Any, rate: Any,
) -> None:  # fmt: skip
    """Adam, its fraction expanded by the root of v's bias correction, so that each weight takes one division."""
    for i in range(theta.size):
        w, g = penalised(theta[i], grad[i], decay, i, clip, shrink, l2, l1)
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * g * g
        theta[i] = w - rate * m[i] / (np.sqrt(v[i]) + floor)


LOOPS = {"descent": descent_loop, "momentum": momentum_loop, "adam": adam_loop}
"""{name of a rule: its loop}."""
SHARED, PART = 1 << 20, 1 << 17
"""From so many weights on several threads share them, and each takes so many at a time."""


def update(name: str, vectors: tuple[Array, ...], given: tuple[Array, ...], numbers: Any, read: Any) -> None:
    """The rule of that name, in place. given: gradient and decay; numbers, read: see `Kernels.elementwise`."""
    loop = LOOPS[name]
    (l2, l1, weight_decay, *own), (t, lr) = numbers, (int(read[0]), float(read[1]))
    kind = vectors[0].dtype.type
    rest = (float(read[2]), lr * weight_decay, l2, l1, *LAST[name](t, lr, tuple(own)))
    decay = given[1] if l2 or l1 or weight_decay else None
    scalars, size = [kind(n) for n in rest], vectors[0].size

    def of_part(start: int) -> None:
        part = slice(start, start + PART)
        loop(*(v[part] for v in vectors), given[0][part], None if decay is None else decay[part], *scalars)

    plain = name == "descent" and decay is None and rest[0] == 1
    if size < SHARED:
        loop(*vectors, given[0], decay, *scalars)
    elif not (plain and descend_by_blas(vectors[0], given[0], lr)):
        each(of_part, range(0, size, PART))
