"""What slides windows over images: columns, convolution, pooling."""

import math
from typing import Any

from xpnn.kernels.base import Array, BaseKernels
from xpnn.window import Window, taps


class WindowKernels(BaseKernels):
    """Images are (N, H, W, C); a `Window` says where each window begins."""

    def pad2d(self, x: Array, pads: tuple[tuple[int, int], tuple[int, int]], fill: float = 0.0) -> Array:
        """x (N, H, W, C) with rows and columns of `fill` around it: ((top, bottom), (left, right))."""
        for axis, ends in enumerate(pads, 1):
            shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in ends]
            top, bottom = (self.xp.full(shape, fill, dtype=x.dtype, device=self.device) for shape in shapes)
            x = self.xp.concat([top, x, bottom], axis=axis) if any(ends) else x
        return x

    def im2col(self, x: Array, window: Window, fill: float = 0.0) -> Array:
        """The windows of x (N, H, W, C), side by side: (N, rows, columns, taps, C). Padding is `fill`."""
        padded = self.pad2d(x, window.pads, fill)
        return self.xp.stack([padded[:, i, j, :] for i, j in taps(x.shape, window)], axis=3)

    def col2im(self, cols: Array, shape: tuple[int, ...], window: Window) -> Array:
        """The adjoint of im2col: every value of `cols` added to the place in (N, H, W, C) that it came from."""
        (top, bottom), (left, right) = window.pads
        height, width = shape[1] + top + bottom, shape[2] + left + right
        total = self.xp.zeros((shape[0], height, width, shape[3]), dtype=cols.dtype, device=self.device)
        for t, (i, j) in enumerate(taps(shape, window)):
            part = self._spread(cols[:, :, :, t, :], window.stride)
            total = total + self.pad2d(part, ((i.start, height - i.stop), (j.start, width - j.stop)))
        return total[:, top : height - bottom, left : width - right, :]

    def _spread(self, x: Array, stride: tuple[int, int]) -> Array:
        """x (N, H, W, C) with stride - 1 zeros between neighbours."""
        for axis, s in enumerate(stride, 1):
            if s > 1:
                gaps = [self.xp.zeros_like(x)] * (s - 1)
                wide = self.xp.stack([x, *gaps], axis=axis + 1)
                n = x.shape[axis]
                wide = self.xp.reshape(wide, (*x.shape[:axis], n * s, *x.shape[axis + 1 :]))
                x = wide[:, : (n - 1) * s + 1, :, :] if axis == 1 else wide[:, :, : (n - 1) * s + 1, :]
        return x

    def _by_group(self, x: Array, groups: int) -> Array:
        """(..., a, c) to (groups, rows, a c / groups): the channels of each group, all taps together."""
        rows, a, c = math.prod(x.shape[:-2]), x.shape[-2], x.shape[-1]
        split = self.xp.reshape(x, (rows, a, groups, c // groups))
        return self.xp.reshape(self.xp.permute_dims(split, (2, 0, 1, 3)), (groups, rows, a * c // groups))

    def conv2d(
        self, x: Array, W: Array, b: Array | None, window: Window, groups: int = 1, relu: bool = False
    ) -> Array:
        """y = im2col(x) W + b. x (N, H, W, c_in), W (kh, kw, c_in / groups, filters), y (N, rows, columns, filters).

        relu: max(y, 0) instead.
        """
        xp, cols = self.xp, self.im2col(x, window)
        per, filters = math.prod(W.shape[:3]), W.shape[3]
        kernels = self._by_group(xp.reshape(W, (per, 1, filters)), groups)
        y = xp.permute_dims(self.matmul(self._by_group(cols, groups), kernels), (1, 0, 2))
        y = xp.reshape(y, (*cols.shape[:3], filters))
        y = y if b is None else y + b
        return self.relu(y) if relu else y

    def conv2d_dx(
        self, dy: Array, W: Array, shape: tuple[int, ...], window: Window, groups: int = 1
    ) -> Array:
        """dx = col2im(dy W^T), of that shape: the adjoint of conv2d in x."""
        xp, per = self.xp, math.prod(W.shape[:3])
        kernels = self._by_group(xp.reshape(W, (per, 1, W.shape[3])), groups)
        drows = self._by_group(xp.expand_dims(dy, axis=3), groups)
        rows = self.matmul(drows, xp.matrix_transpose(kernels))
        n = W.shape[0] * W.shape[1]
        cols = xp.permute_dims(xp.reshape(rows, (groups, rows.shape[1], n, W.shape[2])), (1, 2, 0, 3))
        return self.col2im(xp.reshape(cols, (*dy.shape[:3], n, shape[3])), shape, window)

    def conv2d_dw(self, x: Array, dy: Array, window: Window, groups: int = 1) -> Array:
        """dW = im2col(x)^T dy, of shape (kh, kw, c_in / groups, filters): the adjoint of conv2d in W."""
        xp, filters = self.xp, dy.shape[3]
        rows = self._by_group(self.im2col(x, window), groups)
        drows = self._by_group(xp.expand_dims(dy, axis=3), groups)
        dW = self.matmul(xp.matrix_transpose(rows), drows)
        return xp.reshape(xp.permute_dims(dW, (1, 0, 2)), (*window.kernel, x.shape[3] // groups, filters))

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """The largest value of each window, and the first tap that holds it, as bytes where they can count so far.

        NaN counts as the largest. A pad is never chosen, not even beside -inf.
        """
        xp, cols = self.xp, self.im2col(x, window, -math.inf)
        y = xp.max(cols, axis=3)
        inside = self.im2col(xp.ones_like(x[:1, :, :, :1]), window) > 0
        top = xp.expand_dims(y, axis=3)
        chosen = ((cols == top) | ((cols != cols) & (top != top))) & inside
        return y, xp.astype(xp.argmax(xp.astype(chosen, xp.int8), axis=3), self._tap_dtype(window))

    def _tap_dtype(self, window: Window) -> Any:
        """Of the numbers of a window's taps: 0, 1, ..., from the top left on, row by row."""
        return self.xp.uint8 if math.prod(window.kernel) <= 256 else self.xp.int64

    def max_pool_grad(self, dy: Array, tap: Array, shape: tuple[int, ...], window: Window) -> Array:
        """dx: each dy, added where its window found the maximum."""
        xp, n = self.xp, window.kernel[0] * window.kernel[1]
        which = xp.astype(xp.reshape(self.arange(n), (n, 1)), tap.dtype)
        hit = xp.expand_dims(tap, axis=3) == which
        cols = self.mask(xp.broadcast_to(xp.expand_dims(dy, axis=3), hit.shape), hit)
        return self.col2im(cols, shape, window)

    def sum_pool(self, x: Array, window: Window) -> Array:
        """The sum of each window."""
        return self.xp.sum(self.im2col(x, window), axis=3)

    def sum_pool_grad(self, dy: Array, shape: tuple[int, ...], window: Window) -> Array:
        """dx: each dy, added to every place in its window. The adjoint of sum_pool."""
        many = (*dy.shape[:3], window.kernel[0] * window.kernel[1], dy.shape[3])
        cols = self.xp.broadcast_to(self.xp.expand_dims(dy, axis=3), many)
        return self.col2im(cols, shape, window)
