"""What follows from a loss's row, on every backend."""

from functools import partial

import pytest
from cases import LOSSES
from harness import compiled_loss, draw_loss, fingerprints, loss_arrays_on, loss_error, open_backend
from tolerances import GRADIENT, assert_close

from xpnn.config import short_repr
from xpnn.fusion import loss_and_correct

each = pytest.mark.parametrize("case", LOSSES, ids=str)


@each
def test_shapes_dtype_and_values_hold_and_inputs_stay(any_be, case):
    be, dtype = any_be, any_be.dtype_name
    given = loss_arrays_on(be, case)
    before = fingerprints(be, [a for a in given if a is not None])
    value, gradient = compiled_loss(be, case.loss)(*given)
    assert fingerprints(be, [a for a in given if a is not None]) == before
    assert value.dtype == be.dtype
    assert tuple(value.shape) == () or case.loss.reduction == "none"
    assert (tuple(gradient.shape), gradient.dtype) == (case.shape, be.dtype)
    one = open_backend("numpy", "float64")
    for got, wanted in zip(
        (value, gradient), compiled_loss(one, case.loss)(*loss_arrays_on(one, case)), strict=True
    ):
        assert_close(be.to_numpy(got), wanted, dtype)


@each
def test_gradient_is_the_derivative(be, case, record_property):
    error = loss_error(be, case)
    record_property("gradient", error)
    assert error <= GRADIENT


@each
def test_what_the_data_check_returns_is_what_the_loss_takes(be, case):
    """The checked target, moved to the backend, is the target."""
    prediction, target, _ = draw_loss(case)
    checked = case.loss.check(target, prediction.shape[1:])
    assert_close(checked, target, "float64")
    ids = case.loss.target_ids(be, be.asarray(checked))
    if case.loss.kind == "classes":
        wanted = target if target.dtype.kind == "i" else target.argmax(axis=-1)
        assert (be.to_numpy(ids) == wanted).all()
    else:
        assert ids is None or tuple(ids.shape) == case.shape


@each
def test_an_evaluation_gets_the_loss_and_the_hits(any_be, case):
    """Whether one kernel gives both or not; hits counted one by one on the host."""
    be = any_be
    prediction, target, _ = loss_arrays_on(be, case)
    value, hits = be.compile(partial(loss_and_correct, case.loss, be))(prediction, target)
    alone, _ = compiled_loss(be, case.loss)(prediction, target, None)
    assert_close(be.to_numpy(value), be.to_numpy(alone), be.dtype_name)
    host = open_backend("numpy", be.dtype_name)
    prediction, target, _ = loss_arrays_on(host, case)
    ids, counted = case.loss.target_ids(host, target), case.loss.valid_mask(host, target)
    if ids is None:
        assert hits is None
        return
    right = (case.loss.labels(host, prediction) == ids).reshape(-1).tolist()
    kept = [True] * len(right) if counted is None else counted.reshape(-1).tolist()
    assert (tuple(hits.shape), hits.dtype) == ((), be.xp.int64)
    assert int(hits) == sum(r and k for r, k in zip(right, kept, strict=True))


CLASSES = {c.loss for c in LOSSES if c.loss.kind == "classes" and c.loss.ignore_index in (None, -100)}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", sorted(CLASSES, key=repr), ids=short_repr)
def test_ids_and_their_one_hot_rows_are_the_same_target(be, loss, weighted):
    case = next(c for c in LOSSES if (c.loss.kind, c.target, c.weighted) == ("classes", "ids", weighted))
    prediction, ids, weight = loss_arrays_on(be, case)
    rows = be.one_hot(ids, case.shape[1])
    for a, b in zip(loss(be, prediction, ids, weight), loss(be, prediction, rows, weight), strict=True):
        assert_close(be.to_numpy(a), be.to_numpy(b), "float64")
