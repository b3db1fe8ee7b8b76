"""For libraries whose arrays can be written to: gradients go straight to their places in one vector."""

from collections.abc import Callable, Sequence
from typing import Any

from xpnn.backends.base import Backend
from xpnn.kernels import Array


class InPlace(Backend):
    """Results that are written where they are wanted."""

    def buffer(self, size: int) -> Array | None:
        """As the library gives it: not even zeros."""
        return self.xp.empty((size,), dtype=self.dtype, device=self.device)

    def memoized(self, f: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Any]:
        """Views into arrays stay true when those are written to."""
        return by_identity(f)

    def concat_flat(self, out: Array | None, parts: Sequence[Array], places: Sequence[Array]) -> Array:
        """Only those parts are copied that are not in their places."""
        if out is None:
            return super().concat_flat(out, parts, places)
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
