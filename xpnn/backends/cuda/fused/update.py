"""Updates of flat vectors, in place, and the condition under which they write.

theta and the slots are read and written once. Step count, learning rate and clipping are read on the device.
"""

import contextvars
from collections.abc import Callable
from typing import Any

from xpnn.backends.cuda.fused.launch import CudaBackend, contiguous
from xpnn.kernels import Array, Kernels, Rule

RULES = {"descent": 1, "momentum": 2, "adam": 3}
"""{rule that has a kernel: how many vectors it changes}."""

condition: contextvars.ContextVar[Array | None] = contextvars.ContextVar("condition", default=None)
"""A 0-d array on the device that must be true for an update to write; set by `cond` while it runs its branch."""


def elementwise(
    be: CudaBackend,
    rule: Rule,
    given: tuple[Array, ...],
    vectors: tuple[Array, ...],
    loop: tuple[str, tuple[float, ...], tuple[Array, ...]] | None = None,
) -> tuple[Array, ...]:
    """One launch for a rule that has a kernel; it writes into the vectors unless the condition of `cond` is false."""
    if loop is None or not _takes(be, loop, given, vectors):
        return Kernels.elementwise(be, rule, given, vectors, loop)
    name, numbers, arrays = loop
    ok = condition.get()
    if ok is None:
        ok = be.xp.ones((), dtype=be.xp.bool, device=be.device)
    n = vectors[0].size
    fixed = tuple(float(number) for number in numbers)
    be.launch_over(name, n, *vectors, *map(contiguous, given[:2]), *arrays, ok, n, *fixed, most=4)
    return vectors


def _takes(be: CudaBackend, loop: Any, given: tuple[Array, ...], vectors: tuple[Array, ...]) -> bool:
    """Is there a kernel for the rule, and can it write into these vectors?"""
    name, _, (_, lr, clip) = loop
    return (
        RULES.get(name) == len(vectors)
        and be.launchable(*vectors, *given[:2], lr, clip)
        and all(v.flags.c_contiguous for v in vectors)
    )


def cond(be: CudaBackend, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
    """`then` runs with its updates under the condition, which the device checks; other results are selected afterwards.

    A nested condition is true where both are. Each thread has its own, which ends with the call.
    """
    outer = condition.get()
    token = condition.set(ok if outer is None else ok & outer)
    try:
        new = then(tree)
    finally:
        condition.reset(token)
    return {
        name: new[name] if new[name] is old else be.xp.where(ok, new[name], old) for name, old in tree.items()
    }
