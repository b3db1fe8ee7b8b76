"""What looks along rows or down columns: batches, softmax, sums, finiteness."""

from typing import Any

from xpnn.backends.cuda.fused.launch import LIMIT, Launching
from xpnn.backends.cuda.fused.source import KERNELS
from xpnn.kernels import Array

FEW = 4096
"""Threads that one block runs through in turn, rather than that a second launch joins what several blocks found."""
ROWS, PARTS = 512, 256
"""Rows that a block sums where there are twice as many, and the most parts that are summed in the second launch."""


class RowKernels(Launching):
    """Reductions in a fixed order, without atomics: where one launch is not enough, a second joins the parts."""

    def rows_at(self, order: Array, cursor: Array, n: int) -> Array:
        """One launch for three."""
        if order.dtype != self.xp.int64 or not 0 < n < LIMIT:
            return super().rows_at(order, cursor, n)
        rows = self.empty((n,), self.xp.int64)
        self._over("rows_at", n, self._whole(order), cursor, n, rows)
        return rows

    def take_rescaled(self, x: Array, rows: Array, scale: float, offset: float) -> Array:
        """Bytes become numbers as they are gathered."""
        kinds = {self.dtype: "take_reals", self.xp.uint8: "take_bytes"}
        kind = next((name for dtype, name in kinds.items() if x.dtype == dtype), None)
        width = x.size // max(1, len(x))
        if kind is None or rows.dtype != self.xp.int64 or not 0 < rows.size * width < LIMIT:
            return super().take_rescaled(x, rows, scale, offset)
        y = self.empty((*rows.shape, *x.shape[1:]), self.dtype)
        where = self._whole(x), self._whole(rows), rows.size, width
        self._over(kind, 32 * rows.size, *where, float(scale), float(offset), y)
        return y

    def softmax(self, z: Array) -> Array:
        """A few threads to a row."""
        if not self._fits(z):
            return super().softmax(z)
        p, classes = self.empty(z.shape, self.dtype), z.shape[-1]
        rows, width = z.size // classes, group(classes)
        self._over("softmax", rows * width, self._whole(z), rows, classes, width, p)
        return p

    def softmax_cross_entropy(self, z: Array, ids: Array) -> tuple[Array, Array]:
        """Loss and gradient while the row is in the cache."""
        if not self._classifies(z, ids):
            return super().softmax_cross_entropy(z, ids)
        dz = self.empty(z.shape, self.dtype)
        return self._cross_entropy(z, ids, dz, None), dz

    def softmax_cross_entropy_and_correct(self, z: Array, ids: Array) -> tuple[Array, Array]:
        """The loss and the number correct, in one pass."""
        if not self._classifies(z, ids):
            return super().softmax_cross_entropy_and_correct(z, ids)
        hits = self.empty((), self.xp.int64)
        return self._cross_entropy(z, ids, None, hits), hits

    def _classifies(self, z: Array, ids: Array) -> bool:
        return self._fits(z) and bool(ids.dtype == self.xp.int64)

    def _cross_entropy(self, z: Array, ids: Array, dz: Array | None, hits: Array | None) -> Array:
        """The loss; gradient and hits where there is an array for them, else a null pointer."""
        (n, classes), width = z.shape, group(z.shape[1])
        threads = KERNELS["softmax_cross_entropy"].block[0]
        blocks = 1 if n * width <= FEW else min(-(-n * width // threads), 4 * self.processors)
        given = self._whole(z), self._whole(ids), n, classes, width, 0 if dz is None else dz
        loss, hit = self.empty((), self.dtype), 0 if hits is None else hits
        if blocks == 1:
            self.launch("softmax_cross_entropy", (1,), (*given, loss, hit))
            return loss
        losses = self.empty((blocks,), self.dtype)
        each = 0 if hits is None else self.empty((blocks,), self.xp.int64)
        self.launch("softmax_cross_entropy", (blocks,), (*given, losses, each))
        self.launch("total", (1,), (losses, each, blocks, loss, hit))
        return loss

    def all_finite(self, *arrays: Array) -> Array:
        """Up to four arrays in one pass."""
        if not 0 < len(arrays) <= 4 or not self._fits(*arrays):
            return super().all_finite(*arrays)
        size = sum(a.size for a in arrays)
        blocks = 1 if size <= 4 * FEW else min(-(-size // FEW), 4 * self.processors)
        counted = [part for a in arrays for part in (self._whole(a), a.size)]
        counted += [counted[0], 0] * (4 - len(arrays))
        good, parts = self.empty((), self.xp.bool), self.empty((blocks,), self.xp.bool)
        self.launch("all_finite", (blocks,), (*counted, good if blocks == 1 else parts))
        if blocks > 1:
            self.launch("all_good", (1,), (parts, blocks, good))
        return good

    def column_sums(self, x: Array, out: Array | None = None) -> Array:
        """32 columns to a block."""
        if not self._fits(x):
            return super().column_sums(x, out)
        columns = x.shape[-1]
        out = self.empty((columns,), self.dtype) if out is None else out
        return self._down("column_sums", (self._whole(x),), x.size // columns, columns, out)

    def batch_norm(
        self, x: Array, gain: Array, bias: Array, eps: float, relu: bool = False
    ) -> tuple[Array, ...]:
        """Mean, variance, and the rest in one pass: x is read three times and never copied."""
        if not self._fits(x, gain, bias):
            return super().batch_norm(x, gain, bias, eps, relu)
        x, columns = self._whole(x), x.shape[-1]
        rows = x.size // columns
        y, n = (self.empty(x.shape, self.dtype) for _ in range(2))
        r, mean, var = (self.empty((columns,), self.dtype) for _ in range(3))
        self._down("column_sums", (x,), rows, columns, mean, rows)
        self._down("squares", (x, mean), rows, columns, var, rows)
        given = x, mean, var, self._whole(gain), self._whole(bias)
        self._over("normalize", x.size, *given, x.size, columns, float(eps), y, n, r)
        return self.relu(y) if relu else y, n, r, mean, var

    def batch_norm_grad(self, dy: Array, n: Array, r: Array, gain: Array) -> tuple[Array, Array, Array]:
        """Both sums in one pass, dx in another."""
        if not self._fits(dy, n, r, gain):
            return super().batch_norm_grad(dy, n, r, gain)
        dy, n, columns = self._whole(dy), self._whole(n), dy.shape[-1]
        dx, sums = self.empty(dy.shape, self.dtype), self.empty((2 * columns,), self.dtype)
        self._down("gain_and_bias", (dy, n), dy.size // columns, 2 * columns, sums)
        given = dy, n, self._whole(r), self._whole(gain), sums
        self._over("normalize_grad", dy.size, *given, dy.size, columns, dx)
        return dx, sums[columns:], sums[:columns]

    def _down(
        self, name: str, given: tuple[Any, ...], rows: int, columns: int, out: Array, divisor: int = 1
    ) -> Array:
        """What kernel `name` sums over the rows, divided by `divisor`."""
        across, parts = -(-columns // 32), 1 if rows <= 2 * ROWS else min(PARTS, -(-rows // ROWS))
        share = -(-rows // parts)
        if parts == 1:
            self.launch(name, (across, 1), (*given, rows, columns, share, float(divisor), out))
            return out
        sums = self.empty((parts, columns), self.dtype)
        self.launch(name, (across, parts), (*given, rows, columns, share, 1.0, sums))
        self.launch("column_sums", (across, 1), (sums, parts, columns, parts, float(divisor), out))
        return out


def group(classes: int) -> int:
    """Threads to a row: a power of two, up to a warp."""
    return min(32, 1 << (classes - 1).bit_length())
