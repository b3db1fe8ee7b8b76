"""Convolution with 3 x 3 kernels by Winograd's minimal filtering: a quarter of the products.

y = A^T [(G W G^T) (B^T x B)] A for tiles of 4 x 4 outputs, where [.] multiplies the matrices of 36 points: the values
of polynomials whose product the convolution is. dx is such a convolution of dy; dW has the same B^T x B, and
tiles of dy at the points in place of W. Each point takes one product of (tiles, channels) and (channels, filters).
The largest error in float32 of layers of 32 and 64 channels was 1.5e-6 of the largest value, of the direct sum 5e-7.
A number that is not finite makes all of its tile NaN.
Source: Lavin, Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; Winograd, "Arithmetic complexity of
computations", SIAM (1980).
"""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from xpnn.backends.cpu import winograd_loops as loops
from xpnn.backends.cpu.lanes import COUNT
from xpnn.backends.cpu.workers import each
from xpnn.kernels import Array
from xpnn.window import Window, counts

TILES = 64
"""Tiles at a time: their transforms stay in a core's cache."""
PARTS, LEAST = 4, 8
"""Parts that threads may share, and the blocks in each at least: below them a thread costs more than it gains."""
FEWEST = 32
"""Tiles for which it is worth transforming the weights."""


def applies(shape: tuple[int, ...], window: Window, groups: int, filters: int) -> bool:
    """Can the convolution of (N, H, W, C) be computed so, and does it take fewer products?"""
    if (window.kernel, window.stride, window.dilation, groups) != ((3, 3), (1, 1), (1, 1), 1):
        return False
    if shape[-1] % COUNT or filters % COUNT:
        return False
    places = counts(shape, window)
    tiles = math.prod(tiled(places))
    return shape[0] * tiles >= FEWEST and 6 * tiles <= math.prod(places)


def tiled(places: tuple[int, ...]) -> tuple[int, ...]:
    """Rows and columns of tiles for that many outputs."""
    return tuple(-(-n // 4) for n in places)


@functools.cache
def matrices(m: int, r: int) -> tuple[Array, Array]:
    """A^T (m, 6) and G (6, r): of m outputs, with r weights, at 0, LOW, -LOW, HIGH, -HIGH and infinity."""
    points = np.array([0, loops.LOW, -loops.LOW, loops.HIGH, -loops.HIGH])
    others = points[:, None] - points + np.eye(5)
    A, G = np.zeros((m, 6)), np.zeros((6, r))
    A[:, :5], G[:5] = points ** np.arange(m)[:, None], points[:, None] ** np.arange(r)
    G[:5] /= np.prod(others, axis=1, keepdims=True)
    A[-1, 5] = G[5, -1] = 1
    return A, G


@functools.cache
def weights_to_points(dtype: np.dtype[Any]) -> Array:
    """(36, 9): W to G W G^T, both as columns."""
    G = matrices(4, 3)[1]
    return np.kron(G, G).astype(dtype)


@functools.cache
def points_to_weights(dtype: np.dtype[Any]) -> Array:
    """(9, 36): to dW, which are three outputs along each axis of a convolution with kernels of four, which is dy.

    G's factors for each point stand here, once, and not in the transforms of dy.
    """
    A, G = matrices(3, 4)
    A = A * np.append(G[:5, 0], 1)
    return np.kron(A, A).astype(dtype)


Block: TypeAlias = tuple[int, int]
"""(first row of tiles, how many tiles)."""


def blocks(n: int, rows: int, columns: int) -> list[list[Block]]:
    """The tiles of n images, about TILES at a time, in at most PARTS parts that threads may share."""
    many = max(1, TILES // columns)
    found = [(i, (min(i + many, n * rows) - i) * columns) for i in range(0, n * rows, many)]
    size = max(LEAST, -(-len(found) // PARTS))
    return [found[i : i + size] for i in range(0, len(found), size)]


def products(
    x: Array, W: Array, window: Window, finish: Callable[[Array, tuple[int, int, int]], None]
) -> None:
    """Call finish(the products of the tiles, (rows, columns, first row)) for block after block."""
    n, *shape = x.shape
    rows, columns = tiled(counts(x.shape, window))
    U = (weights_to_points(W.dtype) @ W.reshape(9, -1)).reshape(36, *W.shape[2:])
    flat = np.ascontiguousarray(x).reshape(-1)
    (top, _), (left, _) = window.pads

    def work(part: list[Block]) -> None:
        V, M = (np.empty(36 * part[0][1] * k, x.dtype) for k in W.shape[2:])
        for first, tiles in part:
            v, m = V[: 36 * tiles * W.shape[2]], M[: 36 * tiles * W.shape[3]]
            loops.transform_images(flat, v, tuple(shape), top, left, rows, columns, first)
            np.matmul(v.reshape(36, tiles, -1), U, out=m.reshape(36, tiles, -1))
            finish(m, (rows, columns, first))

    each(work, blocks(n, rows, columns))


def conv(x: Array, W: Array, b: Array | None, window: Window, relu: bool) -> Array:
    """As the kernel of this name."""
    shape = (*counts(x.shape, window), W.shape[-1])
    y, bias = np.empty((len(x), *shape), x.dtype), bias_of(b, W)
    products(x, W, window, lambda m, at: loops.transform_products(m, bias, relu, y.reshape(-1), shape, *at))
    return y


def conv_relu_max_pool(x: Array, W: Array, b: Array | None, window: Window) -> tuple[Array, Array]:
    """As the kernel of this name with windows of 2 x 2 side by side: the convolution's outputs are never written."""
    height, width = counts(x.shape, window)
    shape = height // 2, width // 2, W.shape[-1]
    y, bias = np.empty((len(x), *shape), x.dtype), bias_of(b, W)
    tap = np.empty(y.shape, np.uint8)
    given = y.reshape(-1), tap.reshape(-1), shape
    products(x, W, window, lambda m, at: loops.transform_products_pooled(m, bias, *given, *at))
    return y, tap


def bias_of(b: Array | None, W: Array) -> Array:
    """b, or zeros."""
    return np.zeros(W.shape[-1], W.dtype) if b is None else np.ascontiguousarray(b)


def backwards(W: Array, window: Window) -> tuple[Array, Window] | None:
    """The weights and windows of the convolution that dy goes through to become dx; None for pads above 2."""
    pads = tuple((2 - before, 2 - after) for before, after in window.pads)
    if min(map(min, pads)) < 0:
        return None
    return np.ascontiguousarray(np.swapaxes(np.flip(W, (0, 1)), 2, 3)), Window((3, 3), pads=pads)


def conv_dw(x: Array, dy: Array, window: Window) -> Array:
    """As the kernel of this name: the sums over the tiles at each point, transformed once at the end."""
    n, *shape = x.shape
    rows, columns = tiled(dy.shape[1:3])
    (top, _), (left, _) = window.pads
    channels, filters = x.shape[-1], dy.shape[-1]
    images, gradients = (np.ascontiguousarray(a).reshape(-1) for a in (x, dy))

    def work(part: list[Block]) -> Array:
        V, D = (np.empty(36 * part[0][1] * k, x.dtype) for k in (channels, filters))
        total = np.zeros((36, channels, filters), x.dtype)
        products = np.empty_like(total)
        for first, tiles in part:
            v, d = V[: 36 * tiles * channels], D[: 36 * tiles * filters]
            loops.transform_images(images, v, tuple(shape), top, left, rows, columns, first)
            loops.transform_gradients(gradients, d, tuple(dy.shape[1:]), rows, columns, first)
            total += np.matmul(
                v.reshape(36, tiles, -1).transpose(0, 2, 1), d.reshape(36, tiles, -1), out=products
            )
        return total

    total = functools.reduce(np.add, each(work, blocks(n, rows, columns)))
    return (points_to_weights(x.dtype) @ total.reshape(36, -1)).reshape(3, 3, channels, filters)
