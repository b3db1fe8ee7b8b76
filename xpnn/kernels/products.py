"""Products with weights: x W + b forward and backward, and the ReLU behind it."""

from typing import Any

from xpnn.kernels.base import Array, Backend


def operand(be: Backend, a: Array) -> Array:
    """`a` as products take it: `a` itself, or an override's converted form, once for all products of a step.

    Only for products: it may be sliced, reshaped and transposed, and given to `matmul`, `affine`, `affine_relu`
    and, as x or W, `affine_grads`, which all take arrays as well.
    """
    return a


def affine(be: Backend, x: Array, W: Array, b: Array) -> Array:
    """y = x W + b on the last axis."""
    return be.add_bias(be.matmul(x, W), b)


def add_bias(be: Backend, y: Array, b: Array | None, relu: bool = False) -> Array:
    """y + b on the last axis (b None: y itself); relu: max(y + b, 0). The caller gives y away: it may be written to."""
    y = y if b is None else y + b
    return be.relu(y) if relu else y


def affine_grads(
    be: Backend,
    x: Array,
    W: Array,
    dy: Array,
    out: tuple[Array | None, Array | None] = (None, None),
    need_dx: bool = True,
    relu_mask: Any = None,
) -> tuple[Array | None, Array, Array]:
    """dx = dy W^T (None where it is not needed), dW = x^T dy, db = the column sums of dy.

    For rows x (N, n_in) and dy (N, units). out: for dW and for db, as in `matmul`. relu_mask: that of
    `affine_relu_with_mask` where x is its y; dx then is with respect to what that ReLU was given.
    """
    dx = be.affine_dx(dy, W, x) if need_dx else None
    if dx is not None and relu_mask is not None:
        dx = be.relu_grad(dx, be.xp.reshape(relu_mask, dx.shape), may_overwrite=True)
    return dx, be.matmul(x.T, dy, out[0]), be.column_sums(dy, out[1])


def transposed_products(be: Backend, a: Array, b: Array, d: Array) -> tuple[Array, Array]:
    """a^T d and b^T d, of the rows of a (..., n), b (..., m) and d (N, k): in one product, [a, b]^T d."""
    n, m = a.shape[-1], b.shape[-1]
    both = be.matmul(be.xp.reshape(be.xp.concat([a, b], axis=-1), (-1, n + m)).T, d)
    return both[:n, :], both[n:, :]


def affine_dx(be: Backend, dy: Array, W: Array, x: Array) -> Array:
    """dx = dy W^T on the last axis, to be laid out in memory as x may be."""
    return be.matmul(dy, W.T)


def affine_relu(be: Backend, x: Array, W: Array, b: Array) -> Array:
    """y = max(x W + b, 0) on the last axis."""
    return be.add_bias(be.matmul(x, W), b, relu=True)


def affine_relu_with_mask(be: Backend, x: Array, W: Array, b: Array) -> tuple[Array, Any]:
    """`affine_relu`, and the mask of where y is above 0 for `affine_grads`: y itself, or an override's own form."""
    y = be.affine_relu(x, W, b)
    return y, y
