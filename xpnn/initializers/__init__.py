"""Initial weights, by class and by name."""

from xpnn.initializers.base import Initializer, fans
from xpnn.initializers.scaled import (
    Constant,
    Normal,
    Orthogonal,
    VarianceScaling,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    ones,
    zeros,
)
from xpnn.initializers.sinusoidal import Sinusoidal
from xpnn.initializers.sparse import Dirac, Identity, Sparse
from xpnn.initializers.truncated import TruncatedNormal

__all__ = [
    "Constant",
    "Dirac",
    "Identity",
    "Initializer",
    "Normal",
    "Orthogonal",
    "Sinusoidal",
    "Sparse",
    "TruncatedNormal",
    "VarianceScaling",
    "fans",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "zeros",
]
