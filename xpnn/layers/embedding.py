"""Rows of a table, by number."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.initializers import Initializer, Normal
from xpnn.initializers.base import Host
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.settings import Count

near_zero = Normal(0.05)


@dataclass(frozen=True)
class ZeroRow(Initializer):
    """W as `init` draws it, but for one row of 0: that of an embedding's padding."""

    init: Initializer
    row: int

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """The same draws as without it, times 0 in that row."""
        W: Host = self.init(rng, shape) * (np.arange(shape[0]) != self.row).reshape(
            -1, *[1] * (len(shape) - 1)
        )
        return W


@dataclass(frozen=True)
class Embedding(Layer):
    """y = W[x]: each id 0 <= x < tokens becomes its row of W.

    Shapes: x (...) of whole numbers, W (tokens, width), y (..., width).
    padding_idx: the id that fills short sequences up. Its row begins at 0 and gets no gradient, as in PyTorch; layers
    that are to skip those steps take a mask beside, which `PaddingMask(padding_idx)` makes of the ids.
    Backward: dW[i] = sum of dy over all places where x is i, 0 for the padding; ids have no gradient, so dx is
    None. Comes first in a network, or after layers that only move elements. Ids are checked where data enters a model,
    not in a step.
    Source: Bengio, Ducharme, Vincent, Jauvin, "A neural probabilistic language model", JMLR 3 (2003).
    """

    trained = True
    input_kind = "int"
    tokens: Count
    width: Count
    init: Initializer = near_zero
    padding_idx: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding_idx is not None and not 0 <= self.padding_idx < self.tokens:
            raise UsageError(
                f"Embedding(tokens={self.tokens}, padding_idx={self.padding_idx}): no such id",
                fix=f"one of 0 to {self.tokens - 1}, or None",
            )

    @functools.cached_property
    def vocab_size(self) -> int:
        return self.tokens

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        init = self.init if self.padding_idx is None else ZeroRow(self.init, self.padding_idx)
        return {"W": Spec((self.tokens, self.width), init)}, (*shape, self.width)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        xp = cx.be.xp
        rows = cx.be.take_rows(p["W"], xp.reshape(x, (-1,)))
        return xp.reshape(rows, (*x.shape, self.width)), (x,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """The adjoint of taking rows is adding rows."""
        xp, (x,) = cx.be.xp, cache
        rows = xp.reshape(dy, (-1, self.width))
        dW = cx.be.add_rows(xp.reshape(x, (-1,)), rows, self.tokens)
        if self.padding_idx is not None:
            padding = (cx.be.arange(self.tokens) == self.padding_idx)[:, None]
            dW = xp.where(padding, xp.zeros_like(dW), dW)
        return None, {"W": dW}
