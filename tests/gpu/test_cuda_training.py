"""Whole trainings with the CUDA kernels, emulated on the CPU (no GPU), against the NumPy backend."""

import numpy as np
import pytest
from cublaslt_stand_in import CublasKernels, FakeLt, Lying, fake_cupy
from emulated_cuda import EmulatedBackend, needs_compiler
from harness import rng_of
from tolerances import assert_close, assert_same

import xpnn
from xpnn.backends.cuda.cublaslt import BIAS, DRELU, RELU_AUX_BIAS, RELU_BIAS, SUMS_OF_FIRST
from xpnn.backends.numpy import NumpyBackend

pytestmark = needs_compiler

MLP = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(21), xpnn.ReLU(), xpnn.Dropout(0.3), xpnn.Dense(5)]
CNN = [
    *(xpnn.Rescale(1 / 255, -0.5), xpnn.Conv2D(6, 3), xpnn.ReLU(), xpnn.BatchNorm(), xpnn.MaxPool2D(2)),
    *(xpnn.Conv2D(4, 3, padding="same"), xpnn.ReLU(), xpnn.AvgPool2D(2), xpnn.Flatten(), xpnn.Dense(5)),
]
OPTIMIZERS = [
    xpnn.Adam(1e-2),
    xpnn.AdamW(1e-2, clip_norm=0.5, l1=1e-3, l2=1e-2),
    xpnn.SGD(0.1),
    xpnn.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    xpnn.RMSProp(1e-3),
]
"""The last has no kernel: its new values are chosen after, by the condition."""


DEEP = [*MLP[:2], xpnn.Dense(24), xpnn.ReLU(), xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(5)]
RNN = [MLP[1], xpnn.Reshape((12, 12)), xpnn.LSTM(8), xpnn.Dense(5)]


class WholeBackend(CublasKernels, EmulatedBackend):
    """The kernels with the products: what the CuPy backend is made of, in its order."""

    refused = ()

    def load(self):
        self._made = Lying(fake_cupy(), FakeLt(refuse=self.refused, workspace=1000), "fp32")
        return super().load()

    products = property(lambda self: self._made)


class PlainBackend(WholeBackend):
    """On a GPU whose library knows no epilogues."""

    refused = (BIAS, RELU_BIAS, SUMS_OF_FIRST, RELU_AUX_BIAS, DRELU)


def trainer(backend, layers, optimizer, dtype):
    be = backend("cpu", dtype)
    model = xpnn.Model(layers, (12, 12, 1), backend=be, seed=3)
    return xpnn.Trainer(model, "softmax_cross_entropy", optimizer)


def batch(step, n=9):
    rng = rng_of("batch", step)
    return rng.integers(0, 256, (n, 12, 12, 1)).astype(np.uint8), rng.integers(0, 5, n)


def arrays(trainer):
    """Everything that a step may change."""
    vectors = {"theta": trainer.model.theta, "phi": trainer.model.phi, **trainer.state}
    return {name: np.array(a) for name, a in vectors.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("layers", [MLP, CNN], ids=["mlp", "cnn"])
def test_training_equals_numpys(layers, optimizer, dtype):
    theirs, ours = (trainer(b, layers, optimizer, dtype) for b in (NumpyBackend, EmulatedBackend))
    for step in range(4):
        losses = [t.step(*batch(step)) for t in (theirs, ours)]
        assert_close(losses[1], losses[0], dtype, f"loss of step {step}")
    wanted = arrays(theirs)
    for name, got in arrays(ours).items():
        assert_close(got, wanted[name], dtype, name)
    launched = ours.model.backend.launched
    assert launched["softmax_cross_entropy"] == 4
    scores = [t.model.evaluate(*batch(5)) for t in (theirs, ours)]
    assert launched["softmax_cross_entropy"] == 5
    assert scores[0]["accuracy"] == scores[1]["accuracy"]
    assert_close(scores[1]["loss"], scores[0]["loss"], dtype, "evaluation")


@pytest.mark.parametrize("backend", [WholeBackend, PlainBackend])
@pytest.mark.parametrize("layers", [MLP, CNN, DEEP, RNN], ids=["mlp", "cnn", "deep", "rnn"])
def test_training_with_kernels_and_products_equals_numpys(layers, backend):
    theirs, ours = (trainer(b, layers, OPTIMIZERS[1], "float32") for b in (NumpyBackend, backend))
    for step in range(4):
        losses = [t.step(*batch(step)) for t in (theirs, ours)]
        assert_close(losses[1], losses[0], "float32", f"loss of step {step}")
    wanted = arrays(theirs)
    for name, got in arrays(ours).items():
        assert_close(got, wanted[name], "float32", name)
    assert "Matmul" in ours.model.backend.products.lt.log
    if layers is DEEP:  # a kernel of its own for each ReLU only where no product takes it along
        assert ours.model.backend.launched["relu_grad"] == (0 if backend is WholeBackend else 8)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_loss_that_is_not_finite_changes_nothing(optimizer):
    """The updates run all the same, for the host does not ask; they write nothing."""
    ours = trainer(EmulatedBackend, [MLP[0], *MLP[2:]], optimizer, "float32")
    x, y = (rng_of("x").standard_normal((9, 12, 12, 1)).astype(np.float32)), np.arange(9) % 5
    ours.step(x, y)
    before = arrays(ours)
    x[3, 2, 2, 0] = np.inf
    assert np.isnan(ours.step(x, y))
    after = arrays(ours)
    assert before.pop("ok")
    assert not after.pop("ok")
    for name, old in before.items():
        assert_same(after[name], old, name)


def test_a_condition_ends_with_its_call():
    """Also where it is left by an exception; inside another it holds where both do."""
    be = EmulatedBackend("cpu", "float64")
    one = {name: be.scalar(1) for name in ("t", "lr", "clip")}
    one["t"] = be.scalar(1, be.xp.int64)

    def descend(tree):
        theta = tree["theta"]
        named = ("descent", (0.0, 0.0, 0.0), tuple(one.values()))
        (theta,) = be.elementwise(None, (be.xp.ones_like(theta),) * 3, (theta,), named)
        return {"theta": theta}

    def fail(tree):
        raise KeyError("left")

    theta = be.zeros((5,))
    no, yes = (be.scalar(value, be.xp.bool) for value in (False, True))
    with pytest.raises(KeyError, match="left"):
        be.cond(no, fail, {"theta": theta})
    descend({"theta": theta})
    assert theta.tolist() == [-1.0] * 5
    for outer, inner, reached in ((no, yes, -1.0), (yes, no, -1.0), (yes, yes, -2.0)):
        new = be.cond(outer, lambda tree, inner=inner: be.cond(inner, descend, tree), {"theta": theta})
        assert new["theta"] is theta
        assert theta.tolist() == [reached] * 5
