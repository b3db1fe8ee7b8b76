"""NumPy's update rules over flat vectors, in place: each operation writes where a later one reads from the cache.

Each is the rule of its name in `xpnn.optimizers`: the weights and their slots, the gradient, two vectors to write to on
the way, and numbers. By the rule itself every operation makes a vector: Adam of 101,770 weights took 415 us instead of
171, of 1.86 million 5.7 ms instead of 4.2.
"""

import math
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from xpnn.backends.cpu.axpy import axpy, fits
from xpnn.backends.cpu.workers import each, workers
from xpnn.kernels import Array

BLOCK = 1 << 18
"""Numbers at a time. Each block takes some calls of Python's: of 1.86 million weights SGD took 0.81 ms at an eighth of
that and 0.47 now, Adam 3.7 and 3.3.
"""
SHARED, PART = 1 << 19, 1 << 17
"""From so many weights on several threads share them, and each takes so many at a time, at most BLOCK.

Adam of 262,144, 535,818 and 2,097,152 took 0.61, 1.02 and 4.31 ms on one of two cores, on both 0.55, 0.79 and 2.93; in
parts half as long 0.64, 0.92 and 3.25, as Python's threads wait for each other between short operations.
"""
Numbers: TypeAlias = tuple[float, ...]


def descent(theta: Array, g: Array, a: Array, b: Array, lr: Any) -> None:
    """SGD: w <- w - lr g."""
    theta -= np.multiply(g, lr, out=a)


def momentum(theta: Array, v: Array, g: Array, a: Array, b: Array, keep: Any, nesterov: Any, lr: Any) -> None:
    """SGD with momentum: v <- keep v + g; w <- w - lr v, or with Nesterov's w - lr (g + keep v)."""
    v *= keep
    v += g
    step = np.add(np.multiply(v, keep, out=a), g, out=a) if nesterov else v
    theta -= np.multiply(step, lr, out=a)


def adam(
    theta: Array, m: Array, v: Array, g: Array, a: Array, b: Array,
    beta1: Any, rest1: Any, beta2: Any, rest2: Any, floor: Any, rate: Any,
) -> None:  # fmt: skip
    """Adam, its fraction expanded by the root of v's bias correction."""
    m *= beta1
    m += np.multiply(g, rest1, out=a)
    v *= beta2
    v += np.multiply(np.multiply(g, rest2, out=a), g, out=a)
    np.sqrt(v, out=a)
    a += floor
    np.multiply(m, rate, out=b)
    b /= a
    theta -= b


def adam_numbers(t: int, lr: float, numbers: Numbers) -> Numbers:
    """The betas, then eps and lr with both bias corrections multiplied in."""
    beta1, _, beta2, _, eps = numbers
    root = math.sqrt(correction(beta2, t))
    return *numbers[:4], eps * root, lr * root / correction(beta1, t)


def correction(beta: float, t: int) -> float:
    """1 - beta^t, without cancellation."""
    return -math.expm1(t * math.log(beta)) if beta > 0 else 1.0


LAST: dict[str, Callable[[int, float, Numbers], Numbers]] = {
    "descent": lambda t, lr, numbers: (lr,),
    "momentum": lambda t, lr, numbers: (*numbers, lr),
    "adam": adam_numbers,
}
"""{name of a rule: what computes its last numbers from t, lr and the numbers of the rule}."""
RULES: dict[str, Callable[..., None]] = {"descent": descent, "momentum": momentum, "adam": adam}


class Scratch(threading.local):
    """Three vectors of BLOCK numbers for each thread and dtype, and as many for each of its helpers; they are kept."""

    def __init__(self) -> None:
        self.kept: dict[Any, list[tuple[Array, ...]]] = {}

    def of(self, dtype: Any, count: int = 1) -> list[tuple[Array, ...]]:
        """The vectors of that dtype, three by three, for so many threads."""
        found = self.kept.setdefault(dtype, [])
        while len(found) < count:
            found.append(tuple(np.empty(BLOCK, dtype) for _ in range(3)))
        return found[:count]


SCRATCH = Scratch()


def update(name: str, vectors: tuple[Array, ...], given: tuple[Array, ...], numbers: Any, read: Any) -> None:
    """The rule of that name, a block at a time; all memory is there before the first is written.

    given: gradient and decay; numbers, read: see `Kernels.elementwise`. The numbers are arrays, of which an operation
    makes no copy. Plain SGD is one operation of BLAS, whose products and sums are rounded once.
    """
    (l2, l1, weight_decay, *own), (t, lr) = numbers, (int(read[0]), float(read[1]))
    rule, (grad, decay, *_), dtype = RULES[name], given, vectors[0].dtype
    last = [np.array(n, dtype) for n in LAST[name](t, lr, tuple(own))]
    clip, *penalties = (np.array(n, dtype) for n in (read[2], lr * weight_decay, l2, l1))
    clipped, penalised = clip != 1, any(penalties)
    if name == "descent" and not (clipped or penalised) and descend_by_blas(vectors[0], grad, lr):
        return
    size = vectors[0].size
    threads = workers() if size >= SHARED else 1
    length, rooms = BLOCK if threads == 1 else PART, SCRATCH.of(dtype, threads)

    def of_part(start: int) -> None:
        block, room = slice(start, start + length), rooms.pop()
        theta, *slots = [vector[block] for vector in vectors]
        a, b, c = [vector[: theta.size] for vector in room]
        g = grad[block]
        if clipped:
            g = np.multiply(g, clip, out=c)
        if penalised:
            g = with_penalties(theta, g, decay[block], (a, b, c), *penalties)
        rule(theta, *slots, g, a, b, *last)
        rooms.append(room)

    if size <= length:
        of_part(0)
    else:
        each(of_part, range(0, size, length), threads)


def descend_by_blas(theta: Array, grad: Array, lr: float) -> bool:
    """w <- w - lr g by BLAS, on its threads; False, and nothing done, where it cannot."""
    if not fits(grad, theta) or (add := axpy(theta.dtype)) is None:
        return False
    add(-lr, grad, theta)
    return True


def with_penalties(
    theta: Array, g: Array, decay: Array, room: tuple[Array, ...], shrink: Array, l2: Array, l1: Array
) -> Array:
    """Decoupled decay of theta, and the gradient with those of the penalties."""
    a, b, c = room
    if shrink:
        theta -= np.multiply(np.multiply(decay, shrink, out=a), theta, out=a)
    if l2:
        g = np.add(g, np.multiply(np.multiply(decay, l2, out=a), theta, out=a), out=c)
    if l1:
        g = np.add(g, np.multiply(np.multiply(decay, l1, out=a), np.sign(theta, out=b), out=a), out=c)
    return g
