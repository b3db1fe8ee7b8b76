"""For libraries whose arrays can be written to: gradients go straight to their places in one vector."""

from collections.abc import Callable, Sequence
from typing import Any

from xpnn.backends.base import Backend
from xpnn.kernels import Array, Kernels


def buffer(be: Backend, size: int) -> Array | None:
    """Allocated, with whatever the memory held before."""
    return be.xp.empty((size,), dtype=be.dtype, device=be.device)


def memoized(be: Backend, f: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Any]:
    """f's last result is kept: views into arrays show what is written to those."""
    return by_identity(f)


def concat_flat(be: Backend, out: Array | None, parts: Sequence[Array], places: Sequence[Array]) -> Array:
    """Only the parts that do not lie in their places yet are copied."""
    if out is None:
        return Kernels.concat_flat(be, out, parts, places)
    for part, place in zip(parts, places, strict=True):
        if part is not place:
            place[...] = part
    return out


def by_identity(f: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Any]:
    """f, called again only where an argument is another array than the last time."""
    last: tuple[Any, ...] = ()

    def found(a: Array, b: Array) -> Any:
        nonlocal last
        kept = last  # another thread may replace it meanwhile
        if not kept or kept[0] is not a or kept[1] is not b:
            kept = last = a, b, f(a, b)
        return kept[2]

    return found
