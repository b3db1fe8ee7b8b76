"""Numbers that are added to every sample, or multiplied with it: learned, or fixed."""

import functools
from dataclasses import dataclass
from typing import Any

from xpnn.initializers import Initializer, ones, zeros
from xpnn.kernels import Array
from xpnn.layers.axes import axes_of, check_axes
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree


@dataclass(frozen=True)
class SampleConstant(Layer, abstract=True):
    """The base class of layers that add or multiply one constant array for all samples.

    axes: those along which the numbers differ; (-1,): one for each feature or channel, None: one for each number of a
    sample. The parameter c has a sample's axes, 1 for those that are not named. trainable=False: it stays as it is.
    """

    axes: tuple[int, ...] | None = (-1,)
    init: Initializer = zeros
    trainable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check_axes(self, *(self.axes or ()))

    @functools.cached_property
    def trained(self) -> bool:
        return self.trainable

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """c. Raises ShapeError for an axis that the samples do not have."""
        axes = axes_of(self.axes, shape)
        sizes = tuple(n if i in axes else 1 for i, n in enumerate(shape, 1))
        return {"c": Spec(sizes, self.init, self.trainable, decay=False)}, shape

    def collected(self, cx: Ctx, d: Array, c: Array) -> Tree:
        """The gradient of c: d, summed over the samples and the axes on which c has 1. Of a fixed c nothing."""
        if not self.trainable:
            return {}
        repeated = tuple(i for i, n in enumerate(c.shape, 1) if n == 1)
        return {"c": cx.be.xp.reshape(cx.be.xp.sum(d, axis=(0, *repeated)), c.shape)}


@dataclass(frozen=True)
class Offset(SampleConstant):
    """y = x + c, the same c for every sample; dx = dy, dc = the sum of dy over all that c was added to."""

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x + p["c"], ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return (dy if cx.need_dx else None), self.collected(cx, dy, p["c"])


@dataclass(frozen=True)
class Scale(SampleConstant):
    """y = c x, the same c for every sample; dx = c dy, dc = the sum of x dy over all that c was multiplied with.

    With a small `Constant` as `init` it is LayerScale: Touvron, Cord, Sablayrolles, Synnaeve, Jegou, ICCV 2021.
    """

    init: Initializer = ones

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        return x * p["c"], (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        (x,) = cache
        return (dy * p["c"] if cx.need_dx else None), self.collected(cx, x * dy, p["c"])
