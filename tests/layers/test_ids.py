"""Ids: how they reach an Embedding, and what is refused on the way."""

import numpy as np
import pytest

import xpnn
from xpnn import (
    Concatenate,
    Dense,
    Embedding,
    Flatten,
    Graph,
    Parallel,
    Recompute,
    Rescale,
    Reshape,
    Residual,
    Sequential,
    Tanh,
)
from xpnn.errors import DataError, UsageError
from xpnn.layers.containers import expects_ids, taken_by_all

IDS = np.array([[0, 3, 1], [2, 2, 0], [1, 1, 3], [3, 0, 2]])
NET = [Reshape((1, 3)), Embedding(4, 2), Flatten(), Dense(2)]


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a,
        lambda a: a.tolist(),
        lambda a: a.astype(np.uint8),
        lambda a: a.astype(np.float32),
        lambda a: np.asfortranarray(a.astype(">i4")),
    ],
)
def test_ids_in_any_form_are_the_same(be, form):
    model = xpnn.Model(NET, (3,), backend=be.name, seed=1)
    assert model.inputs(form(IDS)).dtype == be.xp.int64
    W, b = (model.backend.to_numpy(model.parameters()[k]) for k in ("3.W", "3.b"))
    rows = model.backend.to_numpy(model.parameters()["1.W"])[IDS].reshape(4, -1)
    np.testing.assert_allclose(model.forward(form(IDS)), rows @ W + b, rtol=1e-5, atol=1e-6)
    before = model.snapshot()["theta"]
    history = model.fit(form(IDS), [0, 1, 0, 1], epochs=30, batch_size=3, verbose=0)
    assert history.rows[-1].train_loss < history.rows[0].train_loss
    assert not np.array_equal(model.snapshot()["theta"], before)


def test_ids_of_the_backends_own_are_checked_too(be):
    model = xpnn.Model(NET, (3,), backend=be.name, seed=1)
    assert model.inputs(be.asarray(IDS)).dtype == be.xp.int64
    with pytest.raises(DataError, match=r"x\[0, 1\] is 4"):
        model.inputs(be.asarray(np.array([[0, 4, 1]])))


@pytest.mark.parametrize("bad", [-1, 4, 0.5, np.nan, np.inf, 2**40, -1e300])
def test_what_is_no_id_is_named(bad):
    x = IDS.astype(np.float64)
    x[2, 1] = bad
    model = xpnn.Model(NET, (3,), seed=1)
    with pytest.raises(DataError, match=r"x\[2, 1\] is .*\n.*0 to 3; 1 of 12"):
        model.predict(x)
    with pytest.raises(DataError, match=r"x\[2, 1\]"):
        model.fit(x, [0, 1, 0, 1], verbose=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Embedding(0, 3),
        lambda: Embedding(3, 0),
        lambda: Embedding(2.5, 3),
        lambda: Residual(Embedding(3, 3)),
        lambda: Parallel((Embedding(3, 3), Tanh())),
        lambda: Sequential((Dense(3), Embedding(3, 3))),
        lambda: Sequential((Rescale(1.0), Flatten(), Recompute(Embedding(3, 3)))),
        lambda: Sequential((Embedding(3, 3), Embedding(3, 3))),
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(UsageError):
        make()


def test_containers_know_the_smallest_vocabulary():
    both = Parallel((Embedding(5, 3), Recompute(Embedding(3, 3))), "add")
    assert (both.input_kind, both.vocab_size) == ("int", 3)
    assert Sequential((Flatten(), both, Dense(2))).vocab_size == 3
    with pytest.raises(DataError, match="is 3"):
        xpnn.Model([both], (2,)).forward([[0, 3]])


def test_gradcheck_draws_ids_and_asks_for_no_dx():
    rows = xpnn.gradcheck(NET, (3,), loss="softmax_cross_entropy")
    assert all(row.ok for row in rows)
    assert [row.array for row in rows if row.layer == "Embedding"] == ["W"]


def test_whether_a_layer_expects_ids():
    def pair(one, other):
        return Graph(("a", "b"), [("l", one, "a"), ("r", other, "b"), ("c", Concatenate(), ("l", "r"))], "c")

    assert expects_ids(Embedding(4, 2))
    assert not expects_ids(Dense(2))
    assert expects_ids(pair(Sequential([Embedding(4, 2), Flatten()]), Dense(2)))
    assert expects_ids(pair(Dense(2), Sequential([Embedding(4, 2), Flatten()])))
    assert not expects_ids(pair(Dense(2), Dense(3)))
    for layers, kind in (
        ([Dense(2), Tanh()], "float"),
        ([Embedding(4, 2)] * 2, "int"),
        ([Embedding(4, 2), Dense(2)], "float"),
    ):
        assert taken_by_all(tuple(layers)) == kind
