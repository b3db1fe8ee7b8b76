"""CuPy's Array API namespace without operations that wait for the host: a recorded step cannot contain them."""

from collections.abc import Sequence
from typing import Any

from xpnn.kernels import Array

FEW = 8
"""CuPy joins up to so many arrays one by one; for more it copies addresses to the device, which no graph records."""


class Recordable:
    """`xp` of array-api-compat, with `concat` and `stack` in parts and CuPy's own `sign`."""

    def __init__(self, xp: Any, cupy: Any) -> None:
        self._xp, self._cupy = xp, cupy

    def __getattr__(self, name: str) -> Any:
        """Kept after the first look-up, since steps look names up often."""
        found = getattr(self._xp, name)
        setattr(self, name, found)
        return found

    def concat(self, arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
        """FEW arrays at a time, then the results of those."""
        while len(arrays) > FEW:
            parts = [arrays[i : i + FEW] for i in range(0, len(arrays), FEW)]
            arrays = [part[0] if len(part) == 1 else self._xp.concat(part, axis=axis) for part in parts]
        return self._xp.concat(arrays, axis=axis)

    def stack(self, arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
        """By `concat`, with one axis more."""
        return self.concat([self._xp.expand_dims(a, axis=axis) for a in arrays], axis=axis)

    def sign(self, x: Array, /) -> Array:
        """sign(NaN) = NaN. array-api-compat writes the NaNs a second time, and waits for the device to count them."""
        return self._cupy.sign(x)
