"""The initial weights that a user picks by name: `init="he_normal"`."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.initializers.base import Initializer
from xpnn.initializers.forget_bias import ForgetBias
from xpnn.initializers.scaled import (
    Normal,
    Orthogonal,
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

__all__ = ["INITIALIZERS", "get_initializer"]

INITIALIZERS: dict[str, Initializer] = {
    "zeros": zeros,
    "ones": ones,
    "normal": Normal(),
    "truncated_normal": TruncatedNormal(),
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "orthogonal": Orthogonal(),
    "sparse": Sparse(),
    "identity": Identity(),
    "dirac": Dirac(),
    "sinusoidal": Sinusoidal(),
    "forget_bias": ForgetBias(),
}


def get_initializer(initializer: str | Initializer) -> Initializer:
    """An initializer by name, or the initializer itself."""
    if isinstance(initializer, Initializer):
        return initializer
    if not isinstance(initializer, str) or initializer not in INITIALIZERS:
        raise UsageError(f"unknown initializer {initializer!r}", fix=did_you_mean(initializer, INITIALIZERS))
    return INITIALIZERS[initializer]
