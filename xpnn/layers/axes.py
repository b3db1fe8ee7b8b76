"""Axes of a sample, as layers with such a setting count them: 1 is the first, -1 the last; 0 is that of the samples."""

import itertools
from collections.abc import Iterable
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape


def check_axes(layer: Layer, *axes: Any) -> None:
    """Raise UsageError for the axis of the samples: no layer mixes them."""
    if 0 in axes:
        raise UsageError(
            f"{layer!r}: axis 0 is that of the samples",
            fix="the axes of one sample are 1, 2, ..., or -1, -2, ...",
        )


def axis_of(axis: int, shape: Shape) -> int:
    """The axis of an array (N, *shape), counted from its front. Raises ShapeError where there is none."""
    rank = len(shape)
    if not (1 <= axis <= rank or -rank <= axis <= -1):
        raise ShapeError(f"wants an axis {axis}", why=f"a sample is {shape}: its axes are 1 to {rank}")
    return axis if axis > 0 else rank + 1 + axis


def axes_of(axes: tuple[int, ...] | None, shape: Shape) -> tuple[int, ...]:
    """Several of them, in rising order; None: all. Raises ShapeError for one that is named twice."""
    if axes is None:
        return tuple(range(1, len(shape) + 1))
    found = tuple(sorted(axis_of(axis, shape) for axis in axes))
    if len(set(found)) < len(found):
        raise ShapeError(f"names an axis twice: {axes}", why=f"a sample is {shape}")
    return found


def stretches(sizes: Iterable[int]) -> list[tuple[int, int]]:
    """Where each of several parts that lie side by side begins and ends."""
    ends = [0, *itertools.accumulate(sizes)]
    return [*itertools.pairwise(ends)]


def along(axis: int, start: int, stop: int, step: int = 1) -> tuple[slice, ...]:
    """The index that takes start:stop:step of that axis of an array, and all of those before it."""
    return (*(slice(None),) * axis, slice(start, stop, step))


def zeros_beside(cx: Ctx, a: Array, axis: int, before: int, behind: int) -> Array:
    """`a` with that many zeros before and behind it on one axis."""
    sizes = (a.shape[:axis], a.shape[axis + 1 :])
    parts = [cx.be.zeros((*sizes[0], n, *sizes[1])) for n in (before, behind)]
    return cx.be.xp.concat([parts[0], a, parts[1]], axis=axis)
