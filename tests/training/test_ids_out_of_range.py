"""Ids out of range in a loop of the user's own: refused at once on NumPy, named by the next look elsewhere."""

import numpy as np
import pytest

import xpnn
from xpnn.errors import DataError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(16, 6)).astype("f4"), RNG.integers(0, 3, 16)
TOKENS = RNG.integers(0, 10, (8, 5))


def dense(be, **loss):
    model = xpnn.Model([xpnn.Dense(3)], (6,), seed=0, backend=be)
    return xpnn.Trainer(model, xpnn.losses.SoftmaxCrossEntropy(**loss), xpnn.Adam(1e-2))


def embedding(be):
    model = xpnn.Model([xpnn.Embedding(10, 4), xpnn.Flatten(), xpnn.Dense(2)], (5,), seed=0, backend=be)
    return xpnn.Trainer(model, "cross_entropy", xpnn.SGD(0.1))


def with_one(a, value):
    a = a.copy()
    a.reshape(-1)[7] = value
    return a


BAD = {
    "a class too many": (dense, X, with_one(Y, 3), r"y\[7\] is 3", "3 classes are numbered 0 to 2; 1 of 16"),
    "a negative class": (dense, X, with_one(Y, -1), r"y\[7\] is -1", "0 to 2"),
    "a huge class": (dense, X, with_one(Y, 10**9), r"y\[7\] is 1000000000", "0 to 2"),
    "a negative token": (
        embedding,
        with_one(TOKENS, -1),
        np.zeros(8, int),
        r"x\[1, 2\] is -1",
        "10 ids to embed",
    ),
    "a token too many": (embedding, with_one(TOKENS, 10), np.zeros(8, int), r"x\[1, 2\] is 10", "0 to 9"),
}


def good(trainer):
    return (X, Y) if trainer.model.input_shape == (6,) else (TOKENS, np.zeros(8, int))


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("backend", ["numpy", "strict", pytest.param("torch", marks=pytest.mark.oracle),
                                     pytest.param("jax", marks=pytest.mark.oracle)])  # fmt: skip
def test_a_step_with_an_id_out_of_range_changes_nothing_and_is_named(backend, what):
    make, x, y, first, why = BAD[what]
    trainer = make(backend)
    be = trainer.model.backend
    fine = [be.asarray(a) for a in good(trainer)]
    assert np.isfinite(float(trainer.step(*fine)))
    before = trainer.model.snapshot()["theta"]
    if backend == "numpy":
        with pytest.raises(DataError, match=first) as caught:
            trainer.step(be.asarray(x), be.asarray(y))
    else:
        assert np.isnan(float(trainer.step(be.asarray(x), be.asarray(y))))
        with pytest.raises(DataError, match=first + " in step 2") as caught:
            trainer.check_steps()
    assert why in caught.value.why
    assert np.array_equal(trainer.model.snapshot()["theta"], before)


def test_every_32nd_step_looks():
    trainer = dense("strict")
    be = trainer.model.backend
    x, bad = be.asarray(X), be.asarray(Y + 1)
    for _ in range(31):
        trainer.step(x, bad)
    with pytest.raises(DataError, match=r"y\[\d+\] is 3 in step 1"):
        trainer.step(x, bad)
    assert trainer.steps == 32


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_an_ignored_id_may_be_anything(backend):
    trainer = dense(backend, ignore_index=-100)
    be = trainer.model.backend
    assert np.isfinite(float(trainer.step(be.asarray(X), be.asarray(with_one(Y, -100)))))


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_rows_in_place_of_ids_are_no_ids(backend):
    trainer = dense(backend)
    be = trainer.model.backend
    assert np.isfinite(float(trainer.step(be.asarray(X), be.asarray(np.eye(3, dtype="f4")[Y]))))


def test_a_divergence_is_not_taken_for_an_id():
    trainer = dense("strict")
    be = trainer.model.backend
    x = X.copy()
    x[0, 0] = np.inf
    assert np.isnan(float(trainer.step(be.asarray(x), be.asarray(Y))))
    trainer.check_steps()
