"""Rows by their numbers: taken, added up, marked with a one."""

from xpnn.kernels.base import Array, Backend


def take_rows(be: Backend, x: Array, rows: Array) -> Array:
    """x[rows]: the batch that the int64 `rows` name."""
    return be.xp.take(x, rows, axis=0)


def take_rescaled(be: Backend, x: Array, rows: Array, scale: float, offset: float) -> Array:
    """scale x[rows] + offset in the model's dtype: bytes become numbers on the way."""
    y = be.xp.astype(be.take_rows(x, rows), be.dtype) * scale
    return y + offset if offset else y


def rows_at(be: Backend, order: Array, cursor: Array, n: int) -> Array:
    """order[cursor], ..., order[cursor + n - 1], where the 0-d `cursor` stays on the device."""
    return be.xp.take(order, cursor + be.arange(n), axis=0)


def one_hot(be: Backend, ids: Array, classes: int) -> Array:
    """(N,) class ids to (N, classes) rows of the model's dtype."""
    return be.xp.astype(ids[:, None] == be.arange(classes)[None, :], be.dtype)


def add_rows(be: Backend, ids: Array, rows: Array, n: int) -> Array:
    """(n, width): row i is the sum of those of the `rows` (N, width) whose id, one of (N,), is i.

    The adjoint of `take_rows`, as a product with a matrix of 0 and 1.
    """
    return be.matmul(be.one_hot(ids, n).T, rows)
