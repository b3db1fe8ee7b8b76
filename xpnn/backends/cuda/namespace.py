"""CuPy's Array API namespace without what asks the host: no recorded step may do that, and no other should."""

from collections.abc import Sequence
from typing import Any

from xpnn.kernels import Array

FEW = 8
"""CuPy joins so many arrays one by one; of more it sends the addresses to the device, which cannot be recorded."""


class Recordable:
    """`xp` of array-api-compat, with `concat` and `stack` in parts and CuPy's own `sign`."""

    def __init__(self, xp: Any, cupy: Any) -> None:
        self._xp, self._cupy = xp, cupy

    def __getattr__(self, name: str) -> Any:
        """Looked up once: steps ask often."""
        found = getattr(self._xp, name)
        setattr(self, name, found)
        return found

    def concat(self, arrays: Sequence[Array], /, *, axis: int | None = 0) -> Array:
        """FEW at a time, then what they became."""
        while len(arrays) > FEW:
            parts = [arrays[i : i + FEW] for i in range(0, len(arrays), FEW)]
            arrays = [part[0] if len(part) == 1 else self._xp.concat(part, axis=axis) for part in parts]
        return self._xp.concat(arrays, axis=axis)

    def stack(self, arrays: Sequence[Array], /, *, axis: int = 0) -> Array:
        """As concat does it."""
        return self.concat([self._xp.expand_dims(a, axis=axis) for a in arrays], axis=axis)

    def sign(self, x: Array, /) -> Array:
        """NaN of NaN. array-api-compat writes the NaN over it once more, and asks the device how many there are."""
        return self._cupy.sign(x)
