"""Preprocessing as layers, so that it is saved with the model: what trained is what predicts.

They take any real dtype (uint8 images stay uint8 until here) and give the model's dtype.
"""

import functools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends.convert import to_host
from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Constant
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree, as_float


@dataclass(frozen=True)
class Rescale(Layer):
    """y = scale x + offset; dx = scale dy.

    Rescale(1 / 255) takes bytes to [0, 1], Rescale(1 / 127.5, -1) to [-1, 1], `Rescale.fit(x_train)` whatever it is.
    """

    input_kind = "any"
    scale: float
    offset: float = 0.0

    @classmethod
    def fit(cls, x: Any) -> "Rescale":
        """The layer that brings the smallest number in `x` to 0 and the largest to 1; where all are one, to 0."""
        rows = to_host(x)
        low, high = float(rows.min()), float(rows.max())
        scale = 1 / (high - low) if high > low else 1.0
        return cls(scale, -low * scale)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y = as_float(cx, x) * self.scale
        return (y + self.offset if self.offset else y), ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return dy * self.scale, {}


@dataclass(frozen=True)
class Standardize(Layer):
    """y = (x - mean) / std on the last axis; dx = dy / std. mean and std are numbers or one per feature.

    `Standardize.fit(x_train)` measures them, as floats of 64 bits over all axes but the last (divisor N, as
    scikit-learn's StandardScaler); a feature that never changes, but for rounding, gets std 1. They are kept in phi:
    saved, not trained. Where a mean is large beside its std, such as times in seconds, a network that begins with
    this layer keeps its samples in float64 until the mean is subtracted: 1.6e9 + 1 is 1.6e9 in float32.
    """

    mean: float | tuple[float, ...]
    std: float | tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.all(np.asarray(self.std) > 0):
            raise UsageError(f"Standardize: std must be above 0, got {self.std}")

    @classmethod
    def fit(cls, x: Any) -> "Standardize":
        """The layer that brings `x` (N, ..., features) to mean 0 and standard deviation 1."""
        rows = to_host(x)
        rows = rows.reshape(-1, rows.shape[-1])
        mean, std = rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64)
        low, high = rows.min(axis=0).astype(np.float64), rows.max(axis=0).astype(np.float64)
        rounding = 8 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
        constant = (low == high) | (std <= rounding)
        warn_of_lost_digits(rows.dtype, mean, np.where(constant, np.inf, std))
        mean, std = np.where(constant, low, mean), np.where(constant, 1.0, std)
        return cls(tuple(mean.tolist()), tuple(std.tolist()))

    @functools.cached_property
    def input_kind(self) -> str:
        """ "wide" where the digits of the model's dtype may not do for the differences between samples."""
        return "wide" if np.any(np.abs(self.mean) > LARGE * np.asarray(self.std)) else "any"

    @functools.cached_property
    def _rest(self) -> list[float]:
        """What each mean loses when it is rounded to float32."""
        mean = np.atleast_1d(np.asarray(self.mean, np.float64))
        rest: list[float] = (mean - mean.astype(np.float32)).tolist()
        return rest

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        features = shape[-1:]
        for value in (self.mean, self.std):
            if np.size(value) not in (1, *features):
                raise ShapeError(f"holds {np.size(value)} features", why=f"got {shape}")
        gain = tuple((1 / np.atleast_1d(self.std)).tolist())
        return {
            "mean": Spec(features, Constant(self.mean), trainable=False),
            "gain": Spec(features, Constant(gain), trainable=False),
        }, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps nothing. What is wider than the model's dtype is narrowed when the mean is subtracted."""
        be = cx.be
        if x.dtype != be.xp.float64 or be.dtype == be.xp.float64:
            return (as_float(cx, x) - p["mean"]) * p["gain"], ()
        rest = be.xp.stack([be.scalar(part, be.xp.float64) for part in self._rest])
        x = x - be.xp.astype(p["mean"], be.xp.float64) - rest
        return as_float(cx, x) * p["gain"], ()

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        return dy * p["gain"], {}


LARGE = 1000
"""|mean| / std from which a mean is large: float32 has 7 digits."""


def warn_of_lost_digits(dtype: Any, mean: Any, std: Any) -> None:
    """Say so where the samples' own dtype has rounded their differences away."""
    if dtype.kind != "f" or dtype.itemsize > 4:
        return
    spacing = np.abs(np.spacing(mean.astype(dtype))).astype(np.float64)
    bad = np.flatnonzero(spacing > std / LARGE)
    if len(bad):
        i = int(bad[0])
        warnings.warn(
            f"feature {i} is about {mean[i]:.6g} and given as {dtype}, in which numbers of that size are "
            f"{spacing[i]:.3g} apart: give it as float64, or subtract {mean[i]:.0f} first",
            stacklevel=3,
        )
