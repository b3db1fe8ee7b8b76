"""Loops compiled by numba: convolution as it is defined, tap by tap, with eight filters side by side in a register.

Images are flat; each is copied to x, the memory of one padded image. `image`, `offsets` and `steps` are those of
`direct_convolution.places_of`. A tap is a pixel under the kernel, with its channel unless the convolution is depthwise:
then filter f takes channel f. Filters are a multiple of `lanes.COUNT`.
"""

from typing import Any

import numpy as np

from xpnn.backends.cpu.lanes import COUNT, broadcast, broadcast_at, load, store
from xpnn.backends.cpu.loops import Array, compiled
from xpnn.backends.cpu.winograd_loops import relu_if

PIXELS = 4
"""Outputs of a row that are computed side by side; there are so many at least."""
SUMMED = 256
"""Groups of PIXELS in a sum that dW is made of: one sum over a large image would lose digits with each that it adds."""


@compiled
def under(x: Array, at: int, f: int, depthwise: bool) -> Any:
    """What eight filters from f on are multiplied with at a tap: their channels, or one number for all."""
    return load(x, at + f) if depthwise else broadcast_at(x, at)


@compiled
def copy_image(source: Array, n: int, image: Any, x: Array) -> None:
    """Copy image n to its place in x."""
    height, width, start, row = image
    for r in range(height):
        here, there = (n * height + r) * width, start + r * row
        whole = width - width % COUNT
        for k in range(0, whole, COUNT):
            store(x, there + k, load(source, here + k))
        for k in range(whole, width):
            x[there + k] = source[here + k]


@compiled
def forward(
    source: Array, x: Array, W: Array, bias: Array, relu: bool, y: Array,
    shape: Any, image: Any, offsets: Array, steps: Any, depthwise: bool,
) -> None:  # fmt: skip
    """y <- the sums of W (taps, filters) times what lies under the taps, + bias, or the larger of that and 0.

    shape: of y. Where a row is no multiple of PIXELS, its last ones are computed twice, to the same numbers.
    """
    images, rows, columns, filters = shape
    down, right = steps
    zero = broadcast(x.dtype.type(0))
    for n in range(images):
        copy_image(source, n, image, x)
        for i in range(rows):
            for k in range(0, columns, PIXELS):
                j = min(k, columns - PIXELS)
                corner, at = i * down + j * right, ((n * rows + i) * columns + j) * filters
                for f in range(0, filters, COUNT):
                    a = b = c = d = load(bias, f)
                    for t in range(offsets.size):
                        w, p = load(W, t * filters + f), corner + offsets[t]
                        a = a + w * under(x, p, f, depthwise)
                        b = b + w * under(x, p + right, f, depthwise)
                        c = c + w * under(x, p + 2 * right, f, depthwise)
                        d = d + w * under(x, p + 3 * right, f, depthwise)
                    store(y, at + f, relu_if(a, relu, zero))
                    store(y, at + filters + f, relu_if(b, relu, zero))
                    store(y, at + 2 * filters + f, relu_if(c, relu, zero))
                    store(y, at + 3 * filters + f, relu_if(d, relu, zero))


@compiled
def by_weights(
    source: Array, x: Array, dy: Array, dW: Array,
    shape: Any, image: Any, offsets: Array, steps: Any, depthwise: bool,
) -> None:  # fmt: skip
    """dW (taps, filters) <- dW + the sums of dy times what lies under each tap, image by image. shape: of dy.

    Of outputs that stand in two groups of PIXELS, dy counts as 0 the second time.
    """
    images, rows, columns, filters = shape
    down, right = steps
    part, zero = np.zeros(dW.size, dW.dtype), broadcast(x.dtype.type(0))
    for n in range(images):
        summed = 0
        copy_image(source, n, image, x)
        for i in range(rows):
            for k in range(0, columns, PIXELS):
                j = min(k, columns - PIXELS)
                corner, at = i * down + j * right, ((n * rows + i) * columns + j) * filters
                for f in range(0, filters, COUNT):
                    a = zero if k > j else load(dy, at + f)
                    b = zero if k > j + 1 else load(dy, at + filters + f)
                    c = zero if k > j + 2 else load(dy, at + 2 * filters + f)
                    d = load(dy, at + 3 * filters + f)
                    for t in range(offsets.size):
                        q, p = t * filters + f, corner + offsets[t]
                        two = load(part, q) + a * under(x, p, f, depthwise)
                        two = two + b * under(x, p + right, f, depthwise)
                        rest = c * under(x, p + 2 * right, f, depthwise)
                        store(part, q, two + (rest + d * under(x, p + 3 * right, f, depthwise)))
                summed += 1
                if summed == SUMMED:
                    move(part, dW)
                    summed = 0
        move(part, dW)


@compiled
def move(part: Array, total: Array) -> None:
    """total <- total + part, part <- 0."""
    for k in range(part.size):
        total[k] += part[k]
        part[k] = 0
