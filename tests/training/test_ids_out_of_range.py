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


FRAMES = RNG.normal(size=(4, 6, 3)).astype("f4")
SPELLED = np.array([[1, 2], [3, -1], [2, 1], [1, -1]])
WITH_LENGTHS = np.hstack([np.array([[6], [5], [4], [6]]), SPELLED])
YES = RNG.integers(0, 2, (16, 1)).astype("f4")


def sequences(be, **loss):
    model = xpnn.Model([xpnn.Dense(4)], (6, 3), seed=0, backend=be)
    return xpnn.Trainer(model, xpnn.losses.CTC(**loss), xpnn.SGD(0.1))


def with_lengths(be):
    return sequences(be, input_lengths=True)


def binary(be):
    model = xpnn.Model([xpnn.Dense(1)], (6,), seed=0, backend=be)
    return xpnn.Trainer(model, "binary_cross_entropy", xpnn.SGD(0.1))


def hinge(be):
    model = xpnn.Model([xpnn.Dense(1)], (6,), seed=0, backend=be)
    return xpnn.Trainer(model, "hinge", xpnn.SGD(0.1))


def counts(be):
    model = xpnn.Model([xpnn.Dense(1)], (6,), seed=0, backend=be)
    return xpnn.Trainer(model, "poisson", xpnn.SGD(0.1))


def with_one(a, value, at=7):
    a = a.copy()
    a.reshape(-1)[at] = value
    return a


ROWS = np.eye(3, dtype="f4")[[1, 0, 2, 1] * 4]

BAD = {
    "a class too many": (dense, X, with_one(Y, 3), r"y\[7\] is 3", "3 classes are numbered 0 to 2; 1 of 16"),
    "a negative class": (dense, X, with_one(Y, -1), r"y\[7\] is -1", "0 to 2"),
    "a huge class": (dense, X, with_one(Y, 10**9), r"y\[7\] is 1000000000", "0 to 2"),
    "a negative share": (
        dense,
        X,
        with_one(ROWS, -0.5, 6),
        r"y\[2, 0\] is -0.5",
        "at least 0 whose sum is 1",
    ),
    "shares of too much": (dense, X, with_one(ROWS, 0.75, 6), r"y\[2, 0\] is 0.75", "; 3 of 48"),
    "shares that sum to 1": (
        dense,
        X,
        with_one(ROWS, [1.5, -0.5, 0], slice(6, 9)),
        r"y\[2, 1\] is -0.5",
        "; 1 of 48",
    ),
    "a share that is none": (dense, X, with_one(ROWS, np.nan, 6), r"y\[2, 0\] is nan", "sum is 1"),
    "a negative token": (
        embedding,
        with_one(TOKENS, -1),
        np.zeros(8, int),
        r"x\[1, 2\] is -1",
        "10 ids to embed",
    ),
    "a token too many": (embedding, with_one(TOKENS, 10), np.zeros(8, int), r"x\[1, 2\] is 10", "0 to 9"),
    "half a token": (
        embedding,
        with_one(TOKENS / 1, 1.5),
        np.zeros(8, int),
        r"x\[1, 2\] is 1.5",
        "0 to 9; 1 of 40",
    ),
    "a label too many": (sequences, FRAMES, with_one(SPELLED, 4, 4), r"y\[2, 0\] is 4", "0 to 3 but not"),
    "the blank": (sequences, FRAMES, with_one(SPELLED, 0, 4), r"y\[2, 0\] is 0", "the blank, 0, or -1"),
    "a negative label": (sequences, FRAMES, with_one(SPELLED, -2, 3), r"y\[1, 1\] is -2", "1 of 8"),
    "too many frames": (with_lengths, FRAMES, with_one(WITH_LENGTHS, 7, 3), r"y\[1, 0\] is 7", "1 to 6"),
    "no frame": (with_lengths, FRAMES, with_one(WITH_LENGTHS, 0, 3), r"y\[1, 0\] is 0", "1 to 6 frames"),
    "a target of 2": (binary, X, with_one(YES, 2), r"y\[7, 0\] is 2.0", "from 0 to 1; 1 of 16"),
    "a negative target": (binary, X, with_one(YES, -1), r"y\[7, 0\] is -1.0", "from 0 to 1"),
    "a side of 0": (hinge, X, with_one(2 * YES - 1, 0), r"y\[7, 0\] is 0.0", "targets are -1 or 1"),
    "a negative count": (counts, X, with_one(YES, -1), r"y\[7, 0\] is -1.0", "targets are 0 or more"),
    "a target that is none": (binary, X, with_one(YES, np.nan), r"y\[7, 0\] is nan", "from 0 to 1"),
}


GOOD = {
    dense: (X, Y),
    embedding: (TOKENS, np.zeros(8, int)),
    sequences: (FRAMES, SPELLED),
    with_lengths: (FRAMES, WITH_LENGTHS),
    binary: (X, YES),
    hinge: (X, 2 * YES - 1),
    counts: (X, YES),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("backend", ["numpy", "strict", pytest.param("torch", marks=pytest.mark.oracle),
                                     pytest.param("jax", marks=pytest.mark.oracle)])  # fmt: skip
def test_a_step_with_an_id_out_of_range_changes_nothing_and_is_named(backend, what):
    make, x, y, first, why = BAD[what]
    trainer = make(backend)
    be = trainer.model.backend
    fine = [be.asarray(a) for a in GOOD[make]]
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


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_weights_that_are_none_are_named_too(backend, value):
    """Also of a regression, which has nothing else to look at."""
    model = xpnn.Model([xpnn.Dense(3)], (6,), seed=0, backend=backend)
    trainer, be = xpnn.Trainer(model, "mse", xpnn.SGD(0.1)), model.backend
    weight = with_one(np.ones(16, "f4"), value)
    given = [be.asarray(a) for a in (X, ROWS, weight)]
    before = model.snapshot()["theta"]
    if backend == "numpy":
        with pytest.raises(DataError, match=rf"weight\[7\] is {value}"):
            trainer.step(*given)
    else:
        assert np.isnan(float(trainer.step(*given)))
        with pytest.raises(DataError, match=rf"weight\[7\] is {value} in step 1"):
            trainer.check_steps()
    assert np.array_equal(model.snapshot()["theta"], before)


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
