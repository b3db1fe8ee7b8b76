"""Loops compiled by numba: the transforms of Winograd's convolution, for tiles of 4 x 4 outputs.

Images are flat arrays of (N, height, width, channels), transformed tiles of (36, tiles, channels): a matrix for each
of 6 x 6 points. Tiles lie row by row, `columns` in each of the `rows` of an image; a call computes whole rows of tiles,
from the row `first` on, as many as its array of transformed tiles holds. Channels are a multiple of `lanes.COUNT`.
"""

from typing import Any

import numpy as np

from xpnn.backends.cpu.lanes import COUNT, broadcast, load, store, store_bytes, where_exceeds
from xpnn.backends.cpu.loops import Array, compiled

LOW, HIGH = 0.5**0.5, 2**0.5
"""The points are 0, LOW, -LOW, HIGH, -HIGH and infinity."""
LOW3, HIGH3 = LOW**3, HIGH**3


@compiled
def constants(x: Array) -> Any:
    """(1/2, 2, 5/2, LOW, HIGH, LOW^3, HIGH^3) of x's dtype, each in all lanes."""
    kind = x.dtype.type
    squares = broadcast(kind(0.5)), broadcast(kind(2.0)), broadcast(kind(2.5))
    return (
        *squares,
        broadcast(kind(LOW)),
        broadcast(kind(HIGH)),
        broadcast(kind(LOW3)),
        broadcast(kind(HIGH3)),
    )


@compiled
def six(x: Array, at: int, step: int) -> Any:
    """The lanes at `at`, at + step, ..., at + 5 step."""
    return (
        load(x, at), load(x, at + step), load(x, at + 2 * step),
        load(x, at + 3 * step), load(x, at + 4 * step), load(x, at + 5 * step),
    )  # fmt: skip


@compiled
def store_six(x: Array, at: int, step: int, d: Any) -> None:
    """What `six` reads."""
    store(x, at, d[0])
    store(x, at + step, d[1])
    store(x, at + 2 * step, d[2])
    store(x, at + 3 * step, d[3])
    store(x, at + 4 * step, d[4])
    store(x, at + 5 * step, d[5])


@compiled
def inside(x: Array, at: int, is_inside: bool, zero: Any) -> Any:
    """The lanes at `at`, or zeros outside the image."""
    return load(x, at) if is_inside else zero


@compiled
def input_points(d: Any, c: Any) -> Any:
    """B^T d: six numbers in a row at six points."""
    half, two, middle, low, high, _, _ = c
    a, b = d[4] - two * d[2], low * (d[3] - two * d[1])
    e, f = d[4] - half * d[2], high * (d[3] - half * d[1])
    return d[0] - middle * d[2] + d[4], a + b, a - b, e + f, e - f, d[1] - middle * d[3] + d[5]


@compiled
def gradient_points(d: Any, c: Any) -> Any:
    """Four numbers as a polynomial at the same points; G's factors are in `winograd.points_to_weights`."""
    half, two, _, low, high, low3, high3 = c
    a, b = d[0] + half * d[2], low * d[1] + low3 * d[3]
    e, f = d[0] + two * d[2], high * d[1] + high3 * d[3]
    return d[0], a + b, a - b, e + f, e - f, d[3]


@compiled
def outputs(d: Any, c: Any) -> Any:
    """A^T d: four outputs in a row of six points."""
    half, two, _, low, high, low3, high3 = c
    a, b, e, f = d[1] + d[2], d[1] - d[2], d[3] + d[4], d[3] - d[4]
    return d[0] + a + e, low * b + high * f, half * a + two * e, low3 * b + high3 * f + d[5]


@compiled
def place_of(tile: int, side: int, rows: int, columns: int, first: int, height: int, width: int) -> Any:
    """Row and column of a tile's first output in its image, and how many outputs lie before it in all."""
    row = first + tile // columns
    r, q = row % rows * side, tile % columns * side
    return r, q, (row // rows * height + r) * width + q


@compiled
def transform_images(
    x: Array, V: Array, shape: Any, top: int, left: int, rows: int, columns: int, first: int
) -> None:
    """V <- B^T x B of the 6 x 6 pixels under each tile, where x (N, *shape) has `top` and `left` pads before it."""
    (height, width, channels), c = shape, constants(x)
    between, step, zero = np.empty(36 * COUNT, x.dtype), V.size // 36, broadcast(x.dtype.type(0))
    for tile in range(step // channels):
        row = first + tile // columns
        r, q = row % rows * 4 - top, tile % columns * 4 - left
        corner, line = ((row // rows * height + r) * width + q) * channels, width * channels
        for k in range(0, channels, COUNT):
            for b in range(6):
                at, ok = corner + b * channels + k, 0 <= q + b < width
                d = (
                    inside(x, at, ok and 0 <= r < height, zero),
                    inside(x, at + line, ok and 0 <= r + 1 < height, zero),
                    inside(x, at + 2 * line, ok and 0 <= r + 2 < height, zero),
                    inside(x, at + 3 * line, ok and 0 <= r + 3 < height, zero),
                    inside(x, at + 4 * line, ok and 0 <= r + 4 < height, zero),
                    inside(x, at + 5 * line, ok and 0 <= r + 5 < height, zero),
                )
                store_six(between, b * COUNT, 6 * COUNT, input_points(d, c))
            for a in range(6):
                d = input_points(six(between, 6 * a * COUNT, COUNT), c)
                store_six(V, 6 * a * step + tile * channels + k, step, d)


@compiled
def transform_gradients(dy: Array, D: Array, shape: Any, rows: int, columns: int, first: int) -> None:
    """D <- the 4 x 4 gradients of each tile at the points; zeros lie behind the image."""
    (height, width, channels), c = shape, constants(dy)
    between, step, zero = np.empty(24 * COUNT, dy.dtype), D.size // 36, broadcast(dy.dtype.type(0))
    for tile in range(step // channels):
        r, q, before = place_of(tile, 4, rows, columns, first, height, width)
        corner, line = before * channels, width * channels
        for k in range(0, channels, COUNT):
            for b in range(4):
                at, ok = corner + b * channels + k, q + b < width
                d = (
                    inside(dy, at, ok, zero),
                    inside(dy, at + line, ok and r + 1 < height, zero),
                    inside(dy, at + 2 * line, ok and r + 2 < height, zero),
                    inside(dy, at + 3 * line, ok and r + 3 < height, zero),
                )
                store_six(between, b * COUNT, 4 * COUNT, gradient_points(d, c))
            for a in range(6):
                at = 4 * a * COUNT
                d = (
                    load(between, at), load(between, at + COUNT),
                    load(between, at + 2 * COUNT), load(between, at + 3 * COUNT),
                )  # fmt: skip
                store_six(D, 6 * a * step + tile * channels + k, step, gradient_points(d, c))


@compiled
def from_points(M: Array, at: int, step: int, c: Any, between: Array) -> None:
    """The first half of A^T M A: six columns of four."""
    for b in range(6):
        d = outputs(six(M, at + b * step, 6 * step), c)
        store(between, b * COUNT, d[0])
        store(between, (6 + b) * COUNT, d[1])
        store(between, (12 + b) * COUNT, d[2])
        store(between, (18 + b) * COUNT, d[3])


@compiled
def transform_products(
    M: Array, bias: Array, relu: bool, y: Array, shape: Any, rows: int, columns: int, first: int
) -> None:
    """y <- A^T M A + bias, or the larger of that and 0, of each tile; what lies behind the image is left out."""
    (height, width, filters), c = shape, constants(M)
    between, step, zero = np.empty(24 * COUNT, M.dtype), M.size // 36, broadcast(M.dtype.type(0))
    for tile in range(step // filters):
        r, q, before = place_of(tile, 4, rows, columns, first, height, width)
        for k in range(0, filters, COUNT):
            from_points(M, tile * filters + k, step, c, between)
            b = load(bias, k)
            for a in range(min(4, height - r)):
                d = outputs(six(between, 6 * a * COUNT, COUNT), c)
                at = (before + a * width) * filters + k
                store(y, at, relu_if(d[0] + b, relu, zero))
                if q + 1 < width:
                    store(y, at + filters, relu_if(d[1] + b, relu, zero))
                if q + 2 < width:
                    store(y, at + 2 * filters, relu_if(d[2] + b, relu, zero))
                if q + 3 < width:
                    store(y, at + 3 * filters, relu_if(d[3] + b, relu, zero))


@compiled
def relu_if(v: Any, relu: bool, zero: Any) -> Any:
    """v, or with relu the larger of v and 0; NaN stays NaN."""
    return where_exceeds(v, zero, v, zero) if relu else v


@compiled
def store_largest(
    a: Any, b: Any, d: Any, e: Any, y: Array, tap: Array, at: int, zero: Any, numbers: Any
) -> None:
    """The larger of 0 and the largest of four, and which of them it is: the first one, or the first NaN."""
    one, two, three = numbers
    which, top = where_exceeds(b, a, one, zero), where_exceeds(b, a, b, a)
    which, top = where_exceeds(d, top, two, which), where_exceeds(d, top, d, top)
    which, top = where_exceeds(e, top, three, which), where_exceeds(e, top, e, top)
    store(y, at, relu_if(top, True, zero))
    store_bytes(tap, at, which)


@compiled
def transform_products_pooled(
    M: Array, bias: Array, y: Array, tap: Array, shape: Any, rows: int, columns: int, first: int
) -> None:
    """As `transform_products`, then the largest of each 2 x 2 outputs and 0; y and tap are (N, *shape)."""
    (height, width, filters), c, kind = shape, constants(M), M.dtype.type
    numbers = broadcast(kind(1)), broadcast(kind(2)), broadcast(kind(3))
    between, step, zero = np.empty(24 * COUNT, M.dtype), M.size // 36, broadcast(kind(0))
    for tile in range(step // filters):
        r, q, before = place_of(tile, 2, rows, columns, first, height, width)
        for k in range(0, filters, COUNT):
            from_points(M, tile * filters + k, step, c, between)
            b = load(bias, k)
            for a in range(min(2, height - r)):
                d = outputs(six(between, 12 * a * COUNT, COUNT), c)
                e = outputs(six(between, (12 * a + 6) * COUNT, COUNT), c)
                at = (before + a * width) * filters + k
                if q < width:
                    store_largest(d[0] + b, d[1] + b, e[0] + b, e[1] + b, y, tap, at, zero, numbers)
                if q + 1 < width:
                    at += filters
                    store_largest(d[2] + b, d[3] + b, e[2] + b, e[3] + b, y, tap, at, zero, numbers)
