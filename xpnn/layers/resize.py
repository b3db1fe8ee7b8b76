"""Sequences, images and volumes of another size, by interpolation."""

from dataclasses import dataclass
from typing import Annotated, Any

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.global_pool import check_channels
from xpnn.settings import one_of
from xpnn.window import Sizes, at_least

COORDINATES = ("half_pixel", "align_corners", "asymmetric")
ROUNDING = ("prefer_floor", "prefer_ceil", "floor", "ceil")


@dataclass(frozen=True)
class Resize(Layer):
    """y[i] = x between the places that lie next to s(i), axis by axis, where n places become m.

    coordinates: "half_pixel" s = (i + 1/2) n / m - 1/2; "align_corners" s = i (n - 1) / (m - 1); "asymmetric"
    s = i n / m. mode "linear": (1 - t) x[k] + t x[k + 1] with k + t = s, held inside. "nearest": x at s rounded by
    `rounding`: "prefer_floor" and "prefer_ceil" to the nearest and at a half down or up, "floor", "ceil".
    PyTorch's bilinear and trilinear are linear with half_pixel or align_corners, its nearest is asymmetric with floor,
    its nearest-exact half_pixel with prefer_ceil. Shapes: x (N, positions..., C), y (N, size..., C).
    size: of y, one number for all axes or one for each; or scale: m = n scale, which must be whole. Nothing is smoothed
    where y is smaller. Backward: dx is the adjoint, each dy shared by (1 - t) and t.
    """

    size: int | Sizes | None = None
    scale: float | tuple[float, ...] | None = None
    mode: Annotated[str, one_of("linear", "nearest")] = "linear"
    coordinates: Annotated[str, one_of(*COORDINATES)] = "half_pixel"
    rounding: Annotated[str, one_of(*ROUNDING)] = "prefer_floor"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.size is None) == (self.scale is None):
            raise UsageError(
                f"Resize(size={self.size}, scale={self.scale}): wanted one of both",
                fix="Resize(size=(64, 64))",
            )
        at_least(1, self, **({} if self.size is None else {"size": self.size}))
        scales = self.scale if isinstance(self.scale, tuple) else (1.0 if self.scale is None else self.scale,)
        if any(s <= 0 for s in scales):
            raise UsageError(f"Resize(scale={self.scale}): wanted numbers above 0")

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError for a number of axes or a scale that does not fit."""
        check_channels(shape)
        return {}, (*self.sizes(shape[:-1]), shape[-1])

    def sizes(self, positions: Sizes) -> Sizes:
        """Return the spatial sizes of y."""
        given = self.size if self.scale is None else self.scale
        wanted: tuple[Any, ...] = given if isinstance(given, tuple) else (given,) * len(positions)
        if len(wanted) != len(positions):
            raise ShapeError(f"resizes {len(wanted)} axes", why=f"got positions {positions}")
        if self.scale is None:
            return wanted
        sizes = tuple(round(n * s) for n, s in zip(positions, wanted, strict=True))
        if any(m < 1 or abs(n * s - m) > 1e-6 for n, s, m in zip(positions, wanted, sizes, strict=True)):
            raise ShapeError(
                f"has no whole size for scale {self.scale}",
                why=f"got positions {positions}",
                fix="give the size",
            )
        return sizes

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = x
        for axis, m in enumerate(self.sizes(x.shape[1:-1]), 1):
            near, far, t = self._between(cx.be, x.shape[axis], m, x.ndim - axis)
            y = (
                cx.be.take_axis(y, near, axis)
                if far is None
                else ((1 - t) * cx.be.take_axis(y, near, axis) + t * cx.be.take_axis(y, far, axis))
            )
        return y, (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (shape,) = cache
        for axis, m in enumerate(self.sizes(shape[1:-1]), 1):
            n = shape[axis]
            near, far, t = self._between(cx.be, n, m, len(shape) - axis)
            if far is None:
                dy = cx.be.take_axis_grad(dy, near, n, axis)
            else:
                share = cx.be.take_axis_grad((1 - t) * dy, near, n, axis)
                dy = share + cx.be.take_axis_grad(t * dy, far, n, axis)
        return dy, {}

    def _between(self, be: Backend, n: int, m: int, ndim: int) -> tuple[Array, Any, Any]:
        """(k, k + 1, t) for each of m places between n, t shaped for the first of `ndim` axes; (k, None, None)."""
        xp, (above, below) = be.xp, self.places(be.arange(m), n, m)
        if self.mode == "nearest":
            return held(be, self.rounded(above, below), n - 1), None, None
        above = held(be, above, (n - 1) * below)
        near = above // below
        t = xp.astype(above - near * below, be.dtype) / below
        return near, held(be, near + 1, n - 1), xp.reshape(t, (m, *(1,) * (ndim - 1)))

    def places(self, i: Any, n: int, m: int) -> tuple[Any, int]:
        """s(i) as a fraction of whole numbers."""
        if self.coordinates == "half_pixel":
            return (2 * i + 1) * n - m, 2 * m
        if self.coordinates == "asymmetric":
            return i * n, m
        return i * (n - 1), max(m - 1, 1)

    def rounded(self, above: Any, below: int) -> Any:
        """The fraction as a whole number."""
        return {
            "floor": above // below,
            "ceil": -(-above // below),
            "prefer_floor": -((below - 2 * above) // (2 * below)),
            "prefer_ceil": (2 * above + below) // (2 * below),
        }[self.rounding]


def held(be: Backend, i: Array, last: int) -> Array:
    """Whole numbers held between 0 and `last`."""
    i = be.xp.where(i < 0, be.xp.zeros_like(i), i)
    return be.xp.where(i < last, i, be.xp.full_like(i, last))
