"""The parts of a compiled training step, as C functions of a plan, a workspace (see `step_loops`), part and thread."""

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
    SQUARES,
    START,
    STOP,
    THETA,
    WEIGHTS,
    WORKSPACE,
    M,
    V,
    backward,
    forward,
    gradient,
    loss,
    prepare_input,
    sums_of,
)  # fmt: skip

MANY_WORDS = 1 << 20
"""More than a plan has."""


@compiled
def arrays_at(words: Any, numbers: Any) -> tuple[Array, Array]:
    """The plan and the workspace, of their addresses."""
    plan = numba.carray(words, (MANY_WORDS,))
    return plan, numba.carray(numbers, (plan[WORKSPACE],))


def rows_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """Some rows, through all layers and back."""
    plan, workspace = arrays_at(words, numbers)
    part, last, sums = plan[PARTS] + PART * i, plan[LAYER_COUNT], sums_of(plan, workspace, i)
    start, stop = plan[part + START], plan[part + STOP]
    prepare_input(plan, workspace, start, stop, sums)
    for k in range(1, last + 1):
        forward(plan, workspace, k, start, stop, sums)
    loss(plan, workspace, start, stop, sums)
    for k in range(last, 1, -1):
        backward(plan, workspace, k, start, stop, sums)


def input_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """Some rows of x."""
    plan, workspace = arrays_at(words, numbers)
    part = plan[PARTS] + PART * i
    prepare_input(plan, workspace, plan[part + START], plan[part + STOP], sums_of(plan, workspace, i))


def forward_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """Some columns of y; of the last layer some rows, and their loss."""
    plan, workspace = arrays_at(words, numbers)
    part, sums = plan[PARTS] + PART * i, sums_of(plan, workspace, i)
    forward(plan, workspace, plan[part + LAYER], plan[part + START], plan[part + STOP], sums)
    if plan[part + LAYER] == plan[LAYER_COUNT]:
        loss(plan, workspace, plan[part + START], plan[part + STOP], sums)


def backward_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """Some columns of the gradient of x."""
    plan, workspace = arrays_at(words, numbers)
    part = plan[PARTS] + PART * i
    backward(
        plan,
        workspace,
        plan[part + LAYER],
        plan[part + START],
        plan[part + STOP],
        sums_of(plan, workspace, i),
    )


def check_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """Whether the loss is finite, and no gradient can overflow: |x^T dy| <= |x| |dy|. The sums of all parts."""
    plan, workspace = arrays_at(words, numbers)
    sums, limit, good = sums_of(plan, workspace, i), np.sqrt(np.finfo(workspace.dtype).max), True
    sums[:] = 0
    for other in range(i):
        one = sums_of(plan, workspace, other)
        for j in range(sums.size):
            sums[j] += one[j]
    for j in range(sums.size):
        good &= np.isfinite(sums[j]) if j < SQUARES else sums[j] < limit
    plan[FINITE] = good


@compiled
def weights(plan: Array, workspace: Array, which: int, start: int, size: int) -> Array:
    """`size` of theta or of a vector of the rule, from `start` on."""
    found: Array = vector_at(plan[which], plan[WEIGHTS], workspace)[start : start + size]
    return found


def descent_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """The gradient of some weights, and SGD."""
    plan, workspace = arrays_at(words, numbers)
    if plan[FINITE]:
        start, grad = gradient(plan, workspace, i, thread)
        theta, rest = weights(plan, workspace, THETA, start, grad.size), to_fixed_tuple(workspace, 5)
        if plan[DECAY]:
            descent_loop(theta, grad, weights(plan, workspace, DECAY, start, grad.size), *rest)
        else:
            descent_loop(theta, grad, None, *rest)


def momentum_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """The gradient of some weights, and SGD with momentum."""
    plan, workspace = arrays_at(words, numbers)
    if plan[FINITE]:
        start, grad = gradient(plan, workspace, i, thread)
        theta, rest = weights(plan, workspace, THETA, start, grad.size), to_fixed_tuple(workspace, 7)
        v = weights(plan, workspace, M, start, grad.size)
        if plan[DECAY]:
            momentum_loop(theta, v, grad, weights(plan, workspace, DECAY, start, grad.size), *rest)
        else:
            momentum_loop(theta, v, grad, None, *rest)


def adam_part(words: Any, numbers: Any, i: int, thread: int) -> None:
    """The gradient of some weights, and Adam."""
    plan, workspace = arrays_at(words, numbers)
    if plan[FINITE]:
        start, grad = gradient(plan, workspace, i, thread)
        theta, rest = weights(plan, workspace, THETA, start, grad.size), to_fixed_tuple(workspace, 10)
        m, v = weights(plan, workspace, M, start, grad.size), weights(plan, workspace, V, start, grad.size)
        if plan[DECAY]:
            adam_loop(theta, m, v, grad, weights(plan, workspace, DECAY, start, grad.size), *rest)
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
