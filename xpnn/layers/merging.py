"""How several arrays become one, and how the gradient of the one becomes theirs: what all merges share."""

import math
from typing import Any

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Shape

MERGES = ("concatenate", "add", "multiply", "average")


def merged_shape(merge: str, shapes: tuple[Shape, ...]) -> Shape:
    """The shape of the result. Raises ShapeError when the shapes cannot be merged."""
    if merge == "concatenate":
        if not all(shapes) or len({shape[:-1] for shape in shapes}) > 1:
            raise ShapeError(
                "concatenates shapes that agree but for the last axis", why=f"got {list(shapes)}"
            )
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
    if len(set(shapes)) > 1:
        raise ShapeError(f"wants one shape to {merge}", why=f"got {list(shapes)}")
    return shapes[0]


def merged(cx: Ctx, merge: str, arrays: tuple[Array, ...]) -> tuple[Array, tuple[Any, ...]]:
    """-> (y, what `parts` needs): the widths or, for a product, the arrays."""
    if merge == "concatenate":
        return cx.be.xp.concat(arrays, axis=-1), tuple(a.shape[-1] for a in arrays)
    if merge == "multiply":
        return product(arrays), arrays
    total = added(arrays)
    return (total / len(arrays) if merge == "average" else total), ()


def parts(merge: str, kept: tuple[Any, ...], n: int, dy: Array) -> list[Array]:
    """The gradient of each of the n arrays: dy on its part of the last axis; dy prod_{j != i} a_j; dy; or dy / n."""
    if merge == "concatenate":
        stops = [sum(kept[: i + 1]) for i in range(n)]
        return [dy[..., stop - width : stop] for stop, width in zip(stops, kept, strict=True)]
    if merge == "multiply":
        return [product((dy, *kept[:i], *kept[i + 1 :])) for i in range(n)]
    return [dy / n if merge == "average" else dy] * n


def added(arrays: tuple[Array, ...]) -> Array:
    """Their sum, left to right."""
    return sum(arrays[1:], start=arrays[0])


def product(arrays: tuple[Array, ...]) -> Array:
    """Their product, left to right."""
    return math.prod(arrays[1:], start=arrays[0])
