"""Precision bf16: every operand of a product is rounded once in a step, and never out of date.

Against the same products where each rounds its own operands: bit for bit, for sharing what is rounded changes nothing.
"""

import numpy as np
import pytest
from cublaslt_stand_in import CublasKernels, FakeLt, Lying, fake_cupy, placed

import xpnn
from xpnn.backends.cuda.products import Products
from xpnn.backends.numpy import NumpyBackend
from xpnn.kernels import Kernels

RNG = np.random.default_rng(11)


class Sharing(CublasKernels, NumpyBackend):
    """CUDA's products by a stand-in for cuBLASLt; everything else is NumPy's, recurrent steps one by one as on CUDA."""

    whole_passes = False

    def __init__(self):
        super().__init__("cpu", "float32")
        self.precision, self.cupy = "bf16", fake_cupy()
        self.products = Lying(self.cupy, FakeLt(), "bf16")

    def owns(self, a):
        return isinstance(a, np.ndarray)


class Alone(Sharing):
    """Each product rounds for itself, and knows of none before it."""

    @property
    def products(self):
        return Lying(self.cupy, FakeLt(), "bf16")

    @products.setter
    def products(self, _):
        pass

    def operand(self, a):
        return a

    affine_grads, affine_relu_with_mask = Kernels.affine_grads, Kernels.affine_relu_with_mask


NETS = {
    "mlp": ([xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(8), xpnn.Tanh(), xpnn.Dense(3)], (8,)),
    "maxout": ([xpnn.Maxout(4, 2), xpnn.Dense(3)], (8,)),
    "rnn": ([xpnn.SimpleRNN(8), xpnn.Dense(3)], (5, 8)),
    "lstm": ([xpnn.LSTM(8), xpnn.Dense(3)], (5, 8)),
    "gru": ([xpnn.GRU(8, sequences=True), xpnn.Flatten(), xpnn.Dense(3)], (5, 8)),
    "attention": ([xpnn.MultiHeadAttention(2), xpnn.Flatten(), xpnn.Dense(3)], (5, 8)),
    "images": ([xpnn.Conv2D(8, 3), xpnn.ReLU(), xpnn.Flatten(), xpnn.Dense(3)], (5, 5, 2)),
}
CASTS = {
    # x, W, dy of each layer, each once; of recurrent ones x, W, U, 5 states, 5 gradients, then [x, h] and all gradients
    "mlp": 9,
    "maxout": 6,
    "rnn": 3 + 5 + 5 + 2 + 3,
    "lstm": 3 + 5 + 5 + 2 + 3,
}


def trainer(kind, net="mlp", seed=0):
    be = kind()
    layers, shape = NETS[net]
    model = xpnn.Model(layers, shape, backend=be, seed=seed)
    return xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.5, momentum=0.5))


def batch(trainer, n=16):
    x = np.random.default_rng(trainer.steps).standard_normal((n, *trainer.model.input_shape)).astype("f4")
    return x, np.arange(n) % 3


def step(trainer):
    """Its loss and the weights after it."""
    value = trainer.step(*batch(trainer))
    return np.asarray(value).tobytes(), np.asarray(trainer.model.theta).tobytes()


@pytest.mark.parametrize("net", NETS)
def test_sharing_what_is_rounded_changes_nothing(net):
    ours, theirs = (trainer(kind, net) for kind in (Sharing, Alone))
    for _ in range(3):
        assert step(ours) == step(theirs)
    x, y = batch(ours)
    assert ours.model.evaluate(x, y) == theirs.model.evaluate(x, y)


@pytest.mark.parametrize("net", CASTS)
def test_each_operand_is_rounded_once(net):
    run = trainer(Sharing, net)
    step(run)
    cast = run.model.backend.cupy.cast
    cast.clear()
    step(run)
    assert {name for name, _ in cast} == {"xpnn_to_bf16"}
    assert len(cast) == CASTS[net]
    shapes = [shape for _, shape in cast]
    weights = [place.shape for place in run.model.layout.params if len(place.shape) == 2]
    assert all(shapes.count(shape) == weights.count(shape) for shape in weights)


def load(run):
    run.model.load_parameters({"0.W": np.full((8, 8), 0.25)}, strict=False)


def assign(run):
    run.model.theta = run.model.backend.asarray(np.linspace(-1, 1, run.model.theta.size).astype("f4"))


def write(run):
    run.model.parameters()["2.W"][...] = 0.125


def restore(run):
    run.model.restore({"theta": np.full(run.model.theta.size, -0.1, "f4"), "phi": np.zeros(0, "f4")})


@pytest.mark.parametrize("change", [load, assign, write, restore])
def test_new_weights_are_rounded_anew(change):
    """However they came, and with another model at work in between."""
    pairs = [[trainer(kind, seed=seed) for kind in (Sharing, Alone)] for seed in (1, 2)]
    for k in range(4):
        for pair in pairs:
            found = []
            for run in pair:
                if k == 2:
                    change(run)
                found.append((step(run), run.model.forward(batch(run)[0]).tobytes()))
            assert found[0] == found[1]


def test_what_only_cupy_can_multiply_is_made_float32_again():
    """With the operands rounded all the same."""
    be, alone = Sharing(), Alone()
    be.products.lt.refuse = [1]
    x, W = (placed(RNG.standard_normal(shape).astype("f4")) for shape in ((6, 8), (8, 4)))
    narrow, wide = be.matmul(be.operand(x), be.operand(W)), alone.matmul(x, W)
    assert narrow.dtype == np.float32
    assert [name for name, _ in be.cupy.cast] == ["xpnn_to_bf16"] * 2 + ["xpnn_from_bf16"] * 2
    np.testing.assert_allclose(narrow, wide, rtol=1e-5, atol=1e-5)


def test_other_precisions_and_dtypes_round_nothing():
    for precision, dtype in (("fp32", "f4"), ("tf32", "f4"), ("bf16", "f8"), ("bf16", "i8")):
        products = Products(fake_cupy(), FakeLt(), precision)
        a = placed(np.ones((2, 3), dtype))
        assert products.operand(a) is a
        assert products.widened(a) is a
    assert Products(fake_cupy(), FakeLt(), "fp32")(*[placed(np.ones((3, 3), np.uint16))] * 2) is None
