"""Large arrays, a piece at a time: what is done to a piece finds it in the processor's caches."""

from collections.abc import Iterator

from xpnn.kernels import Array

BLOCK = 1 << 15
"""Elements per block of a flat update: with its temporaries it stays inside the processor's caches."""
NARROW = 16
"""Numbers side by side: a copy or a sum over fewer at a time takes longer than another order of the loops."""


def blocks(x: Array) -> Iterator[Array]:
    """Views of consecutive rows, about BLOCK elements each."""
    rows = max(1, BLOCK * len(x) // max(1, x.size))
    return (x[i : i + rows] for i in range(0, len(x), rows))


def is_column_major(*arrays: Array) -> bool:
    """Matrices whose columns lie one after the other, all of them?"""
    return all(a.ndim == 2 and a.T.flags.carray and not a.flags.carray for a in arrays)
