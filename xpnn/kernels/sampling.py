"""Reading an image between its pixels."""

from xpnn.kernels.base import Array, Backend


def bilinear(be: Backend, x: Array, v: Array, u: Array) -> Array:
    """y[n, i, j] = x[n] at row v[n, i, j] and column u[n, i, j], between its four nearest pixels; 0 outside.

    With v = V + a and u = U + b, V and U whole: (1 - a) ((1 - b) x[V, U] + b x[V, U + 1]) + a (the same of row
    V + 1). Shapes: x (N, H, W, C), v and u (N, rows, columns), y (N, rows, columns, C).
    """
    xp, (n, height, width, channels) = be.xp, x.shape
    row = width + 3
    pixels = xp.reshape(be.pad(x, ((1, 2), (1, 2))), (-1, channels))
    (V, a), (U, b) = _whole_and_rest(be, v, height), _whole_and_rest(be, u, width)
    image = xp.reshape(be.arange(n) * ((height + 3) * row), (n, 1, 1))
    first = xp.reshape(image + V * row + U, (-1,))
    at, right, below, across = (
        xp.reshape(be.take_rows(pixels, first + step), (*v.shape, channels)) for step in (0, 1, row, row + 1)
    )
    upper, lower = at + b * (right - at), below + b * (across - below)
    return upper + a * (lower - upper)


def _whole_and_rest(be: Backend, v: Array, size: int) -> tuple[Array, Array]:
    """Of coordinates, held to [-1, size]: the pixel before them in an image with one pixel of padding, the rest."""
    xp = be.xp
    v = xp.where(v < -1, xp.full_like(v, -1.0), xp.where(v > size, xp.full_like(v, 1.0 * size), v))
    whole = xp.floor(v)
    return xp.astype(whole, xp.int64) + 1, xp.expand_dims(v - whole, axis=-1)


def bilinear_grad(be: Backend, dy: Array, v: Array, u: Array, shape: tuple[int, ...]) -> Array:
    """dx[n, k, l] = sum over i, j of t(v - k) t(u - l) dy[n, i, j], t(s) = max(1 - |s|, 0): bilinear's adjoint.

    As a product of matrices for each sample, so that nothing is scattered and the order of the sum is fixed.
    """
    xp, (n, height, width, channels) = be.xp, shape
    places = [
        be.relu(1 - xp.abs(xp.reshape(at, (n, -1, 1)) - xp.astype(be.arange(size), at.dtype)))
        for at, size in ((v, height), (u, width))
    ]
    dy = xp.reshape(dy, (n, -1, 1, channels)) * xp.expand_dims(places[1], axis=-1)
    spread = xp.reshape(dy, (n, -1, width * channels))
    return xp.reshape(be.matmul(xp.matrix_transpose(places[0]), spread), shape)
