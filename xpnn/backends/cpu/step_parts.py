"""The parts of a compiled training step, as C functions of a plan, a room (see `step_loops`), part and thread."""

import functools
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.np.unsafe.ndarray import to_fixed_tuple

from xpnn.backends.cpu.atomics import vector_at
from xpnn.backends.cpu.flat import adam_loop, descent_loop, momentum_loop
from xpnn.backends.cpu.loops import Array, compiled
from xpnn.backends.cpu.step_loops import (
    DECAY,
    FINITE,
    LAYER,
    LAYER_COUNT,
    PART,
    PARTS,
    ROOM,
    SQUARES,
    START,
    STOP,
    THETA,
    WEIGHTS,
    M,
    V,
    backward,
    forward,
    gradient,
    loss,
    read,
    sums_of,
)  # fmt: skip

MOST = 1 << 20
"""More than a plan has words."""


@compiled
def opened(words: Any, numbers: Any) -> tuple[Array, Array]:
    """The plan and the room, of their addresses."""
    plan = numba.carray(words, (MOST,))
    return plan, numba.carray(numbers, (plan[ROOM],))


def walk_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """Some rows, through all layers and back."""
    plan, room = opened(words, numbers)
    part, last, sums = plan[PARTS] + PART * i, plan[LAYER_COUNT], sums_of(plan, room, i)
    start, stop = plan[part + START], plan[part + STOP]
    read(plan, room, start, stop, sums)
    for k in range(1, last + 1):
        forward(plan, room, k, start, stop, sums)
    loss(plan, room, start, stop, sums)
    for k in range(last, 1, -1):
        backward(plan, room, k, start, stop, sums)


def read_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """Some rows of x."""
    plan, room = opened(words, numbers)
    part = plan[PARTS] + PART * i
    read(plan, room, plan[part + START], plan[part + STOP], sums_of(plan, room, i))


def forward_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """Some columns of y; of the last layer some rows, and their loss."""
    plan, room = opened(words, numbers)
    part, sums = plan[PARTS] + PART * i, sums_of(plan, room, i)
    forward(plan, room, plan[part + LAYER], plan[part + START], plan[part + STOP], sums)
    if plan[part + LAYER] == plan[LAYER_COUNT]:
        loss(plan, room, plan[part + START], plan[part + STOP], sums)


def backward_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """Some columns of the gradient of x."""
    plan, room = opened(words, numbers)
    part = plan[PARTS] + PART * i
    backward(plan, room, plan[part + LAYER], plan[part + START], plan[part + STOP], sums_of(plan, room, i))


def check_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """Whether the loss is finite, and no gradient can overflow: |x^T dy| <= |x| |dy|. The sums of all parts."""
    plan, room = opened(words, numbers)
    sums, limit, good = sums_of(plan, room, i), np.sqrt(np.finfo(room.dtype).max), True
    sums[:] = 0
    for other in range(i):
        one = sums_of(plan, room, other)
        for j in range(sums.size):
            sums[j] += one[j]
    for j in range(sums.size):
        good &= np.isfinite(sums[j]) if j < SQUARES else sums[j] < limit
    plan[FINITE] = good


@compiled
def weights(plan: Array, room: Array, which: int, start: int, size: int) -> Array:
    """`size` of theta or of a vector of the rule, from `start` on."""
    found: Array = vector_at(plan[which], plan[WEIGHTS], room)[start : start + size]
    return found


def descent_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """The gradient of some weights, and SGD."""
    plan, room = opened(words, numbers)
    if plan[FINITE]:
        start, grad = gradient(plan, room, i, me)
        theta, rest = weights(plan, room, THETA, start, grad.size), to_fixed_tuple(room, 5)
        if plan[DECAY]:
            descent_loop(theta, grad, weights(plan, room, DECAY, start, grad.size), *rest)
        else:
            descent_loop(theta, grad, None, *rest)


def momentum_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """The gradient of some weights, and SGD with momentum."""
    plan, room = opened(words, numbers)
    if plan[FINITE]:
        start, grad = gradient(plan, room, i, me)
        theta, rest = weights(plan, room, THETA, start, grad.size), to_fixed_tuple(room, 7)
        v = weights(plan, room, M, start, grad.size)
        if plan[DECAY]:
            momentum_loop(theta, v, grad, weights(plan, room, DECAY, start, grad.size), *rest)
        else:
            momentum_loop(theta, v, grad, None, *rest)


def adam_part(words: Any, numbers: Any, i: int, me: int) -> None:
    """The gradient of some weights, and Adam."""
    plan, room = opened(words, numbers)
    if plan[FINITE]:
        start, grad = gradient(plan, room, i, me)
        theta, rest = weights(plan, room, THETA, start, grad.size), to_fixed_tuple(room, 10)
        m, v = weights(plan, room, M, start, grad.size), weights(plan, room, V, start, grad.size)
        if plan[DECAY]:
            adam_loop(theta, m, v, grad, weights(plan, room, DECAY, start, grad.size), *rest)
        else:
            adam_loop(theta, m, v, grad, None, *rest)


UPDATES = {"descent": descent_part, "momentum": momentum_part, "adam": adam_part}
"""{name of a rule: the part that computes gradients and updates weights by it}."""


@functools.cache
def address_of(part: Callable[..., None], dtype: Any) -> int:
    """Of the C function that `part` is compiled to."""
    vectors = types.CPointer(types.int64), types.CPointer(numba.from_dtype(np.dtype(dtype)))
    return int(as_c_function(types.void(*vectors, types.int64, types.int64), part).address)


def as_c_function(signature: Any, f: Any) -> Any:
    """Compiled, and cached on the disk where a folder can be written."""
    try:
        return numba.cfunc(signature, cache=True, error_model="numpy")(f)
    except (RuntimeError, OSError):
        return numba.cfunc(signature, error_model="numpy")(f)
