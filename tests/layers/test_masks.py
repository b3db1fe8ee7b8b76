"""Masks of recurrent layers: what they mean, what is refused, and mistakes that must be caught."""

import numpy as np
import pytest
from cases import Case
from comparison import parameters
from harness import layer_errors, open_backend
from proof_table import used
from tolerances import GRADIENT, assert_same

import xpnn
from xpnn import GRU, LSTM, Bidirectional, Dense, Embedding, Graph, PaddingMask, SimpleRNN
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.layers import Ctx, recurrent

KINDS = (SimpleRNN, LSTM, GRU)
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
rng = np.random.default_rng(0)


@each
def test_nothing_real_gives_the_first_state_and_no_gradient(be, kind):
    layer, x = kind(3, True, masked=True), rng.standard_normal((2, 4, 2))
    p = parameters(layer, ((4, 2), (4,)), rng)
    p = {k: be.asarray(a) for k, a in p.items()}
    cx = Ctx(be, train=True, key=(0, 0))
    y, cache = layer.forward(cx, p, (be.asarray(x), be.zeros((2, 4))))
    (dx, _), grads = layer.backward(cx, p, cache, be.xp.ones_like(y))
    for a in (y, dx, *grads.values()):
        assert not be.to_numpy(a).any()


@each
def test_a_mask_of_ones_changes_nothing(kind):
    be = open_backend("numpy", "float64")
    x, dy, cx = rng.standard_normal((3, 5, 2)), rng.standard_normal((3, 4)), Ctx(be, train=True, key=(0, 0))
    p = parameters(kind(4), (5, 2), rng)
    y, cache = kind(4).forward(cx, p, x)
    dx, grads = kind(4).backward(cx, p, cache, dy)
    masked_y, cache = kind(4, masked=True).forward(cx, p, (x, np.ones((3, 5))))
    (masked_dx, _), masked_grads = kind(4, masked=True).backward(cx, p, cache, dy)
    assert_same(masked_y, y)
    np.testing.assert_allclose(masked_dx, dx, rtol=1e-13, atol=1e-15)
    for key in grads:
        np.testing.assert_allclose(masked_grads[key], grads[key], rtol=1e-13, atol=1e-14)


def past_the_step(mistake):
    """divided() with `mistake(zeros, da, real)` in place of what goes past a step."""

    def divided(cx, real, t, da):
        if real is None:
            return da, None
        zeros = np.zeros_like(da)
        return np.where(real[:, t], da, zeros), mistake(zeros, da, real[:, t])

    return divided


def into_the_step(cx, real, t, da):
    """The gradient goes into masked steps too."""
    return (da, None) if real is None else (da, np.where(real[:, t], 0 * da, da))


FAULTS = {
    "nothing goes past": past_the_step(lambda zeros, da, real: zeros),
    "all goes past": past_the_step(lambda zeros, da, real: da),
    "half goes past": past_the_step(lambda zeros, da, real: np.where(real, zeros, da / 2)),
    "mask inverted": past_the_step(lambda zeros, da, real: np.where(real, da, zeros)),
    "another sample's mask": past_the_step(lambda zeros, da, real: np.where(np.roll(real, 1, 0), zeros, da)),
    "into masked steps too": into_the_step,
    "mask of another step": lambda cx, real, t, da: DIVIDED(cx, real, t - 1, da),
    "no mask": lambda cx, real, t, da: (da, None),
}
DIVIDED = recurrent.divided


@each
@pytest.mark.parametrize("name", FAULTS)
def test_fault_in_walking_back_is_caught_by_both_checks(kind, name, monkeypatch, record_property):
    case = Case(kind(2, True, masked=True), ((5, 2), (5,)), batch=4)
    be = open_backend("numpy", "float64")
    assert max(layer_errors(be, case).values()) <= GRADIENT
    monkeypatch.setattr(recurrent, "divided", FAULTS[name])
    assert max(layer_errors(be, case).values()) > GRADIENT
    rows = xpnn.gradcheck([case.layer], case.shape)
    assert {(row.path, row.layer) for row in rows if not row.ok} == {("0", kind.__name__)}
    record_property("fault", f"{kind.__name__}, masked: {name}")


@each
@pytest.mark.parametrize(
    "shape",
    [(4, 2), ((4, 2),), ((4, 2), (3,)), ((4, 2), (4, 1)), ((4, 2), ()), ((4,), (4,)), ((4, 2), (4,), (4,))],
    ids=str,
)
def test_a_mask_that_does_not_fit_is_refused(kind, shape):
    for layer in (kind(3, masked=True), Bidirectional(kind(3, masked=True))):
        with pytest.raises(ShapeError):
            xpnn.Model([layer], shape)
    if shape != (4, 2):
        with pytest.raises(ShapeError, match="takes one input"):
            xpnn.Model([kind(3)], shape)


@pytest.mark.parametrize("mask", [[[1, 0.5], [1, 1]], [[1, 2], [1, 1]], [[1, -1], [1, 1]]])
def test_a_mask_of_other_numbers_is_refused(be, mask):
    model = xpnn.Model([GRU(3, masked=True)], ((2, 1), (2,)), backend=be.name)
    for dtype in ("float64", "float32", "int8"):
        a = np.array(mask, dtype)
        if np.isin(a, (0, 1)).all():
            continue
        with pytest.raises(DataError, match=r"x\[1\] is a mask"):
            model.forward((np.ones((2, 2, 1)), a))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_a_mask_in_any_form_is_the_same(be, dtype):
    model = xpnn.Model([GRU(3, masked=True)], ((2, 1), (2,)), backend=be.name, seed=1)
    mask, x = np.array([[1, 0], [1, 1]]), np.ones((2, 2, 1))
    assert_same(model.forward((x, mask.astype(dtype))), model.forward((x, mask)))


@pytest.mark.against("formula")
def test_padding_is_found_by_its_id(be):
    used(PaddingMask())
    ids = be.asarray(np.array([[3, 0, 2], [0, 0, 0]]))
    mask, _ = PaddingMask().forward(Ctx(be), {}, ids)
    assert be.to_numpy(mask).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert be.to_numpy(PaddingMask(3).forward(Ctx(be), {}, ids)[0]).tolist() == [[0, 1, 1], [1, 1, 1]]
    with pytest.raises(UsageError):
        PaddingMask(-1)
    assert xpnn.Model([PaddingMask()], (2,)).forward([[10**9, 0]]).tolist() == [[1, 0]]
    with pytest.raises(DataError):
        xpnn.Model([PaddingMask()], (2,)).forward([[-1, 0]])


def test_the_length_of_the_padding_does_not_matter():
    """Sentences of one to four words, padded to four and to nine: the same logits."""
    nodes = {
        "real": (PaddingMask(), "ids"),
        "vectors": (Embedding(7, 3), "ids"),
        "states": (Bidirectional(LSTM(3, True, masked=True)), ("vectors", "real")),
        "state": (GRU(3, masked=True), ("states", "real")),
        "logits": (Dense(2), "state"),
    }
    short, long = (xpnn.Model(Graph("ids", nodes, "logits"), (n,), seed=1, dtype="float64") for n in (4, 9))
    ids = np.array([[5, 0, 0, 0], [1, 2, 0, 0], [6, 6, 1, 3]])
    padded = np.concatenate([ids, np.zeros((3, 5), int)], 1)
    np.testing.assert_allclose(long.forward(padded), short.forward(ids), rtol=1e-12)
    for model, x in ((short, ids), (long, padded)):
        model.fit(x, [0, 1, 0], epochs=20, batch_size=2, verbose=0)
    np.testing.assert_allclose(long.snapshot()["theta"], short.snapshot()["theta"], rtol=1e-9, atol=1e-12)
