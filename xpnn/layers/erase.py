"""Images with a part missing or mirrored while training, drawn for each image. Otherwise y = x."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree, as_float
from xpnn.settings import Share, one_of
from xpnn.window import check_positions


@dataclass(frozen=True)
class RandomErase(Layer):
    """While training y = 0 in one rectangle of an image, with probability `rate`; there dx = 0, elsewhere dx = dy.

    Its height and width are drawn apart, whole numbers uniform between sides[0] and sides[1] times the image's; its
    place is uniform among those that lie inside.
    Source: Zhong, Zheng, Kang, Li, Yang, "Random erasing data augmentation", AAAI 2020; DeVries, Taylor, 2017 (Cutout).
    """

    role = "augmentation"
    input_kind = "any"
    rate: Share = 0.5
    sides: tuple[float, float] = (0.1, 0.4)

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.sides
        if not 0 <= low <= high <= 1:
            raise UsageError(
                f"RandomErase(sides={self.sides}): wanted two shares of the image's sides, the smaller first"
            )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError for samples that are no images (height, width, channels)."""
        check_positions(shape, 2)
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps which pixels stay (N, H, W, 1)."""
        x = as_float(cx, x)
        if not cx.train or self.rate == 0:
            return x, ()
        xp, (n, height, width, _) = cx.be.xp, x.shape
        draws = cx.uniform((n, 5))
        chosen = xp.reshape(draws[:, 0] < self.rate, (n, 1, 1, 1))
        rows = self._stretch(cx, draws[:, 1], draws[:, 2], height)[:, :, None, None]
        columns = self._stretch(cx, draws[:, 3], draws[:, 4], width)[:, None, :, None]
        keep = ~(chosen & rows & columns)
        return xp.where(keep, x, xp.zeros_like(x)), (keep,)

    def _stretch(self, cx: Ctx, length: Array, start: Array, side: int) -> Array:
        """Bool (N, side): a stretch of drawn length at a drawn place."""
        xp = cx.be.xp
        low, high = (math.floor(share * side + 0.5) for share in self.sides)
        size = xp.floor(length * (high - low + 1)) + low
        first = xp.floor(start * (side + 1 - size))
        at = xp.astype(cx.be.arange(side), cx.be.dtype)
        return (at >= first[:, None]) & (at < (first + size)[:, None])

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return (cx.be.xp.where(cache[0], dy, cx.be.xp.zeros_like(dy)) if cache else dy), {}


@dataclass(frozen=True)
class RandomFlip(Layer):
    """While training y = x mirrored, with probability `rate`; dx = dy mirrored in the same way.

    axis: "horizontal" exchanges left and right, "vertical" top and bottom.
    """

    role = "augmentation"
    input_kind = "any"
    rate: Share = 0.5
    axis: Annotated[str, one_of("horizontal", "vertical")] = "horizontal"

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError for samples that are no images (height, width, channels)."""
        check_positions(shape, 2)
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps which images stay as they are (N, 1, 1, 1)."""
        x = as_float(cx, x)
        if not cx.train or self.rate == 0:
            return x, ()
        stay = cx.keep_mask((x.shape[0], 1, 1, 1), self.rate)
        return self._mirror(cx, stay, x), (stay,)

    def _mirror(self, cx: Ctx, stay: Array, x: Array) -> Array:
        return cx.be.xp.where(stay, x, cx.be.xp.flip(x, axis=2 if self.axis == "horizontal" else 1))

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return (self._mirror(cx, cache[0], dy) if cache else dy), {}
