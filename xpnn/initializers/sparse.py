"""Sparse initial weights: identity, Dirac, random sparse."""

import math
from dataclasses import dataclass

import numpy as np

from xpnn.errors import UsageError
from xpnn.initializers.base import Host, Initializer
from xpnn.settings import AtLeastZero, Count, Share


@dataclass(frozen=True)
class Identity(Initializer):
    """gain where row = column of a (n_in, n_out) matrix, else 0: a dense layer begins by passing its input on."""

    gain: float = 1.0

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return the matrix; nothing is drawn. Raises UsageError unless there are two axes."""
        if len(shape) != 2:
            raise UsageError(f"Identity needs a matrix, got shape {shape}", fix="use Dirac for a kernel")
        return self.gain * np.eye(*shape)


@dataclass(frozen=True)
class Dirac(Initializer):
    """1 at the middle of the window where input = output channel, else 0: a convolution begins by passing its input on.

    A kernel (..., c_in, c_out); the middle of k places is place k // 2. groups: in each of so many equal groups of
    output channels, counted from the group's first. Source: as torch.nn.init.dirac_.
    """

    groups: Count = 1

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return the kernel; nothing is drawn.

        Raises UsageError unless it has a window and channels that fit the groups.
        """
        if len(shape) < 3:
            raise UsageError(f"Dirac needs a kernel, got shape {shape}", fix="use Identity for a matrix")
        if shape[-1] % self.groups:
            raise UsageError(f"{shape[-1]} output channels do not fall into {self.groups} equal groups")
        kernel = np.zeros(shape)
        middle = tuple(k // 2 for k in shape[:-2])
        kernel[middle] = np.tile(np.eye(shape[-2], shape[-1] // self.groups), self.groups)
        return kernel


@dataclass(frozen=True)
class Sparse(Initializer):
    """N(0, std^2), and in every column of a (n_in, n_out) matrix ceil(sparsity n_in) entries 0, independently.

    So every unit begins with few inputs. Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010.
    """

    sparsity: Share = 0.9
    std: AtLeastZero = 0.01

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Draw the matrix. Raises UsageError unless there are two axes."""
        if len(shape) != 2:
            raise UsageError(f"Sparse needs a matrix, got shape {shape}", fix="use Normal or VarianceScaling")
        w = self.std * rng.standard_normal(shape)
        places = rng.permuted(np.tile(np.arange(shape[0])[:, None], shape[1]), axis=0)
        return np.where(places < math.ceil(self.sparsity * shape[0]), 0.0, w)
