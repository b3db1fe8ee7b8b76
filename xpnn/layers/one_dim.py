"""Convolution and pooling over sequences: those over images, on images one row high."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from xpnn.errors import ShapeError
from xpnn.initializers import Initializer, he_normal, zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.conv import Conv2D
from xpnn.layers.pool import AvgPool2D, MaxPool2D
from xpnn.window import Padding, at_least

Ends: TypeAlias = str | int | tuple[int, int]


def flat(padding: Ends) -> Padding:
    """The same padding for images one row high."""
    if isinstance(padding, str):
        return padding
    return (0, 0), ((padding, padding) if isinstance(padding, int) else padding)


def row(shape: Shape) -> Shape:
    """(length, channels) as an image. Raises ShapeError for other samples."""
    if len(shape) != 2:
        raise ShapeError("wants sequences (length, channels)", why=f"got {shape}")
    return (1, *shape)


@dataclass(frozen=True)
class Conv1D(Layer):
    """y[n, i, f] = b[f] + sum over a, c of x[n, i s + a d, c] W[a, c, f], x padded with zeros; see Conv2D.

    Shapes: x (N, L, c_in), W (kernel, c_in / groups, filters), b (filters,), y (N, length, filters).
    padding: "valid", "same", a number, or (before, after).
    Source: Waibel et al., "Phoneme recognition using time-delay neural networks", IEEE TASSP 37 (1989).
    """

    trained = True
    filters: int
    kernel: int
    stride: int = 1
    padding: Ends = "valid"
    dilation: int = 1
    groups: int = 1
    init: Initializer = he_normal
    bias_init: Initializer = zeros

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {"kernel": self.kernel, "stride": self.stride, "dilation": self.dilation}
        at_least(1, self, filters=self.filters, groups=self.groups, **sizes)
        self._wide()

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """W and b. Raises ShapeError when no window fits, or the groups do not divide the channels."""
        specs, out = self._wide().plan(row(shape))
        W = specs["W"]
        return {"W": Spec(W.shape[1:], W.init, fans=W.fans), "b": specs["b"]}, out[1:]

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, as an image."""
        y, cache = self._wide().forward(cx, tall(p), x[:, None, :, :])
        return y[:, 0, :, :], cache

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """That of the image."""
        dx, grads = self._wide().backward(cx, tall(p), cache, dy[:, None, :, :])
        return (None if dx is None else dx[:, 0, :, :]), {"W": grads["W"][0, :, :, :], "b": grads["b"]}

    def _wide(self) -> Conv2D:
        sizes = (1, self.kernel), (1, self.stride), flat(self.padding), (1, self.dilation)
        return Conv2D(self.filters, *sizes, self.groups, self.init, self.bias_init)


def tall(p: Tree) -> Tree:
    """Kernels one row high."""
    return {"W": p["W"][None, :, :, :], "b": p["b"]}


@dataclass(frozen=True)
class Pool1D(Layer, abstract=True):
    """What pooling over sequences shares: it is that of the class `wide`, on images one row high."""

    wide: ClassVar[type[MaxPool2D] | type[AvgPool2D]]

    pool: int = 2
    stride: int | None = None
    padding: Ends = "valid"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, self, pool=self.pool, stride=self.pool if self.stride is None else self.stride)
        self._wide()

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """No parameters. Raises ShapeError when no window fits, or one would hold nothing but padding."""
        return {}, self._wide().plan(row(shape))[1][1:]

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps what the image's keeps."""
        y, cache = self._wide().forward(cx, p, x[:, None, :, :])
        return y[:, 0, :, :], cache

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """That of the image."""
        dx, _ = self._wide().backward(cx, p, cache, dy[:, None, :, :])
        return (None if dx is None else dx[:, 0, :, :]), {}

    def _wide(self) -> MaxPool2D | AvgPool2D:
        return self.wide((1, self.pool), (1, self.stride or self.pool), flat(self.padding))


@dataclass(frozen=True)
class MaxPool1D(Pool1D):
    """y = the largest x of each window of a sequence (N, L, C); see MaxPool2D. padding: as for Conv1D."""

    wide = MaxPool2D


@dataclass(frozen=True)
class AvgPool1D(Pool1D):
    """y = the mean of each window of a sequence (N, L, C); see AvgPool2D. padding: as for Conv1D."""

    wide = AvgPool2D
