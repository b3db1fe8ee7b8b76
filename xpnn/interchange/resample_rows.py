"""How layers that pad, resize and average over cells, and the local response normalization, become ONNX operations."""

from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.interchange.image_rows import convolution, geometry
from xpnn.interchange.program import Host, Program, Value
from xpnn.window import Window, per_axis


def pad(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Pad, on any axes. Raises UsageError for a mode that the opset does not have."""
    if layer.mode == "wrap" and g.opset < 19:
        raise UsageError(
            f"Pad(mode='wrap') in opset {g.opset}", why="ONNX has it from opset 19 on", fix="opset=19"
        )
    full = [(0, 0)] * x.rank
    for axis, ends in zip((*x.position_axes, x.channel_axis), layer.pads, strict=True):
        full[axis] = ends
    sizes = g.ints([ends[end] for end in (0, 1) for ends in full])
    value = [g.constant(layer.value)] if layer.value else []
    mode = {} if layer.mode == "constant" else {"mode": layer.mode}
    return x._replace(name=g.op("Pad", x.name, sizes, *value, **mode))


def along(g: Program, x: Value, axis: int, A: Host) -> Value:
    """A x along one axis: a product with a constant matrix (m, n), which every operation set has."""
    if A.shape[0] == A.shape[1] and np.array_equal(A, np.eye(len(A))):
        return x
    perm = list(range(x.rank))
    perm[axis], perm[-1] = perm[-1], perm[axis]
    name = x.name if axis == x.rank - 1 else g.op("Transpose", x.name, perm=perm)
    name = g.op("MatMul", name, g.constant(np.ascontiguousarray(A.T)))
    return x._replace(name=name if axis == x.rank - 1 else g.op("Transpose", name, perm=perm))


def resize(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Axis by axis, the share of each place in each new one: ONNX's Resize rounds its coordinates to float32."""
    for axis, n, m in zip(x.position_axes, x.shape[:-1], layer.sizes(x.shape[:-1]), strict=True):
        x = along(g, x, axis, place_shares(layer, n, m))
    return x


def place_shares(layer: Any, n: int, m: int) -> Host:
    """(m, n): how much each of n places counts in each of m new ones."""
    i, A = np.arange(m), np.zeros((m, n))
    above, below = layer.places(i, n, m)
    if layer.mode == "nearest":
        A[i, np.clip(layer.rounded(above, below), 0, n - 1)] = 1
    else:
        above = np.clip(above, 0, (n - 1) * below)
        near, t = above // below, above % below / below
        A[i, near] += 1 - t
        A[i, np.minimum(near + 1, n - 1)] += t
    return A


def adaptive(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """AveragePool where all cells are equal, else the share of each place in each cell, axis by axis."""
    positions, sizes = x.shape[:-1], per_axis(layer.size, len(x.shape) - 1)
    if not any(n % m for n, m in zip(positions, sizes, strict=True)):
        kernel = tuple(n // m for n, m in zip(positions, sizes, strict=True))
        return Value(g.op("AveragePool", g.first(x).name, **geometry(Window(kernel, kernel))), x.shape, True)
    for axis, n, m in zip(x.position_axes, positions, sizes, strict=True):
        x = along(g, x, axis, cell_shares(n, m))
    return x


def cell_shares(n: int, m: int) -> Host:
    """(m, n): how much each of n places counts in each of m cells."""
    A = np.zeros((m, n))
    for i in range(m):
        start, end = i * n // m, -(-(i + 1) * n // m)
        A[i, start:end] = 1 / (end - start)
    return A


def response(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """LRN, of images: other samples are made images of one column. onnxruntime computes it for odd sizes only."""
    y = g.first(x).name if len(x.shape) > 1 else x.name
    shape = [int(x.shape[-1]), *map(int, x.shape[:-1])]
    if len(shape) != 3:
        y = g.reshape(y, [0, shape[0], -1, 1])
    y = g.op("LRN", y, alpha=layer.alpha, beta=layer.beta, bias=layer.k, size=layer.size)
    if len(shape) != 3:
        y = g.reshape(y, [0, *shape])
    return Value(y, x.shape, len(shape) > 1)


def separable(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Write the depthwise and the pointwise convolution."""
    depth, point = layer.depth(int(x.shape[-1])), layer.point()
    with g.inside("depth"):
        h = convolution(g, depth, p["depth"], x)
    h = h._replace(shape=depth.plan(x.shape)[1])
    with g.inside("point"):
        return convolution(g, point, p["point"], h)
