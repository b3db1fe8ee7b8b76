"""How several arrays become one, and how the gradient of the one becomes theirs: what all merges share."""

import math
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.axes import stretches
from xpnn.layers.base import Ctx, Shape

MERGES = ("concatenate", "add", "subtract", "multiply", "average")


def merged_shape(merge: str, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of the result. Raises ShapeError when the shapes cannot be merged."""
    if merge == "concatenate":
        if not all(shapes) or len({shape[:-1] for shape in shapes}) > 1:
            raise ShapeError(
                "concatenates shapes that agree but for the last axis", why=f"got {list(shapes)}"
            )
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
    if merge == "subtract" and len(shapes) != 2:
        raise ShapeError("subtracts one input from another", why=f"got {len(shapes)}: {list(shapes)}")
    return broadcast_shape(merge, shapes)


def broadcast_shape(merge: str, shapes: tuple[Shape, ...]) -> Shape:
    """The largest of the sizes on each axis. Raises ShapeError unless the others are as large, or 1."""
    if len({len(shape) for shape in shapes}) > 1:
        raise ShapeError(
            f"wants as many axes in every input to {merge}",
            why=f"got {list(shapes)}",
            fix="Reshape((1, 1, channels)) gives a row of features the axes of an image",
        )
    found = tuple(max(sizes) for sizes in zip(*shapes, strict=True))
    if any(n not in (1, size) for shape in shapes for n, size in zip(shape, found, strict=True)):
        raise ShapeError(f"wants one shape to {merge}, but for axes of 1", why=f"got {list(shapes)}")
    return found


def merged(cx: Ctx, merge: str, arrays: tuple[Array, ...]) -> tuple[Array, tuple[Any, ...]]:
    """-> (y, what `parts` needs): the widths, for a product the arrays, else the shapes."""
    if merge == "concatenate":
        return cx.be.xp.concat(arrays, axis=-1), tuple(a.shape[-1] for a in arrays)
    if merge == "multiply":
        return product(arrays), arrays
    shapes = tuple(a.shape for a in arrays)
    if merge == "subtract":
        return arrays[0] - arrays[1], shapes
    total = added(arrays)
    return (total / len(arrays) if merge == "average" else total), shapes


def parts(cx: Ctx, merge: str, kept: tuple[Any, ...], dy: Array) -> list[Array]:
    """The gradient of each array: dy on its part of the last axis; dy, or -dy; dy prod_{j != i} a_j; or dy / n.

    Summed over the axes on which an array of size 1 was repeated.
    """
    n = len(kept)
    if merge == "concatenate":
        return [dy[..., start:stop] for start, stop in stretches(kept)]
    if merge == "multiply":
        each = (product((dy, *kept[:i], *kept[i + 1 :])) for i in range(n))
        return [summed_to(cx, d, a.shape) for d, a in zip(each, kept, strict=True)]
    if merge == "subtract":
        return [summed_to(cx, dy, kept[0]), summed_to(cx, -dy, kept[1])]
    return [summed_to(cx, dy / n if merge == "average" else dy, shape) for shape in kept]


def summed_to(cx: Ctx, d: Array, shape: Shape) -> Array:
    """d, summed over the axes on which `shape` has 1 and d more."""
    axes = tuple(i for i, n in enumerate(shape) if n == 1 and d.shape[i] != 1)
    return cx.be.xp.sum(d, axis=axes, keepdims=True) if axes else d


def added(arrays: tuple[Array, ...]) -> Array:
    """The sum of the arrays, left to right."""
    return sum(arrays[1:], start=arrays[0])


def product(arrays: tuple[Array, ...]) -> Array:
    """The product of the arrays, left to right."""
    return math.prod(arrays[1:], start=arrays[0])
