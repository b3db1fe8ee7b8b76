"""The initial weights: each with its defaults and with other settings."""

from xpnn import initializers
from xpnn.initializers.forget_bias import ForgetBias
from xpnn.layers.attention_mask import Rows
from xpnn.layers.embedding import ZeroRow

ROWS = [
    initializers.zeros,
    initializers.ones,
    initializers.Constant(0.25),
    initializers.Constant((1.0, 2.0, 3.0, 4.0)),
    initializers.Normal(),
    initializers.Normal(2.0),
    initializers.glorot_normal,
    initializers.glorot_uniform,
    initializers.he_normal,
    initializers.he_uniform,
    initializers.lecun_normal,
    initializers.lecun_uniform,
    initializers.VarianceScaling(0.5, "out", "uniform"),
    initializers.Orthogonal(),
    initializers.Orthogonal(2.0),
    initializers.TruncatedNormal(),
    initializers.TruncatedNormal(2.0, 0.5),
    initializers.Identity(),
    initializers.Identity(-0.5),
    initializers.Dirac(),
    initializers.Dirac(2),
    initializers.Sinusoidal(),
    initializers.Sinusoidal(10.0),
    ForgetBias(),
    Rows(("0110", "1111", "0000", "1000")),
    ZeroRow(initializers.Normal(), 2),
    initializers.Sparse(0.6),
    initializers.Sparse(0.2, 2.0),
]
