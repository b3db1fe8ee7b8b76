"""Layers that change the height and width of images, or sum them up to one number for each channel."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpnn.errors import ShapeError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.window import Pair, Size, Window, at_least, check_padding, pair, place

Pads: TypeAlias = int | tuple[tuple[int, int], tuple[int, int]]


def check_images(shape: Shape) -> None:
    """Raise ShapeError for samples other than (height, width, channels)."""
    place(tuple(shape), (1, 1), (1, 1), "valid")


@dataclass(frozen=True)
class ZeroPad2D(Layer):
    """x with rows and columns of zeros around it: a number, or ((top, bottom), (left, right)).

    Shapes: x (N, H, W, C), y (N, top + H + bottom, left + W + right, C). Backward: dx is the middle of dy.
    """

    padding: Pads = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_padding(self, self.padding)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters."""
        check_images(shape)
        (top, bottom), (left, right) = self._pads()
        return {}, (top + shape[0] + bottom, left + shape[1] + right, shape[2])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps nothing."""
        return cx.be.pad2d(x, self._pads()), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The zeros are fixed."""
        (top, bottom), (left, right) = self._pads()
        return dy[:, top : dy.shape[1] - bottom, left : dy.shape[2] - right, :], {}

    def _pads(self) -> tuple[Pair, Pair]:
        pads = self.padding
        return ((pads, pads), (pads, pads)) if isinstance(pads, int) else pads


@dataclass(frozen=True)
class UpSampling2D(Layer):
    """Each pixel becomes a block of size pixels of its value (nearest neighbour): y[i, j] = x[i // s, j // t].

    Shapes: x (N, H, W, C), y (N, s H, t W, C). Backward: dx is the sum of dy over each block.
    """

    size: Size = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, size=self.size)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters."""
        check_images(shape)
        s, t = pair(self.size)
        return {}, (s * shape[0], t * shape[1], shape[2])

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps nothing."""
        (s, t), (n, height, width, channels) = pair(self.size), x.shape
        blocks = cx.be.xp.reshape(x, (n, height, 1, width, 1, channels))
        blocks = cx.be.xp.broadcast_to(blocks, (n, height, s, width, t, channels))
        return cx.be.xp.reshape(blocks, (n, s * height, t * width, channels)), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The blocks do not overlap."""
        (s, t), (n, height, width, channels) = pair(self.size), dy.shape
        blocks = cx.be.xp.reshape(dy, (n, height // s, s, width // t, t, channels))
        return cx.be.xp.sum(blocks, axis=(2, 4)), {}


def check_channels(shape: Shape) -> None:
    """Raise ShapeError for samples that are neither images nor sequences."""
    if len(shape) not in (2, 3) or 0 in shape:
        raise ShapeError(
            "wants images (height, width, channels) or sequences (time, channels)", why=f"got {shape}"
        )


def as_image(cx: Ctx, x: Array) -> Array:
    """(N, H, W, C) of images, (N, 1, time, C) of sequences."""
    return x if x.ndim == 4 else cx.be.xp.expand_dims(x, axis=1)


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """y = the mean of each channel: (N, H, W, C) or (N, time, C) -> (N, C); dx = dy / (number of places) everywhere.

    Source: Lin, Chen, Yan, "Network in network", ICLR 2014.
    """

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters."""
        check_channels(shape)
        return {}, shape[-1:]

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps the shape."""
        return cx.be.xp.mean(x, axis=tuple(range(1, x.ndim - 1))), (x.shape,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Every place has the same share."""
        (shape,) = cache
        places = shape[1:-1]
        share = cx.be.xp.reshape(dy, (shape[0], *(1 for _ in places), shape[-1])) / math.prod(places)
        return share + cx.be.xp.zeros(shape, dtype=dy.dtype, device=cx.be.device), {}


@dataclass(frozen=True)
class GlobalMaxPool(Layer):
    """y = the largest value of each channel: (N, H, W, C) or (N, time, C) -> (N, C); dx = dy at the first of them.

    NaN counts as the largest.
    """

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters."""
        check_channels(shape)
        return {}, shape[-1:]

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """One window as large as the image; keeps the place of the maximum."""
        image = as_image(cx, x)
        y, tap = cx.be.max_pool(image, one_window(image.shape))
        return y[:, 0, 0, :], (tap, image.shape, x.shape)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The other places get 0."""
        tap, image, shape = cache
        dx = cx.be.max_pool_grad(dy[:, None, None, :], tap, image, one_window(image))
        return cx.be.xp.reshape(dx, shape), {}


def one_window(shape: Shape) -> Window:
    """The whole of each image (N, H, W, C)."""
    return Window((shape[1], shape[2]), (shape[1], shape[2]))
