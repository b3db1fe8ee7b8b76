"""The kernels on flat vectors as a trace for a compiler wants them: parameter by parameter, so that nothing is joined.

A compiler makes one loop of what happens to an array, but none of what happens to a vector that is put together from
others: that is written to memory first. So while a step is traced, each vector that is joined is remembered with its
pieces; what follows is computed from these, and the whole vector only where something else reads it.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from xpnn.backends.base import Backend
from xpnn.kernels import Array, Kernels, Rule

TRACED: ContextVar[bool] = ContextVar("TRACED", default=False)
"""Whether a function is being traced: no array has a value then that may decide."""
PIECES: ContextVar[dict[int, tuple[Array, tuple[Array, ...]]] | None] = ContextVar("PIECES", default=None)
"""Of the present trace: by the id of a joined vector, itself, which keeps its id in use, and its pieces."""
LEAST = 1 << 14
"""Numbers from which on a parameter is a piece of its own; each piece is a loop to compile. Smaller ones are joined."""
MOST_PIECES = 64
"""Pieces of one vector; with more large parameters it stays whole."""


def concat_flat(be: Backend, out: Array | None, parts: Sequence[Array], places: Sequence[Array]) -> Array:
    """While tracing, remembered as its pieces."""
    known = PIECES.get()
    if known is None:
        return Kernels.concat_flat(be, out, parts, places)
    pieces: list[Array] = []
    small: list[Array] = []
    for part in [*(be.xp.reshape(part, (-1,)) for part in parts), None]:
        if part is not None and part.shape[0] < LEAST:
            small.append(part)
            continue
        if small:
            pieces.append(be.xp.concat(small) if len(small) > 1 else small[0])
            small = []
        if part is not None:
            pieces.append(part)
    return joined(be, pieces)


def joined(be: Backend, pieces: Sequence[Array]) -> Array:
    """The pieces as one vector, which is remembered with them."""
    whole, known = be.xp.concat(list(pieces)), PIECES.get()
    if known is not None and 1 < len(pieces) <= MOST_PIECES:
        known[id(whole)] = whole, tuple(pieces)
    return whole


def pieces_of(a: Array) -> tuple[Array, ...]:
    """The pieces of a vector that was joined in this trace; of any other array none."""
    return (PIECES.get() or {}).get(id(a), (a, ()))[1]


def cut(a: Array, like: Sequence[Array]) -> Sequence[Array]:
    """A vector in pieces as long as those."""
    sizes = [piece.shape[0] for piece in like]
    own = pieces_of(a)
    if [piece.shape[0] for piece in own] == sizes:
        return own
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [a[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def elementwise(
    be: Backend,
    rule: Rule,
    given: tuple[Array, ...],
    vectors: tuple[Array, ...],
    loop: tuple[str, tuple[float, ...], tuple[Array, ...]] | None = None,
) -> tuple[Array, ...]:
    """The rule for each piece of the vectors, where one of those given has pieces."""
    like: tuple[Array, ...] = next(filter(None, map(pieces_of, given)), ())
    if not like:
        return Kernels.elementwise(be, rule, given, vectors, loop)
    each = zip(*[cut(a, like) for a in (*given, *vectors)], strict=True)
    results = [rule(*arrays) for arrays in each]
    return tuple(joined(be, pieces) for pieces in zip(*results, strict=True))


def all_finite(be: Backend, *arrays: Array) -> Array:
    """Each piece is read while the product that made it is still in the cache."""
    return Kernels.all_finite(be, *[piece for a in arrays for piece in pieces_of(a) or (a,)])


def cond(be: Backend, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
    """Both are computed, one is kept, piece by piece; what `then` leaves as it is stays what it is."""

    def chosen(new: Array, old: Array) -> Array:
        if new is old:
            return old
        pieces = pieces_of(new)
        if not pieces:
            return be.xp.where(ok, new, old)
        pairs = zip(pieces, cut(old, pieces), strict=True)
        return joined(be, [be.xp.where(ok, a, b) for a, b in pairs])

    new = then(tree)
    return {name: chosen(new[name], tree[name]) for name in tree}
