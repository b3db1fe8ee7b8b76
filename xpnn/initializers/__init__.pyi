"""Written by `python ci/names.py` from the classes themselves."""

from xpnn.initializers.base import Initializer as Initializer
from xpnn.initializers.base import fans as fans
from xpnn.initializers.by_name import INITIALIZERS as INITIALIZERS
from xpnn.initializers.by_name import get_initializer as get_initializer
from xpnn.initializers.forget_bias import ForgetBias as ForgetBias
from xpnn.initializers.scaled import Constant as Constant
from xpnn.initializers.scaled import Normal as Normal
from xpnn.initializers.scaled import Orthogonal as Orthogonal
from xpnn.initializers.scaled import VarianceScaling as VarianceScaling
from xpnn.initializers.scaled import glorot_normal as glorot_normal
from xpnn.initializers.scaled import glorot_uniform as glorot_uniform
from xpnn.initializers.scaled import he_normal as he_normal
from xpnn.initializers.scaled import he_uniform as he_uniform
from xpnn.initializers.scaled import lecun_normal as lecun_normal
from xpnn.initializers.scaled import lecun_uniform as lecun_uniform
from xpnn.initializers.scaled import ones as ones
from xpnn.initializers.scaled import zeros as zeros
from xpnn.initializers.sinusoidal import Sinusoidal as Sinusoidal
from xpnn.initializers.sparse import Dirac as Dirac
from xpnn.initializers.sparse import Identity as Identity
from xpnn.initializers.sparse import Sparse as Sparse
from xpnn.initializers.truncated import TruncatedNormal as TruncatedNormal

__all__: list[str]
