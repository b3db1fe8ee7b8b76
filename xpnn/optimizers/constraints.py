"""Constraints on parameters: each is a projection."""

from dataclasses import dataclass

from xpnn.backends.base import Backend
from xpnn.config import Config
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.kernels.length import length, unit
from xpnn.parameters import ParamInfo
from xpnn.settings import Positive

__all__ = ["Constraint"]


@dataclass(frozen=True)
class Constraint(Config, abstract=True):
    """For the parameters whose path fits `pattern`, as file names fit theirs: "2.W", "0.*", "*.W"."""

    pattern: str

    def check(self, param: ParamInfo) -> None:
        """Raise UsageError for a parameter that it cannot constrain."""

    def project(self, be: Backend, w: Array) -> Array:
        """Return the allowed values nearest to w."""
        raise NotImplementedError


@dataclass(frozen=True)
class NonNegative(Constraint):
    """w <- max(w, 0). As keras.constraints.NonNeg."""

    def project(self, be: Backend, w: Array) -> Array:
        return be.relu(w)


@dataclass(frozen=True)
class UnitNorm(Constraint):
    """w <- w / |w| along `axis`; zeros stay zeros. As keras.constraints.UnitNorm, without its 1e-7 beside |w|.

    axis 0 takes each column of a (n_in, n_out) matrix: the weights into one unit. A convolution's kernel
    (height, width, n_in, filters) wants (0, 1, 2).
    """

    axis: int | tuple[int, ...] = 0

    def check(self, param: ParamInfo) -> None:
        """Raises UsageError for an axis that the parameter has not, or that is named twice."""
        check_axes(self, self.axis, param)

    def project(self, be: Backend, w: Array) -> Array:
        return unit(be, w, self.axis)


@dataclass(frozen=True)
class MaxNorm(Constraint):
    """w <- w min(1, limit / |w|) along `axis`, as UnitNorm's. As keras.constraints.MaxNorm, without its 1e-7 beside
    |w|: what is short enough keeps its bits.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15 (2014).
    """

    limit: Positive = 2.0
    axis: int | tuple[int, ...] = 0

    def check(self, param: ParamInfo) -> None:
        """Raises UsageError for an axis that the parameter has not, or that is named twice."""
        check_axes(self, self.axis, param)

    def project(self, be: Backend, w: Array) -> Array:
        return be.xp.where(length(be, w, self.axis) > self.limit, self.limit * unit(be, w, self.axis), w)


def check_axes(constraint: Constraint, axis: int | tuple[int, ...], param: ParamInfo) -> None:
    """Raises UsageError unless `axis` names different axes of the parameter, one at least."""
    axes, n = axis if isinstance(axis, tuple) else (axis,), len(param.shape)
    if not axes or not all(-n <= a < n for a in axes) or len({a % n for a in axes}) < len(axes):
        raise UsageError(
            f"{type(constraint).__name__}({constraint.pattern!r}, axis={axis}): parameter {param.path} has shape"
            f" {param.shape}",
            fix=f"different axes from 0 to {n - 1}, or a pattern that leaves this parameter out",
        )
