"""Images read at other places while training: random affine motions and displacements, in one resampling.

Each layer says where every pixel of its output comes from; `Warp` puts several such answers together before the image
is read once, because every reading between pixels blurs.
"""

from typing import Any, TypeAlias

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Child, Ctx, Layer, Shape, Tree, as_float, numbered
from xpnn.layers.containers import Layers, checked_layers, plan_child
from xpnn.settings import frozen
from xpnn.window import check_positions

Transform: TypeAlias = tuple[Any, Any, Any, Any, Any, Any]
"""(a, b, c, d, e, f), numbers or one for each image: row a v + b u + c and column d v + e u + f, from the centre."""
Field: TypeAlias = tuple[Array, Array]
"""Rows and columns to add at each pixel of the output: (N, H, W) each."""
STILL: Transform = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Geometric(Layer, abstract=True):
    """While training y[q] = x[M q + d(q)] for each pixel q of the output, x between its pixels and 0 outside.

    M is an affine motion about the centre of the image and d a field of displacements, in pixels, both drawn for each
    image; a subclass draws them in `moves`. Backward: dx is the adjoint of that reading, which is linear in x.
    Otherwise y = x. Bytes become the model's dtype; no values are rescaled.
    """

    role = "augmentation"
    input_kind = "any"

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError for samples that are no images (height, width, channels)."""
        check_positions(shape, 2)
        return {}, shape

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        """The motion and the displacements of n images of that height and width."""
        raise NotImplementedError

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        x = as_float(cx, x)
        if not cx.train:
            return x, ()
        n, height, width, _ = x.shape
        transform, field = self.moves(cx, n, (height, width))
        v, u = places(cx.be, transform, n, (height, width))
        if field is not None:
            v, u = v + field[0], u + field[1]
        return cx.be.bilinear(x, v, u), (v, u)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        if not cache:
            return dy, {}
        v, u = cache
        return cx.be.bilinear_grad(dy, v, u, dy.shape), {}


@frozen
class Warp(Geometric):
    """Several geometric layers as one reading: M = M_1 M_2 ... M_k, d = d_1 + ... + d_k.

    With affine layers alone, y is what they would give one after the other, first to last, but for the blur of all
    readings save one. Displacements are in pixels of the output, wherever their layer stands.
    """

    layers: Layers

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_layers("Warp", self.layers))
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, Geometric):
                raise UsageError(
                    f"entry {i} of Warp is {layer!r}, which moves no pixels",
                    fix="put it before or after; Warp takes RandomShift, RandomRotation and the other geometric layers",
                )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError, naming the layer that cannot take the samples."""
        check_positions(shape, 2)
        return tuple(
            plan_child(i, layer, shape, [str(shape)])[0] for i, layer in enumerate(self.layers)
        ), shape

    def children(self, shape: Shape) -> list[Child]:
        return numbered(self.layers, shape)

    def moves(self, cx: Ctx, n: int, size: tuple[int, int]) -> tuple[Transform, Field | None]:
        transform, field = STILL, None
        for i, layer in enumerate(self.layers):
            motion, d = layer.moves(cx.child(i), n, size)  # type: ignore[attr-defined]
            transform = after(transform, motion)
            if d is not None:
                field = d if field is None else (field[0] + d[0], field[1] + d[1])
        return transform, field

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return super().backward(cx, p, cache, dy)[0], ({},) * len(self.layers)


def after(first: Transform, then: Transform) -> Transform:
    """The product: the place that `first` gives to what `then` gives."""
    a, b, c, d, e, f = first
    A, B, C, D, E, F = then
    return (a * A + b * D, a * B + b * E, a * C + b * F + c, d * A + e * D, d * B + e * E, d * C + e * F + f)


def places(be: Backend, transform: Transform, n: int, size: tuple[int, int]) -> Field:
    """Row and column that each pixel of n images comes from: two vectors for each image, summed once."""
    xp, middle = be.xp, ((size[0] - 1) / 2, (size[1] - 1) / 2)
    rows, columns = (xp.astype(be.arange(k), be.dtype) - m for k, m in zip(size, middle, strict=True))
    ones = xp.ones(
        (n,), dtype=be.dtype, device=be.device
    )  # a setting that is one number becomes one for each image
    found = []
    for (by_row, by_column, offset), m in zip((transform[:3], transform[3:]), middle, strict=True):
        along = (by_row * ones)[:, None] * rows + (offset * ones + m)[:, None]
        found.append(along[:, :, None] + ((by_column * ones)[:, None] * columns)[:, None, :])
    return found[0], found[1]
