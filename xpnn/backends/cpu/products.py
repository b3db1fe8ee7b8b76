"""NumPy's matrix products: where BLAS writes, and which way round it is asked."""

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cpu.blocks import blocks, is_column_major
from xpnn.kernels import Array

FEW, WIDE = 256, 1024


class NumpyProducts(Backend):
    """A result of few, wide rows is asked for the other way round, (W^T x^T)^T, and given as it lies: by columns.

    Measured with W 1024 x 1024: 32 rows 0.24 ms for 0.40, and times W^T 0.20 for 0.38; 256 rows 1.30 for 1.57 and
    1.24 for 1.52. OpenBLAS packs the larger operand better as the right one.
    """

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        """BLAS writes into the given buffer. Many rows times one matrix are one product: np.matmul would make many."""
        if a.ndim > 2 and b.ndim == 2:
            return np.matmul(a.reshape(-1, a.shape[-1]), b).reshape(*a.shape[:-1], b.shape[1])
        return np.matmul(a, b, out=out)

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """The bias is added in place: one pass and one array less."""
        y = self.matmul(x, W)
        y += b
        return y

    def affine_relu(self, x: Array, W: Array, b: Array) -> Array:
        """Both in place."""
        if few(x, W.shape[1]):
            y = np.matmul(W.T, x.T)
            self._finish_column_major(y, b)
            return y.T
        y = self.matmul(x, W)
        self._finish(y.reshape(-1, y.shape[-1]), b, True)
        return y

    def affine_dx(self, dy: Array, W: Array, x: Array) -> Array:
        """Turned as x is, so that what comes next finds both alike."""
        return np.matmul(W, dy.T).T if is_column_major(x) else self.matmul(dy, W.T)

    def _finish(self, rows: Array, b: Array | None, relu: bool) -> None:
        """Bias and ReLU, in place, a few rows at a time."""
        for part in blocks(rows):
            if b is not None:
                part += b
            if relu:
                np.maximum(part, 0, out=part)

    def _finish_column_major(self, y: Array, b: Array) -> None:
        """Bias and ReLU of an array (units, rows), in place."""
        y += b[:, None]
        np.maximum(y, 0, out=y)


def few(rows: Array, width: int) -> bool:
    """Few rows, to become wide ones?"""
    return rows.ndim == 2 and len(rows) <= FEW and width >= WIDE
