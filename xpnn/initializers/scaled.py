"""Dense weights: constant, normal, of scaled variance, orthogonal."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from xpnn.errors import UsageError
from xpnn.initializers.base import Host, Initializer, fans
from xpnn.settings import Positive, one_of

__all__ = [
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "zeros",
]


@dataclass(frozen=True)
class Constant(Initializer):
    """Every entry is `value`, a number or a tuple that broadcasts against the last axis."""

    value: float | tuple[float, ...] = 0.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return the constant; no random numbers are drawn."""
        return np.array(np.broadcast_to(np.asarray(self.value, dtype=np.float64), shape))


@dataclass(frozen=True)
class Normal(Initializer):
    """Independent draws from N(0, std^2)."""

    std: float = 0.01

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return independent draws."""
        return self.std * rng.standard_normal(shape)


@dataclass(frozen=True)
class VarianceScaling(Initializer):
    """Variance scale / fan, normal or uniform: U(-sqrt(3 scale / fan), +sqrt(3 scale / fan)).

    Glorot: scale 1, fan the mean of both (Glorot and Bengio 2010). He: scale 2, fan_in (He et al. 2015).
    LeCun: scale 1, fan_in (LeCun et al. 1998, "Efficient BackProp").
    """

    scale: Positive = 1.0
    fan: Annotated[str, one_of("in", "out", "mean")] = "in"
    distribution: Annotated[str, one_of("normal", "uniform")] = "normal"

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Raises UsageError when the fan is 0, for which the variance is undefined."""
        return self.draw(rng, shape, None)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...], given: tuple[int, int] | None) -> Host:
        """Draw with the given fans, else with those of the shape."""
        fan_in, fan_out = fans(shape) if given is None else given
        fan = {"in": fan_in, "out": fan_out, "mean": (fan_in + fan_out) / 2}[self.fan]
        if fan == 0:
            raise UsageError(
                f"cannot scale the variance of weights of shape {shape}", why=f"fan_{self.fan} is 0"
            )
        variance = self.scale / fan
        if self.distribution == "normal":
            return math.sqrt(variance) * rng.standard_normal(shape)
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """gain times a matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2014).

    The Q of the QR decomposition of a normal matrix, columns signed by R's diagonal so that it is uniformly
    distributed (Mezzadri 2007). Leading axes of a kernel count as rows.
    """

    gain: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Draw the matrix. Raises UsageError for fewer than two axes."""
        if len(shape) < 2:
            raise UsageError(f"Orthogonal needs a matrix, got shape {shape}", fix="use Normal or Constant")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * np.reshape(q if rows >= columns else q.T, shape)


zeros = Constant(0.0)
ones = Constant(1.0)
glorot_normal = VarianceScaling(1.0, "mean", "normal")
glorot_uniform = VarianceScaling(1.0, "mean", "uniform")
he_normal = VarianceScaling(2.0, "in", "normal")
he_uniform = VarianceScaling(2.0, "in", "uniform")
lecun_normal = VarianceScaling(1.0, "in", "normal")
lecun_uniform = VarianceScaling(1.0, "in", "uniform")
