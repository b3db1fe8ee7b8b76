"""The loss of a step and of an evaluation: what the loss itself gives, by kernels where they compute it."""

import numpy as np
import pytest
from cases import LOSSES
from harness import host_arrays, loss_arrays_on
from tolerances import assert_close

from xpnn.backends.numpy import NumpyBackend
from xpnn.fusion import loss_and_correct, loss_and_gradient
from xpnn.losses import Focal, SoftmaxCrossEntropy


@pytest.mark.parametrize("case", [c for c in LOSSES if isinstance(c.loss, SoftmaxCrossEntropy)], ids=str)
def test_it_is_the_loss_and_its_gradient(any_be, case):
    be = any_be
    prediction, target, weight = loss_arrays_on(be, case)
    for given in ((prediction, target), (prediction, target, weight)):
        got, wanted = (
            host_arrays(be, loss_and_gradient(case.loss, be, *given)),
            host_arrays(be, case.loss(be, *given)),
        )
        for (name, a), (_, b) in zip(got, wanted, strict=True):
            assert_close(a, b, be.dtype_name, name)


class Counting(NumpyBackend):
    """It counts what its kernels are asked."""

    def __init__(self):
        super().__init__("cpu", "float64")
        self.calls = 0

    def softmax_cross_entropy(self, z, ids):
        self.calls += 1
        return super().softmax_cross_entropy(z, ids)

    def softmax_cross_entropy_and_correct(self, z, ids):
        self.calls += 1
        return super().softmax_cross_entropy_and_correct(z, ids)

    def softmax_cross_entropy_gradient_and_correct(self, z, ids):
        self.calls += 1
        return super().softmax_cross_entropy_gradient_and_correct(z, ids)


class Other(SoftmaxCrossEntropy):
    """A subclass may have another formula."""


@pytest.mark.parametrize(
    ("loss", "calls"),
    [
        (SoftmaxCrossEntropy(), 2),
        (SoftmaxCrossEntropy(reduction="sum"), 0),
        (SoftmaxCrossEntropy(label_smoothing=0.1), 0),
        (SoftmaxCrossEntropy(class_weight=(1.0, 2.0, 3.0)), 0),
        (SoftmaxCrossEntropy(ignore_index=-100), 0),
        (Other(), 0),
        (Focal(), 0),
    ],
    ids=str,
)
def test_kernels_compute_the_mean_over_ids_that_count_alike(loss, calls):
    be = Counting()
    z, ids, s = np.random.default_rng(0).standard_normal((4, 3)), np.array([0, 2, 1, 1]), np.ones(4)
    loss_and_gradient(loss, be, z, ids, s)
    loss_and_gradient(loss, be, z, np.eye(3)[ids])
    assert be.calls == 0
    loss_and_gradient(loss, be, z, ids)
    loss_and_correct(loss, be, z, ids)
    assert be.calls == calls
