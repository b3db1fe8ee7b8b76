"""Lengths of vectors of any size: of 1e20 the square is infinite in float32, of 1e-25 it is 0."""

from typing import Any

from xpnn.kernels.base import Array


def scaled(
    be: Any, x: Array, axis: int | tuple[int, ...] | None = None, up: bool = True
) -> tuple[Array, Array]:
    """(x / s, s), with the largest |x| / s between 1 and 4, along `axis`, which is kept. up: small x too, else s >= 1.

    s is at most a quarter of the dtype's largest number: XLA divides by multiplying with 1 / s, and where that is no
    normal number it takes 0 for it.
    """
    xp = be.xp
    top = xp.max(xp.abs(x), axis=axis, keepdims=True)
    one = xp.ones_like(top)
    s = xp.where(top > 4, top / 4, xp.where(top > 0, top, one) if up else one)
    return x / s, s


def length(be: Any, x: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """|x| = sqrt(sum x^2), as s |x / s|, so that no square overflows or vanishes. Given axes are kept."""
    small, s = scaled(be, x, axis)
    found = s * be.xp.sqrt(be.xp.sum(small * small, axis=axis, keepdims=True))
    return found if axis is not None else be.xp.reshape(found, ())


def unit(be: Any, x: Array, axis: int | tuple[int, ...]) -> Array:
    """x / |x| along `axis`; zeros stay zeros."""
    small, _ = scaled(be, x, axis)
    size = be.xp.sqrt(be.xp.sum(small * small, axis=axis, keepdims=True))
    return small / be.xp.where(size > 0, size, be.xp.ones_like(size))
