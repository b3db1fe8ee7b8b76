"""Loops compiled by numba for convolutions in which each channel is a group: (N, H, W, C), W (taps, C)."""

from typing import Any

from xpnn.backends.cpu.loops import Array, compiled


@compiled
def forward(x: Array, W: Array, y: Array, kernel: Any, stride: Any, start: Any, dilation: Any) -> None:
    """y <- y + the channels under each tap times its weights, in the order of the taps."""
    count, height, width, channels = x.shape
    _, rows, columns, _ = y.shape
    for n in range(count):
        for i in range(rows):
            for a in range(kernel[0]):
                r = i * stride[0] + a * dilation[0] - start[0]
                if not 0 <= r < height:
                    continue
                for j in range(columns):
                    for b in range(kernel[1]):
                        q = j * stride[1] + b * dilation[1] - start[1]
                        if 0 <= q < width:
                            for c in range(channels):
                                y[n, i, j, c] += x[n, r, q, c] * W[a * kernel[1] + b, c]


@compiled
def by_x(dy: Array, W: Array, dx: Array, kernel: Any, stride: Any, start: Any, dilation: Any) -> None:
    """dx <- dx + the dy of each window that a pixel is in, times the weights of its tap, in the order of the taps."""
    count, rows, columns, channels = dy.shape
    _, height, width, _ = dx.shape
    for n in range(count):
        for r in range(height):
            for a in range(kernel[0]):
                i = (r + start[0] - a * dilation[0]) // stride[0]
                if not 0 <= i < rows or i * stride[0] + a * dilation[0] - start[0] != r:
                    continue
                for q in range(width):
                    for b in range(kernel[1]):
                        j = (q + start[1] - b * dilation[1]) // stride[1]
                        if 0 <= j < columns and j * stride[1] + b * dilation[1] - start[1] == q:
                            for c in range(channels):
                                dx[n, r, q, c] += dy[n, i, j, c] * W[a * kernel[1] + b, c]


@compiled
def by_weights(
    x: Array, dy: Array, part: Array, dW: Array, kernel: Any, stride: Any, start: Any, dilation: Any
) -> None:
    """dW <- dW + the channels under each tap times dy, summed first over a row of one image in `part` (taps, C)."""
    count, height, width, channels = x.shape
    _, rows, columns, _ = dy.shape
    for n in range(count):
        for i in range(rows):
            part[:] = 0
            for a in range(kernel[0]):
                r = i * stride[0] + a * dilation[0] - start[0]
                if not 0 <= r < height:
                    continue
                for j in range(columns):
                    for b in range(kernel[1]):
                        q = j * stride[1] + b * dilation[1] - start[1]
                        if 0 <= q < width:
                            for c in range(channels):
                                part[a * kernel[1] + b, c] += x[n, r, q, c] * dy[n, i, j, c]
            dW += part
