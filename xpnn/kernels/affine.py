"""x W + b, there and back, and the ReLU behind it."""

from typing import Any

from xpnn.kernels.base import Array, BaseKernels


class AffineKernels(BaseKernels):
    """What the fully connected layer takes, and every layer that multiplies by weights."""

    def operand(self, a: Array) -> Array:
        """`a` as products take it: `a` itself, or an override's converted form, once for all products of a step.

        Only for products: it may be sliced, reshaped and transposed, and given to `matmul`, `affine`, `affine_relu`
        and, as x or W, `affine_grads`, which all take arrays as well.
        """
        return a

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """y = x W + b on the last axis."""
        return self.matmul(x, W) + b

    def affine_grads(
        self,
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
        dx = self.affine_dx(dy, W, x) if need_dx else None
        if dx is not None and relu_mask is not None:
            dx = self.relu_grad(dx, self.xp.reshape(relu_mask, dx.shape), may_overwrite=True)
        return dx, self.matmul(x.T, dy, out[0]), self.column_sums(dy, out[1])

    def transposed_products(self, a: Array, b: Array, d: Array) -> tuple[Array, Array]:
        """a^T d and b^T d, of the rows of a (..., n), b (..., m) and d (N, k): in one product, [a, b]^T d."""
        n, m = a.shape[-1], b.shape[-1]
        both = self.matmul(self.xp.reshape(self.xp.concat([a, b], axis=-1), (-1, n + m)).T, d)
        return both[:n, :], both[n:, :]

    def affine_dx(self, dy: Array, W: Array, x: Array) -> Array:
        """dx = dy W^T on the last axis, to be laid out in memory as x may be."""
        return self.matmul(dy, W.T)

    def affine_relu(self, x: Array, W: Array, b: Array) -> Array:
        """y = max(x W + b, 0) on the last axis."""
        return self.relu(self.affine(x, W, b))

    def affine_relu_with_mask(self, x: Array, W: Array, b: Array) -> tuple[Array, Any]:
        """`affine_relu`, and what tells `affine_grads` where y is above 0: y itself, or what an override makes."""
        y = self.affine_relu(x, W, b)
        return y, y

    def relu_grad(self, dy: Array, y: Array, may_overwrite: bool = False) -> Array:
        """dx = dy where y > 0, else 0 (so the slope at 0 is 0). may_overwrite: dx may be written over dy."""
        return self.mask(dy, y > 0)
