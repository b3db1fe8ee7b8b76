"""Planted faults: every backward pass is broken in every way we could think of, and both gradient checks must see it.

Ours is the finite-difference check of the other tests; the package's own is `xpnn.gradcheck`, which must
name the layer.
"""

import pytest
from cases import LOSSES, MLP
from faults import (
    CASES,
    CHAIN,
    CROSS_ENTROPY,
    FAULTS,
    IDS,
    LOSS_CASES,
    LOSS_FAULTS,
    RELU_GRAD,
    SAMPLES,
    SQUARE,
)
from harness import layer_errors, loss_error, open_backend
from proof_table import children
from tolerances import GRADIENT

import xpnn
from xpnn.backends import get_backend
from xpnn.backends.numpy import NumpyBackend
from xpnn.layers import PaddingMask, ReLU, Sequential, Sigmoid, Tanh
from xpnn.layers.base import is_multiple
from xpnn.layers.merge_inputs import Merge
from xpnn.layers.recurrent import Recurrent

SHARED = (Merge, Recurrent)
"""What several layers share. PaddingMask has no gradient; Sequential and Several have tests of their own."""


def planted(monkeypatch, cls, fault):
    right = cls.backward
    monkeypatch.setattr(cls, "backward", lambda self, cx, p, cache, dy: fault(self, cx, p, cache, dy, right))


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls in FAULTS for name in FAULTS[cls]])
def test_fault_in_a_layer_is_caught_by_both_checks(cls, name, monkeypatch, record_property):
    case, be = CASES[cls], open_backend("numpy", "float64")
    planted(monkeypatch, cls, FAULTS[cls][name])
    assert max(layer_errors(be, case).values()) > GRADIENT
    alone = case.ids or is_multiple(case.shape)  # nothing can stand before it
    before = [] if alone else [Sigmoid() if cls is not Sigmoid else Tanh()]
    rows = xpnn.gradcheck([*before, case.layer], case.shape)
    assert {(row.path, row.layer) for row in rows if not row.ok} == {(str(len(before)), cls.__name__)}
    record_property("fault", f"{cls.__name__}: {name}")


@pytest.mark.parametrize("cls", CASES, ids=lambda cls: cls.__name__)
def test_without_a_fault_both_checks_are_content(cls):
    """And at least six faults are planted in each."""
    case = CASES[cls]
    assert max(layer_errors(open_backend("numpy", "float64"), case).values()) <= GRADIENT
    assert all(row.ok for row in xpnn.gradcheck([case.layer], case.shape))
    assert len(FAULTS[cls]) >= 6


def test_every_layer_with_a_gradient_has_faults():
    found = {cls for cls in children(xpnn.Layer) if cls.differentiable}
    assert found - {Sequential, PaddingMask} == set(CASES)


@pytest.mark.parametrize("name", CHAIN)
def test_fault_in_the_chain_rule_is_caught(name, monkeypatch, record_property):
    """By our check, which differentiates through whole chains; gradcheck asks each layer of a chain alone."""
    planted(monkeypatch, Sequential, CHAIN[name])
    assert max(layer_errors(open_backend("numpy", "float64"), SQUARE).values()) > GRADIENT
    record_property("fault", f"Sequential: {name}")


def plant_in_loss(monkeypatch, cls, wrong):
    right = cls.__call__

    def call(self, be, z, t, weight=None):
        value, gradient = right(self, be, z, t, weight)
        return value, wrong(self, z, t, weight, gradient)

    monkeypatch.setattr(cls, "__call__", call)


@pytest.mark.parametrize(
    ("cls", "name", "fault"),
    LOSS_FAULTS,
    ids=lambda v: getattr(v, "__name__", v if isinstance(v, str) else ""),
)
def test_fault_in_a_loss_is_caught_by_both_checks(cls, name, fault, monkeypatch, record_property):
    case = fault.case or LOSS_CASES[cls]
    be = open_backend("numpy", "float64")
    assert loss_error(be, case) <= GRADIENT
    plant_in_loss(monkeypatch, cls, fault.wrong)
    assert loss_error(be, case) > GRADIENT
    rows = xpnn.gradcheck([Tanh()], case.shape[1:], loss=case.loss)
    assert [(row.path, row.layer) for row in rows if not row.ok] == [("loss", cls.__name__)]
    record_property("fault", f"{cls.__name__}: {name}")


def test_every_loss_has_faults():
    found = {type(case.loss) for case in LOSSES}
    assert found == set(LOSS_CASES)
    assert all(sum(of is cls for of, _, _ in LOSS_FAULTS) >= 6 for cls in found)


@pytest.mark.parametrize("case", SAMPLES, ids=str)
def test_forgotten_sample_weights_are_caught(case, monkeypatch, record_property):
    """By our check alone: gradcheck weighs no samples."""
    right = type(case.loss).__call__

    def call(self, be, z, t, weight=None):
        return right(self, be, z, t, weight)[0], right(self, be, z, t)[1]

    monkeypatch.setattr(type(case.loss), "__call__", call)
    assert loss_error(open_backend("numpy", "float64"), case) > GRADIENT
    record_property("fault", f"{case}: sample weights forgotten")


def plant_in_numpy(monkeypatch, kernel, wrong):
    """In NumPy alone, and in what users get where numba is there."""
    for cls in {NumpyBackend, type(get_backend("numpy"))}:
        monkeypatch.setattr(cls, kernel, wrong)


@pytest.mark.parametrize("name", RELU_GRAD)
def test_fault_in_relu_grad_is_caught_by_both_checks(name, monkeypatch, record_property):
    right = NumpyBackend.relu_grad
    plant_in_numpy(monkeypatch, "relu_grad", lambda be, dy, y, own: RELU_GRAD[name](be, dy, y, right))
    assert max(layer_errors(open_backend("numpy", "float64"), CASES[ReLU]).values()) > GRADIENT
    rows = xpnn.gradcheck(MLP, (2, 3, 1))
    assert [(row.path, row.layer) for row in rows if not row.ok] == [("2", "ReLU")]
    record_property("fault", f"relu_grad: {name}")


@pytest.mark.parametrize("name", CROSS_ENTROPY)
def test_fault_in_softmax_cross_entropy_is_caught_by_both_checks(name, monkeypatch, record_property):
    right = NumpyBackend.softmax_cross_entropy

    def kernel(be, z, ids):
        value, gradient = right(be, z, ids)
        return value, CROSS_ENTROPY[name](z, ids, gradient)

    plant_in_numpy(monkeypatch, "softmax_cross_entropy", kernel)
    assert loss_error(open_backend("numpy", "float64"), IDS) > GRADIENT
    rows = xpnn.gradcheck(MLP, (2, 3, 1), loss="softmax_cross_entropy")
    assert [(row.path, row.layer) for row in rows if not row.ok] == [("loss", "SoftmaxCrossEntropy")]
    record_property("fault", f"softmax_cross_entropy: {name}")
