"""What the training step does with flat vectors: update them, join them, check them, choose between two."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from xpnn.kernels.base import Array, Backend, Rule


def elementwise(
    be: Backend,
    rule: Rule,
    given: tuple[Array, ...],
    vectors: tuple[Array, ...],
    loop: tuple[str, tuple[float, ...], tuple[Array, ...]] | None = None,
) -> tuple[Array, ...]:
    """rule(*given, *vectors) -> new vectors, where `rule` treats every element alone.

    The caller gives `vectors` away: an override may work in blocks and write the results into them. loop:
    the name of the rule, the numbers in it, and the 0-d arrays that it reads, for an override that has a loop of
    that name.
    """
    return rule(*given, *vectors)


def concat_flat(be: Backend, out: Array | None, parts: Sequence[Array], places: Sequence[Array]) -> Array:
    """All parts, end to end, as one vector.

    flat, places: an empty vector of their length and its views, of the parts' shapes, where there is one: an
    override fills it with those parts that are not their places themselves.
    """
    return be.xp.concat([be.xp.reshape(part, (-1,)) for part in parts])


def all_finite(be: Backend, *arrays: Array) -> Array:
    """0-d bool: no NaN and no infinity in any of them."""
    xp = be.xp
    return xp.all(xp.stack([xp.all(xp.isfinite(x)) for x in arrays]))


def nan_unless(be: Backend, ok: Array, value: Array) -> Array:
    """value where ok (0-d bool), else NaN, without asking the device."""
    return be.xp.where(ok, value, be.xp.full_like(value, math.nan))


def all_reduce(be: Backend, a: Array) -> Array:
    """The sum of `a` over all processes that share a run; a itself of one alone. The caller gives `a` away."""
    return a


def cond(be: Backend, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
    """then(tree) if `ok` (0-d bool) else tree, without asking the device: both are computed, one is kept."""
    new = then(tree)
    return {name: be.xp.where(ok, new[name], tree[name]) for name in tree}
