"""Reading along one axis by numbers of places."""

from xpnn.kernels.base import Array, Backend


def take_axis(be: Backend, x: Array, ids: Array, axis: int) -> Array:
    """y[..., i, ...] = x[..., ids[i], ...] on that axis, for a vector of int64 `ids`."""
    return be.xp.take(x, ids, axis=axis)


def take_axis_grad(be: Backend, dy: Array, ids: Array, n: int, axis: int) -> Array:
    """dx[..., k, ...] = the sum of dy[..., i, ...] over the i with ids[i] = k, of n places: take_axis's adjoint."""
    xp, others = be.xp, [i for i in range(dy.ndim) if i != axis]
    rows = xp.permute_dims(dy, (axis, *others))
    sums = xp.reshape(be.add_rows(ids, xp.reshape(rows, (rows.shape[0], -1)), n), (n, *rows.shape[1:]))
    return xp.permute_dims(sums, (*range(1, axis + 1), 0, *range(axis + 1, dy.ndim)))
