"""Planted faults: every backward pass is broken in every way we could think of, and both gradient checks must see it.

Ours is the finite-difference check of the other tests; the package's own is `xpnn.gradcheck`, which must
name the layer.
"""

from collections import defaultdict

import numpy as np
import pytest
from cases import IDS, LOSSES, MLP, PLANTED, PLANTED_IN_LOSSES
from cases.kernels import CROSS_ENTROPY, RELU_GRAD
from cases.layers.containers import CHAIN_CASE, IN_THE_CHAIN_RULE
from harness import layer_errors, loss_arrays_on, loss_error, open_backend
from proof_table import children
from tolerances import GRADIENT

import xpnn
from xpnn.backends import get_backend
from xpnn.backends.numpy import NumpyBackend
from xpnn.fusion import loss_and_gradient
from xpnn.layers.base import is_multiple

WITHOUT = {xpnn.Sequential, xpnn.PaddingMask}
"""PaddingMask has no gradient; Sequential and MultiOutputLoss have tests of their own."""
FAULTS = {cls: planted.faults() for cls, planted in PLANTED.items()}
LOSS_FAULTS = [
    (cls, name, *found)
    for cls, planted in PLANTED_IN_LOSSES.items()
    for name, found in planted.faults().items()
]
KNOWN = defaultdict(dict)
"""The numeric derivatives of each case: a fault in a backward pass leaves the values, and so these, as they are."""
WEIGHTED = [case for case in LOSSES if case.weighted and case.shape[0] > 1]


def plant(monkeypatch, cls, fault):
    right = cls.backward
    monkeypatch.setattr(cls, "backward", lambda self, cx, p, cache, dy: fault(self, cx, p, cache, dy, right))


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls in FAULTS for name in FAULTS[cls]])
def test_fault_in_a_layer_is_caught_by_both_checks(cls, name, monkeypatch, record_property):
    planted, be = PLANTED[cls], open_backend("numpy", "float64")
    case = planted.elsewhere.get(name, planted.case)
    plant(monkeypatch, cls, FAULTS[cls][name])
    assert max(layer_errors(be, case, KNOWN[case]).values()) > GRADIENT
    alone = case.ids or is_multiple(case.shape)  # nothing can stand before it
    before = [] if alone else [xpnn.Sigmoid() if cls is not xpnn.Sigmoid else xpnn.Tanh()]
    rows = xpnn.gradcheck([*before, case.layer], case.shape)
    assert {(row.path, row.layer) for row in rows if not row.ok} == {(str(len(before)), cls.__name__)}
    record_property("fault", f"{cls.__name__}: {name}")


@pytest.mark.parametrize("cls", PLANTED, ids=lambda cls: cls.__name__)
def test_without_a_fault_both_checks_are_content(cls):
    """And at least six faults are planted in each."""
    for case in {PLANTED[cls].case, *PLANTED[cls].elsewhere.values()}:
        assert max(layer_errors(open_backend("numpy", "float64"), case, KNOWN[case]).values()) <= GRADIENT
        assert all(row.ok for row in xpnn.gradcheck([case.layer], case.shape))
    assert len(FAULTS[cls]) >= 6


def test_every_layer_with_a_gradient_has_faults():
    found = {cls for cls in children(xpnn.Layer) if getattr(cls, "differentiable", True)} - WITHOUT
    missing = sorted(cls.__name__ for cls in found - set(PLANTED))
    assert not missing, f"add to PLANTED in a file of tests/cases/layers: {', '.join(missing)}"
    assert set(PLANTED) == found


@pytest.mark.parametrize("name", IN_THE_CHAIN_RULE)
def test_fault_in_the_chain_rule_is_caught(name, monkeypatch, record_property):
    """By our check, which differentiates through whole chains; gradcheck asks each layer of a chain alone."""
    plant(monkeypatch, xpnn.Sequential, IN_THE_CHAIN_RULE[name])
    assert (
        max(layer_errors(open_backend("numpy", "float64"), CHAIN_CASE, KNOWN[CHAIN_CASE]).values()) > GRADIENT
    )
    record_property("fault", f"Sequential: {name}")


def plant_in_loss(monkeypatch, cls, wrong):
    right = cls.__call__

    def call(self, be, z, t, weight=None):
        value, gradient = right(self, be, z, t, weight)
        return value, wrong(self, z, t, weight, gradient)

    monkeypatch.setattr(cls, "__call__", call)


@pytest.mark.parametrize(
    ("cls", "name", "wrong", "case"),
    LOSS_FAULTS,
    ids=lambda v: getattr(v, "__name__", v if isinstance(v, str) else ""),
)
def test_fault_in_a_loss_is_caught_by_both_checks(cls, name, wrong, case, monkeypatch, record_property):
    be = open_backend("numpy", "float64")
    assert loss_error(be, case, KNOWN[case]) <= GRADIENT
    plant_in_loss(monkeypatch, cls, wrong)
    assert loss_error(be, case, KNOWN[case]) > GRADIENT
    rows = xpnn.gradcheck([xpnn.Tanh()], case.shape[1:], loss=case.loss)
    assert [(row.path, row.layer) for row in rows if not row.ok] == [("loss", cls.__name__)]
    record_property("fault", f"{cls.__name__}: {name}")


def test_every_loss_has_faults():
    found = {type(case.loss) for case in LOSSES}
    missing = sorted(cls.__name__ for cls in found - set(PLANTED_IN_LOSSES))
    assert not missing, f"add to PLANTED in a file of tests/cases/losses: {', '.join(missing)}"
    assert all(len(planted.faults()) >= 6 for planted in PLANTED_IN_LOSSES.values())


@pytest.mark.parametrize("case", WEIGHTED, ids=str)
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
    plant_in_numpy(monkeypatch, "relu_grad", lambda be, dy, y, own=False: RELU_GRAD[name](be, dy, y, right))
    assert max(layer_errors(open_backend("numpy", "float64"), PLANTED[xpnn.ReLU].case).values()) > GRADIENT
    rows = xpnn.gradcheck(MLP, (2, 3, 1))
    assert [(row.path, row.layer) for row in rows if not row.ok] == [("2", "ReLU")]
    record_property("fault", f"relu_grad: {name}")


@pytest.mark.parametrize("name", CROSS_ENTROPY)
def test_fault_in_softmax_cross_entropy_is_seen_beside_the_plain_loss(name, monkeypatch, record_property):
    """The kernel stands in for the loss where a step is fused; gradcheck asks the loss itself."""
    right = NumpyBackend.softmax_cross_entropy

    def kernel(be, z, ids):
        value, gradient = right(be, z, ids)
        return value, CROSS_ENTROPY[name](z, ids, gradient)

    be = open_backend("numpy", "float64")
    z, ids, _ = loss_arrays_on(be, IDS)
    _, wanted = IDS.loss(be, z, ids)
    plant_in_numpy(monkeypatch, "softmax_cross_entropy", kernel)
    _, got = loss_and_gradient(IDS.loss, be, z, ids)
    assert np.linalg.norm(got - wanted) > GRADIENT * np.linalg.norm(wanted)
    record_property("fault", f"softmax_cross_entropy: {name}")
