"""Accumulate is a larger batch: of every loss, with weights and ignored ids, to the last of an epoch."""

import numpy as np
import pytest
from comparison import NAMES

import xpnn
from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.losses import (
    BinaryCrossEntropy,
    Focal,
    Huber,
    KLDivergence,
    MeanSquaredError,
    MultiOutputLoss,
    NegativeLogLikelihood,
    SoftmaxCrossEntropy,
)
from xpnn.optimizers import (
    EMA,
    SGD,
    SWA,
    Accumulate,
    Adam,
    Constrained,
    Group,
    Groups,
    Lookahead,
    MaxNorm,
    RMSProp,
)
from xpnn.training import Mixup

RNG = np.random.default_rng(0)
N = 22
X, IDS, REAL = RNG.normal(size=(N, 5)), RNG.integers(0, 3, N), RNG.normal(size=(N, 3))
SOFT, UNIT, W = RNG.dirichlet(np.ones(3), N), RNG.uniform(size=(N, 3)), RNG.uniform(size=N) ** 4
IGNORED = np.where(np.arange(N) % 3 > 0, -100, IDS)
K = (0.1, 1.0, 5.0)
LOSSES = {
    "ids": (SoftmaxCrossEntropy(), IDS, None),
    "ignored": (SoftmaxCrossEntropy(ignore_index=-100), IGNORED, None),
    "a class ignored": (Focal(ignore_index=1), IDS, None),
    "weights": (SoftmaxCrossEntropy(0.1), IDS, W),
    "class weights": (SoftmaxCrossEntropy(class_weight=K), IDS, None),
    "class weights of rows": (SoftmaxCrossEntropy(class_weight=K), SOFT, W),
    "all of it": (SoftmaxCrossEntropy(0.1, K, ignore_index=-100), IGNORED, W),
    "likelihood": (NegativeLogLikelihood(ignore_index=-100), IGNORED, W),
    "sums": (SoftmaxCrossEntropy(reduction="sum", ignore_index=-100), IGNORED, W),
    "squares": (MeanSquaredError(), REAL, W),
    "sums of squares": (MeanSquaredError(reduction="sum"), REAL, None),
    "huber": (Huber(), REAL, None),
    "binary": (BinaryCrossEntropy(), UNIT, W),
    "divergence": (KLDivergence(), SOFT, W),
}


def weights(optimizer, batch_size, loss, y, w, *, epochs=2, backend="numpy", **settings):
    """theta and the trainer after a run."""
    model = xpnn.Model([xpnn.Dense(3)], (5,), dtype="float64", seed=0, backend=backend)
    trainer = xpnn.Trainer(model, loss, optimizer, **settings)
    trainer.fit(X, y, epochs=epochs, batch_size=batch_size, sample_weight=w)
    return model.backend.to_numpy(model.theta), trainer


@pytest.mark.against("formula")
@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_larger_batch(name):
    """22 samples: groups of 16 and 6, the last batch of 2; Adam's own state counts the updates."""
    for inner in (SGD(0.1), Adam(0.1, clip_norm=0.5), SGD(0.1, momentum=0.9, l2=0.1)):
        wanted, _ = weights(inner, 16, *LOSSES[name])
        got, _ = weights(Accumulate(inner, 4), 4, *LOSSES[name])
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", NAMES)
def test_it_is_so_on_every_backend(backend):
    wanted, _ = weights(Adam(0.1), 16, *LOSSES["all of it"])
    got, _ = weights(Accumulate(Adam(0.1), 4), 4, *LOSSES["all of it"], backend=backend)
    np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", NAMES)
def test_mixed_labels_count_as_they_are_mixed(backend):
    """Steps of one batch: the mixture is that of the batch, and so is its divisor."""
    for name in ("all of it", "weights"):
        wanted, _ = weights(SGD(0.1), 4, *LOSSES[name], augment=Mixup(), backend=backend)
        got, _ = weights(Accumulate(SGD(0.1), 1), 4, *LOSSES[name], augment=Mixup(), backend=backend)
        np.testing.assert_allclose(got, wanted, rtol=1e-12)


WRAPPED = {
    "EMA": lambda o: EMA(o, 0.5),
    "SWA": lambda o: SWA(o, 1, 2),
    "Lookahead": lambda o: Lookahead(o, 2),
    "Constrained": lambda o: Constrained(o, (MaxNorm("*.W", 0.5),)),
    "Constrained Lookahead": lambda o: Constrained(Lookahead(o, 1), (MaxNorm("*.W", 0.5),)),
    "all": lambda o: Groups(
        EMA(Lookahead(Constrained(o, (MaxNorm("*.W", 0.5),)), 3)), (Group("*.b", lr=0.5),)
    ),
}


@pytest.mark.parametrize("backend", NAMES)
@pytest.mark.parametrize("name", WRAPPED)
def test_wrappers_around_it_count_updates(name, backend):
    make, given = WRAPPED[name], {"epochs": 3, "backend": backend}
    wanted, like = weights(make(RMSProp(0.1)), 16, *LOSSES["ignored"], **given)
    got, trainer = weights(make(Accumulate(RMSProp(0.1), 4)), 4, *LOSSES["ignored"], **given)
    np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    be = trainer.model.backend
    for key in like.state.keys() & {"average", "slow"}:
        np.testing.assert_allclose(
            be.to_numpy(trainer.state[key]), be.to_numpy(like.state[key]), rtol=1e-9, atol=1e-12
        )
    assert (int(trainer.state["updates"]), int(trainer.state["t"])) == (6, 18)


def test_inside_it_a_wrapper_counts_updates_too():
    wanted, like = weights(EMA(SGD(0.1), 0.5), 16, *LOSSES["ids"])
    got, trainer = weights(Accumulate(EMA(SGD(0.1), 0.5), 4), 4, *LOSSES["ids"])
    np.testing.assert_allclose(got, wanted, rtol=1e-10)
    np.testing.assert_allclose(trainer.state["average"], like.state["average"], rtol=1e-10)


def test_steps_by_hand_make_an_update_when_the_group_is_full():
    model = xpnn.Model([xpnn.Dense(3)], (5,), dtype="float64", seed=0)
    trainer = xpnn.Trainer(model, SoftmaxCrossEntropy(), Accumulate(SGD(0.1), 3))
    before, moved = model.theta.copy(), []
    for _ in range(7):
        trainer.step(X, IDS)
        moved.append(not np.array_equal(model.theta, before))
        before = model.theta.copy()
    assert moved == [False, False, True, False, False, True, False]


def test_more_steps_than_the_run_has_batches_are_refused():
    with pytest.raises(UsageError, match=r"steps=13.*12 batches"):
        weights(Accumulate(SGD(0.1), 13), 4, *LOSSES["ids"])
    with pytest.raises(UsageError, match=r"steps=13"):
        weights(EMA(Accumulate(SGD(0.1), 13)), 4, *LOSSES["ids"])
    weights(Accumulate(SGD(0.1), 12), 4, *LOSSES["ids"])


UNEVEN = [SoftmaxCrossEntropy(ignore_index=-100), SoftmaxCrossEntropy(class_weight=K)]


@pytest.mark.parametrize("one", UNEVEN, ids=short_repr)
def test_outputs_that_count_differently_are_refused(one):
    """One vector cannot hold two sums with divisors of their own."""
    net = xpnn.Graph("x", [("a", xpnn.Dense(3), "x"), ("b", xpnn.Dense(3), "x")], ("a", "b"))
    model = xpnn.Model(net, (5,), seed=0)
    with pytest.raises(UsageError, match="ignored ids or class weights"):
        xpnn.Trainer(model, MultiOutputLoss((one, MeanSquaredError())), Accumulate(SGD(0.1), 2))
    xpnn.Trainer(model, MultiOutputLoss((one, MeanSquaredError())), SGD(0.1))


def test_outputs_that_count_alike_are_one_larger_batch():
    net = xpnn.Graph("x", [("a", xpnn.Dense(3), "x"), ("b", xpnn.Dense(3), "x")], ("a", "b"))
    loss = MultiOutputLoss((SoftmaxCrossEntropy(), MeanSquaredError()), (1.0, 0.3))

    def run(optimizer, batch_size):
        model = xpnn.Model(net, (5,), seed=0, dtype="float64")
        xpnn.Trainer(model, loss, optimizer).fit(
            X, (IDS, REAL), epochs=2, batch_size=batch_size, sample_weight=W
        )
        return model.theta

    np.testing.assert_allclose(run(Accumulate(SGD(0.1), 4), 4), run(SGD(0.1), 16), rtol=1e-10)


def test_a_run_cut_short_inside_a_group_goes_on_with_what_waits(tmp_path):
    def run(path=None, resume=None):
        model = xpnn.Model([xpnn.Dense(3)], (5,), dtype="float64", seed=0)
        trainer = xpnn.Trainer(model, SoftmaxCrossEntropy(ignore_index=-100), Accumulate(Adam(0.1), 4))
        calls = []

        class Cut(xpnn.training.Callback):
            def step(self, trainer):
                calls.append(None)
                if path is not None and len(calls) == 8:
                    trainer.save_state(path)
                    trainer.stopped = "cut"

        trainer.fit(X, IGNORED, epochs=2, batch_size=4, callbacks=[Cut()], resume=resume)
        return model.theta

    path = tmp_path / "state.safetensors"
    run(path)
    assert np.array_equal(run(resume=path), run())
