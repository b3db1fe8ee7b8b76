"""Padding of any axes by a number, by the edge, or by what is inside."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.settings import one_of
from xpnn.window import Pair, at_least, check_padding, check_positions, pads_of

Pads: TypeAlias = int | tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Pad(Layer):
    """x with more around it: `pads` holds (before, after) for each axis of a sample, the channels included.

    mode "constant": `value`. "edge": the nearest value inside, y[i] = x[min(max(i - before, 0), n - 1)]. "reflect": the
    values inside backwards, the edge once, so 3 2 | 1 2 3 | 2 1. "wrap": from the other end on, so 2 3 | 1 2 3 | 1 2.
    Shapes: x (N, n1, n2, ...), y (N, before + n1 + after, ...). Backward: dx is the sum of dy over the places that show
    a value; a constant has no gradient. Raises ShapeError for another number of axes, and where more would be
    reflected than lies behind the edge.
    """

    pads: tuple[Pair, ...]
    mode: Annotated[str, one_of("constant", "reflect", "edge", "wrap")] = "constant"
    value: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(0, self, pads=sum(self.pads, start=()))
        if self.value and self.mode != "constant":
            raise UsageError(
                f"Pad(mode={self.mode!r}, value={self.value}): only a constant has a value",
                fix="mode='constant'",
            )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        if len(shape) != len(self.pads) or 0 in shape:
            raise ShapeError(f"has pads for samples of {len(self.pads)} axes", why=f"got {shape}")
        if self.mode == "reflect" and any(max(ends) >= n for n, ends in zip(shape, self.pads, strict=True)):
            raise ShapeError(f"reflects {self.pads}, more than lies behind the edge", why=f"got {shape}")
        return {}, tuple(before + n + after for n, (before, after) in zip(shape, self.pads, strict=True))

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        if self.mode == "constant":
            return cx.be.pad(x, self.pads, self.value), (x.shape,)
        y = x
        for axis, ends in enumerate(self.pads, 1):
            if any(ends):
                y = cx.be.take_axis(y, shown(cx.be, self.mode, x.shape[axis], ends), axis)
        return y, (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        if self.mode == "constant":
            inside = (slice(before, before + n) for n, (before, _) in zip(shape[1:], self.pads, strict=True))
            return dy[:, *inside], {}
        for axis, ends in enumerate(self.pads, 1):
            if any(ends):
                n = shape[axis]
                dy = cx.be.take_axis_grad(dy, shown(cx.be, self.mode, n, ends), n, axis)
        return dy, {}


def shown(be: Backend, mode: str, n: int, ends: Pair) -> Array:
    """Which of n values each place of the padded axis shows: before + n + after numbers of int64."""
    xp, (before, after) = be.xp, ends
    at = be.arange(before + n + after) - before
    if mode == "wrap":
        return at % n
    if mode == "reflect":
        at = at % (2 * n - 2)
        return xp.where(at < n, at, 2 * n - 2 - at)
    at = xp.where(at < 0, xp.zeros_like(at), at)
    return xp.where(at < n, at, xp.full_like(at, n - 1))


@dataclass(frozen=True)
class ZeroPad2D(Layer):
    """x with rows and columns of zeros around it: a number, or ((top, bottom), (left, right)).

    Shapes: x (N, H, W, C), y (N, top + H + bottom, left + W + right, C). Backward: dx is the middle of dy.
    """

    padding: Pads = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self, self.padding, 2)

    def in_axes(self) -> Pad:
        """Return the same padding, given for each axis of a sample."""
        return Pad((*pads_of(self.padding, 2), (0, 0)))

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        check_positions(shape, 2)
        return self.in_axes().plan(shape)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return self.in_axes().forward(cx, p, x)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return self.in_axes().backward(cx, p, cache, dy)
