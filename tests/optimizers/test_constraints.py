"""Constraints: each is a projection, holds after every step on every backend, and is no other than Keras' means."""

import math

import numpy as np
import pytest
from comparison import NAMES, error
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from proof_table import used

import xpnn
from xpnn.backends import get_backend
from xpnn.errors import UsageError
from xpnn.optimizers import (
    EMA,
    LAMB,
    SGD,
    Adam,
    Constrained,
    Lookahead,
    MaxNorm,
    NonNegative,
    UnitNorm,
    constrained,
)
from xpnn.optimizers import constraints as module
from xpnn.optimizers.constraints import Constraint
from xpnn.optimizers.patterns import fits
from xpnn.parameters import ParamInfo

NUMPY = get_backend("numpy", None, "float64")
ALL = [
    NonNegative("*"),
    UnitNorm("*"),
    UnitNorm("*", (0, 1)),
    MaxNorm("*"),
    MaxNorm("*", 0.5, -1),
    MaxNorm("*", 3.0, (1, 0)),
]
MATRICES = hnp.arrays(np.float64, (3, 4), elements=st.floats(-4, 4) | st.floats(-1e300, 1e300))


def lengths(w, axis):
    """Along an axis, of values of any size."""
    top = np.max(np.abs(w), axis=axis, keepdims=True)
    return (top * np.linalg.norm(w / np.where(top > 0, top, 1), axis=axis, keepdims=True)).reshape(-1)


def project(constraint, w, be=NUMPY):
    with be.device_context():
        return np.asarray(be.to_numpy(constraint.project(be, be.asarray(w))))


def check(constraint, w, new, tolerance=1e-12):
    """`new` is allowed, and the nearest to w that is: what was allowed has not moved, and all keep their direction."""
    if isinstance(constraint, NonNegative):
        assert np.array_equal(new, np.where(w > 0, w, 0))
        return
    was, now = lengths(w, constraint.axis), lengths(new, constraint.axis)
    limit = np.ones_like(was) if isinstance(constraint, UnitNorm) else np.minimum(was, constraint.limit)
    assert np.allclose(now, np.where(was > 0, limit, 0), rtol=tolerance, atol=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = w / np.max(np.abs(w), axis=constraint.axis, keepdims=True)
        still = new / np.max(np.abs(new), axis=constraint.axis, keepdims=True)
    assert np.allclose(unit, still, rtol=tolerance, atol=tolerance, equal_nan=True)
    if isinstance(constraint, MaxNorm) and (was <= constraint.limit).all():
        assert new.tobytes() == w.tobytes()


@pytest.mark.against("formula")
@pytest.mark.parametrize("constraint", ALL, ids=str)
@settings(deadline=None, max_examples=40, derandomize=True)
@given(w=MATRICES)
def test_a_constraint_is_a_projection(constraint, w):
    w = np.where(np.abs(w) < 1e-290, 0.0, w)  # of smaller ones the quotient has lost digits
    new = project(constraint, w)
    check(constraint, w, new)
    assert np.allclose(project(constraint, new), new, rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("constraint", ALL, ids=str)
def test_it_is_one_in_float32_on_every_backend(name, constraint):
    be = get_backend(name, None, "float32")
    for scale in (0.0, 1e-30, 1.0, 1e30):
        w = (scale * np.random.default_rng(0).standard_normal((5, 3))).astype(np.float32)
        check(constraint, w, project(constraint, w, be), 1e-6)


SETS = [
    (SGD(0.5, 0.9), (MaxNorm("*.W", 0.5),)),
    (Adam(0.1), (NonNegative("*"), UnitNorm("*.W", (0, 1)))),
    (EMA(Lookahead(LAMB(0.5), 2)), (UnitNorm("2.W", -1), NonNegative("0.?"))),
]


@pytest.mark.against("formula")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("optimizer", "held"), SETS, ids=str)
def test_it_holds_after_every_step_and_the_rest_is_free(name, optimizer, held):
    model = xpnn.Model([xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(3)], (5,), backend=name, seed=0)
    be, rng = model.backend, np.random.default_rng(0)
    used(Constrained(optimizer, held))
    trainer = xpnn.Trainer(model, optimizer=Constrained(optimizer, held))
    free = xpnn.Model([xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(3)], (5,), backend=name, seed=0)
    plain = xpnn.Trainer(free, optimizer=optimizer)
    x, y = be.asarray(rng.standard_normal((16, 5)).astype(np.float32)), be.asarray(rng.integers(0, 3, 16))
    for step in range(6):
        trainer.step(x, y)
        plain.step(x, y)
        now = {k: np.asarray(be.to_numpy(v)) for k, v in model.parameters().items()}
        for constraint in held:
            for path, w in now.items():
                if fits(path, constraint.pattern):
                    assert np.allclose(project(constraint, w), w, rtol=1e-6, atol=0), (step, path)
        if step == 0:  # one step on, what no pattern names is where it would be without
            for path, w in now.items():
                named = any(fits(path, c.pattern) for c in held)
                same = np.allclose(w, be.to_numpy(free.parameters()[path]), rtol=1e-6, atol=1e-7)
                assert same or named, path
    assert not np.allclose(be.to_numpy(model.theta), be.to_numpy(free.theta))


def test_numbers_worked_by_hand():
    """Columns of lengths 5, 0.5 and 1.5; a kernel's filter as a whole."""
    w = np.array([[3.0, 0.3, 0.9], [-4.0, 0.4, 1.2]])
    assert error(project(MaxNorm("*", 2.0), w), np.array([[1.2, 0.3, 0.9], [-1.6, 0.4, 1.2]])) <= 1e-15
    assert error(project(UnitNorm("*"), w), np.array([[0.6, 0.6, 0.6], [-0.8, 0.8, 0.8]])) <= 1e-15
    assert error(project(NonNegative("*"), w), np.array([[3.0, 0.3, 0.9], [0.0, 0.4, 1.2]])) == 0
    kernel = np.ones((2, 2, 4, 3))
    assert error(project(UnitNorm("*", (0, 1, 2)), kernel), kernel / 4) <= 1e-15


def test_every_constraint_is_here():
    assert set(Constraint.__subclasses__()) == {type(c) for c in ALL}


# Planted faults


def keras(be, w, axis):
    """Keras' own: squares that overflow, and 1e-7 beside the length."""
    return w / (np.sqrt(np.sum(w * w, axis=axis, keepdims=True)) + 1e-7)


FAULTS = {
    "not projected": (Constrained, "project", lambda self, be, theta, p: theta[p.start : p.stop]),
    "everything projected": (constrained, "fits", lambda path, pattern: True),
    "the other axis": (module, "unit", lambda be, w, axis, right=module.unit: right(be, w, 1 if axis == 0 else 0)),
    "the whole matrix": (module, "unit", lambda be, w, axis, right=module.unit: right(be, w, (0, 1))),
    "Keras' epsilon": (module, "unit", keras),
    "lengths squared": (module, "length", lambda be, w, axis: np.sum(w * w, axis=axis, keepdims=True)),
    "limit forgotten": (MaxNorm, "project", lambda self, be, w: module.unit(be, w, self.axis)),
    "always as long as the limit": (MaxNorm, "project", lambda self, be, w: self.limit * module.unit(be, w, self.axis)),
    "sizes for signs": (NonNegative, "project", lambda self, be, w: np.abs(w)),
    "a fold at another place": (NonNegative, "project", lambda self, be, w: np.maximum(w, 1e-3)),
}  # fmt: skip


def caught():
    """How many rows of the tests above fail."""
    failed = 0
    for test, rows in (
        (test_a_constraint_is_a_projection, [(c,) for c in ALL]),
        (test_it_holds_after_every_step_and_the_rest_is_free, [("numpy", *row) for row in SETS]),
        (test_numbers_worked_by_hand, [()]),
    ):
        for row in rows:
            try:
                test(*row)
            except Exception:  # an axis that is not there is a finding too
                failed += 1
    return failed


def test_without_a_fault_nothing_is_caught():
    assert not caught()


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_constraint_is_caught(name, monkeypatch, record_property):
    where, part, fault = FAULTS[name]
    monkeypatch.setattr(where, part, fault)
    assert caught()
    record_property("fault", f"constraints: {name}")


def test_infinity_and_nan_stay_for_the_guard_to_see():
    for constraint in ALL:
        assert np.isnan(project(constraint, np.full((2, 2), math.nan))).all()


@pytest.mark.parametrize(
    ("axis", "there"),
    [
        (-2, True),
        (1, True),
        ((0, 1), True),
        ((1, -2), True),
        (2, False),
        (-3, False),
        ((0, 2), False),
        ((0, -2), False),
        ((1, 1), False),
        ((), False),
    ],
)
def test_axes_of_a_parameter(axis, there):
    """Those that it has, each once, one at least."""
    param = ParamInfo("0.W", 0, 6, (2, 3))
    if there:
        MaxNorm("*", axis=axis).check(param)
        return
    with pytest.raises(UsageError) as caught:
        MaxNorm("*", axis=axis).check(param)
    assert caught.value.what.endswith(f"axis={axis}): parameter 0.W has shape (2, 3)")
    assert caught.value.fix.startswith("different axes from 0 to 1, or a pattern")
