"""Kernels over rows or columns: batches, softmax and its loss, sums, batch normalization, finiteness.

Sums are taken in a fixed order, without atomics: where one launch is not enough, a second adds the parts.
"""

from typing import Any

from xpnn.backends.cuda.fused.launch import LIMIT, CudaBackend, contiguous
from xpnn.backends.cuda.fused.source import KERNELS
from xpnn.kernels import Array, Kernels

FEW = 4096
"""Up to so many elements one block works through alone; for more, several blocks do, and a second launch joins them."""
ROWS, PARTS = 512, 256
"""Rows that each block sums if there are more than twice as many, and the most parts that the second launch sums."""


def rows_at(be: CudaBackend, order: Array, cursor: Array, n: int) -> Array:
    """One launch in place of three."""
    if order.dtype != be.xp.int64 or not 0 < n < LIMIT:
        return Kernels.rows_at(be, order, cursor, n)
    rows = be.empty((n,), be.xp.int64)
    be.launch_over("rows_at", n, contiguous(order), cursor, n, rows)
    return rows


def take_rescaled(be: CudaBackend, x: Array, rows: Array, scale: float, offset: float) -> Array:
    """Bytes are converted as they are gathered."""
    kinds = {be.dtype: "take_reals", be.xp.uint8: "take_bytes"}
    kind = next((name for dtype, name in kinds.items() if x.dtype == dtype), None)
    width = x.size // max(1, len(x))
    if kind is None or rows.dtype != be.xp.int64 or not 0 < rows.size * width < LIMIT:
        return Kernels.take_rescaled(be, x, rows, scale, offset)
    y = be.empty((*rows.shape, *x.shape[1:]), be.dtype)
    where = contiguous(x), contiguous(rows), rows.size, width
    be.launch_over(kind, 32 * rows.size, *where, float(scale), float(offset), y)
    return y


def softmax(be: CudaBackend, z: Array) -> Array:
    """A group of threads computes each row."""
    if not be.launchable(z):
        return Kernels.softmax(be, z)
    p, classes = be.empty(z.shape, be.dtype), z.shape[-1]
    rows, width = z.size // classes, group(classes)
    be.launch_over("softmax", rows * width, contiguous(z), rows, classes, width, p)
    return p


def softmax_cross_entropy(be: CudaBackend, z: Array, ids: Array) -> tuple[Array, Array]:
    """Loss and gradient of a row in one pass, while it is in the cache."""
    if not _classifies(be, z, ids):
        return Kernels.softmax_cross_entropy(be, z, ids)
    dz = be.empty(z.shape, be.dtype)
    return _cross_entropy(be, z, ids, dz, None), dz


def softmax_cross_entropy_and_correct(be: CudaBackend, z: Array, ids: Array) -> tuple[Array, Array]:
    """The loss and the number correct, in one pass."""
    if not _classifies(be, z, ids):
        return Kernels.softmax_cross_entropy_and_correct(be, z, ids)
    hits = be.empty((), be.xp.int64)
    return _cross_entropy(be, z, ids, None, hits), hits


def softmax_cross_entropy_gradient_and_correct(
    be: CudaBackend, z: Array, ids: Array
) -> tuple[Array, Array, Array]:
    """Loss, gradient and the number correct, in one pass."""
    if not _classifies(be, z, ids):
        return Kernels.softmax_cross_entropy_gradient_and_correct(be, z, ids)
    dz, hits = be.empty(z.shape, be.dtype), be.empty((), be.xp.int64)
    return _cross_entropy(be, z, ids, dz, hits), dz, hits


def _classifies(be: CudaBackend, z: Array, ids: Array) -> bool:
    return be.launchable(z) and bool(ids.dtype == be.xp.int64)


def _cross_entropy(be: CudaBackend, z: Array, ids: Array, dz: Array | None, hits: Array | None) -> Array:
    """The loss; gradient and hits where there is an array for them, else a null pointer."""
    (n, classes), width = z.shape, group(z.shape[1])
    threads = KERNELS["softmax_cross_entropy"].block[0]
    blocks = 1 if n * width <= FEW else min(-(-n * width // threads), 4 * be.processors)
    given = contiguous(z), contiguous(ids), n, classes, width, 0 if dz is None else dz
    loss, hit = be.empty((), be.dtype), 0 if hits is None else hits
    if blocks == 1:
        be.launch("softmax_cross_entropy", (1,), (*given, loss, hit))
        return loss
    losses = be.empty((blocks,), be.dtype)
    each = 0 if hits is None else be.empty((blocks,), be.xp.int64)
    be.launch("softmax_cross_entropy", (blocks,), (*given, losses, each))
    be.launch("total", (1,), (losses, each, blocks, loss, hit))
    return loss


def all_finite(be: CudaBackend, *arrays: Array) -> Array:
    """Up to four arrays in one launch."""
    if not 0 < len(arrays) <= 4 or not be.launchable(*arrays):
        return Kernels.all_finite(be, *arrays)
    size = sum(a.size for a in arrays)
    blocks = 1 if size <= 4 * FEW else min(-(-size // FEW), 4 * be.processors)
    counted = [part for a in arrays for part in (contiguous(a), a.size)]
    counted += [counted[0], 0] * (4 - len(arrays))
    good, parts = be.empty((), be.xp.bool), be.empty((blocks,), be.xp.bool)
    be.launch("all_finite", (blocks,), (*counted, good if blocks == 1 else parts))
    if blocks > 1:
        be.launch("all_good", (1,), (parts, blocks, good))
    return good


def column_sums(be: CudaBackend, x: Array, out: Array | None = None) -> Array:
    """Each block sums 32 columns."""
    if not be.launchable(x):
        return Kernels.column_sums(be, x, out)
    columns = x.shape[-1]
    out = be.empty((columns,), be.dtype) if out is None else out
    return down(be, "column_sums", (contiguous(x),), x.size // columns, columns, out)


def batch_norm(
    be: CudaBackend, x: Array, gain: Array, bias: Array, eps: float, relu: bool = False
) -> tuple[Array, ...]:
    """Three launches: the mean, the variance, y and n. x is read three times and never copied."""
    if not be.launchable(x, gain, bias):
        return Kernels.batch_norm(be, x, gain, bias, eps, relu)
    x, columns = contiguous(x), x.shape[-1]
    rows = x.size // columns
    y, n = (be.empty(x.shape, be.dtype) for _ in range(2))
    r, mean, var = (be.empty((columns,), be.dtype) for _ in range(3))
    down(be, "column_sums", (x,), rows, columns, mean, rows)
    down(be, "squares", (x, mean), rows, columns, var, rows)
    given = x, mean, var, contiguous(gain), contiguous(bias)
    be.launch_over("normalize", x.size, *given, x.size, columns, float(eps), y, n, r)
    return be.relu(y) if relu else y, n, r, mean, var


def batch_norm_grad(
    be: CudaBackend, dy: Array, n: Array, r: Array, gain: Array
) -> tuple[Array, Array, Array]:
    """One launch for both sums, one for dx."""
    if not be.launchable(dy, n, r, gain):
        return Kernels.batch_norm_grad(be, dy, n, r, gain)
    dy, n, columns = contiguous(dy), contiguous(n), dy.shape[-1]
    dx, sums = be.empty(dy.shape, be.dtype), be.empty((2 * columns,), be.dtype)
    down(be, "gain_and_bias", (dy, n), dy.size // columns, 2 * columns, sums)
    given = dy, n, contiguous(r), contiguous(gain), sums
    be.launch_over("normalize_grad", dy.size, *given, dy.size, columns, dx)
    return dx, sums[columns:], sums[:columns]


def down(
    be: CudaBackend, name: str, given: tuple[Any, ...], rows: int, columns: int, out: Array, divisor: int = 1
) -> Array:
    """Sums over the rows by kernel `name`, divided by `divisor`, in `out`."""
    across, parts = -(-columns // 32), 1 if rows <= 2 * ROWS else min(PARTS, -(-rows // ROWS))
    share = -(-rows // parts)
    if parts == 1:
        be.launch(name, (across, 1), (*given, rows, columns, share, float(divisor), out))
        return out
    sums = be.empty((parts, columns), be.dtype)
    be.launch(name, (across, parts), (*given, rows, columns, share, 1.0, sums))
    be.launch("column_sums", (across, 1), (sums, parts, columns, parts, float(divisor), out))
    return out


def group(classes: int) -> int:
    """The number of threads for a row: a power of two, at most a warp."""
    return min(32, 1 << (classes - 1).bit_length())
