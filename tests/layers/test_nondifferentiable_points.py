"""Values and slopes exactly where a formula changes: each point belongs to one side, which the docstrings name."""

import numpy as np
import pytest
from harness import open_backend

import xpnn
from xpnn.layers import Ctx
from xpnn.losses import BinaryCrossEntropy, Hinge

BE = open_backend("numpy", "float64")
CX = Ctx(BE)
SELU = 1.0507009873554805 * 1.6732632423543772
KINKS = {
    "ReLU": (xpnn.ReLU(), [0.0], [0.0], [0.0]),
    "LeakyReLU": (xpnn.LeakyReLU(0.25), [0.0, -0.0], [0.0, 0.0], [0.25, 0.25]),
    "ELU": (xpnn.ELU(2.0), [0.0], [0.0], [2.0]),
    "CELU": (xpnn.CELU(2.0), [0.0], [0.0], [1.0]),
    "SELU": (xpnn.SELU(), [0.0], [0.0], [SELU]),
    "HardTanh": (xpnn.HardTanh(), [-1.0, 1.0], [-1.0, 1.0], [0.0, 0.0]),
    "HardSigmoid": (xpnn.HardSigmoid(), [-3.0, 3.0], [0.0, 1.0], [0.0, 0.0]),
    "HardSwish": (xpnn.HardSwish(), [-3.0, 3.0], [0.0, 3.0], [0.0, 1.0]),
    "Softsign": (xpnn.Softsign(), [0.0], [0.0], [1.0]),
    "Mish": (xpnn.Mish(), [0.0], [0.0], [0.6]),
    "GELU": (xpnn.GELU(), [0.0, 40.0, -40.0, 100.0], [0.0, 40.0, 0.0, 100.0], [0.5, 1.0, 0.0, 1.0]),
    "GELU by tanh": (xpnn.GELU(approximate=True), [0.0, 40.0, -40.0], [0.0, 40.0, 0.0], [0.5, 1.0, 0.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_values_and_slopes_at_a_kink(name):
    layer, x, values, slopes = KINKS[name]
    x = np.array([x])
    with BE.device_context():
        y, cache = layer.forward(CX, {}, x)
        dx, _ = layer.backward(CX, {}, cache, np.ones_like(x))
    np.testing.assert_allclose(y, [values], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, [slopes], rtol=1e-12, atol=1e-12)


def test_a_score_of_0_is_the_first_class():
    zero = np.zeros((3, 1))
    assert BinaryCrossEntropy().labels(BE, zero).tolist() == [[0]] * 3
    assert Hinge().labels(BE, zero).tolist() == [[-1]] * 3
