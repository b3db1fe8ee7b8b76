"""What one process of several compares, refuses and sends: a stand-in for the others notes what it is asked."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn.backends import get_backend
from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator
from xpnn.errors import UsageError
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.optimizers import EMA, SGD, SWA, Accumulate
from xpnn.training import Trainer, ranks
from xpnn.training.shared_objective import SharedObjective, accumulates, packed, unpacked
from xpnn.training.step import Objective

BE = get_backend("numpy", None, "float64")
X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


class Two(Communicator):
    """The communicator of one rank of two; the other rank has the same numbers."""

    size, engine = 2, "two"

    def __init__(self, rank=0):
        self.rank, self.asked = rank, []

    def add(self, a):
        a *= 2

    def check_same(self, names, digests, fix):
        self.asked.append((list(names), list(digests), fix))

    def all_rows(self, a, n):
        self.asked.append((a.copy(), n))
        return np.concatenate([a, self.rest])[:n]


def model():
    return xpnn.Model([xpnn.Dense(3), xpnn.BatchNorm()], (4,), seed=0, dtype="float64")


def trainer_of(group, optimizer=None):
    trainer = Trainer(model(), "softmax_cross_entropy", optimizer or SGD(0.1))
    trainer.communicator = group
    return trainer


def test_all_that_a_run_depends_on_is_compared():
    group = Two()
    trainer = trainer_of(group)
    trainer.steps = 7
    run = SimpleNamespace(
        trainer=trainer, batch_size=20, train=range(60), identity={"seed": 3, "net": {"b": 1, "a": 2}}, epochs=5,
        steps=7,
        state=trainer.state, model=trainer.model,
    )  # fmt: skip
    ranks.check_run(run)
    (names, digests, fix), (paths, marks, hint) = group.asked
    assert names == ["seed of the run", "net of the run", "epochs of the run", "steps of the run"]
    wanted = [3, {"a": 2, "b": 1}, 5, 7]
    assert digests == [ranks.digest(json.dumps(value).encode()) for value in wanted]
    assert len(set(digests)) == 4
    assert {len(one) for one in digests} == {8}
    assert fix == "one seed, the same settings and the same data on every rank"
    where = list(trainer.model.layout.slots)
    assert paths == [f"parameter {path}, after step 7" for path in where]
    assert marks == [ranks.digest(np.ascontiguousarray(trainer.model.parameters()[path])) for path in where]
    assert "resume from the last state" in hint
    trainer.communicator = Communicator()
    ranks.check_run(run)
    ranks.check_weights(trainer)
    assert len(group.asked) == 2


@pytest.mark.parametrize(("rank", "factor"), [(0, 1), (1, 0)])
def test_accumulated_gradients_are_those_of_rank_0(rank, factor):
    trainer = trainer_of(Two(rank), Accumulate(SGD(0.1), 4))
    trainer._state["sum"] = np.ones_like(trainer._state["sum"])
    run = SimpleNamespace(
        trainer=trainer,
        batch_size=20,
        train=range(60),
        identity={},
        epochs=5,
        steps=7,
        state=trainer.state,
        model=trainer.model,
    )
    ranks.check_run(run)
    assert (np.asarray(trainer.state["sum"]) == factor).all()
    trainer._state["sum"] = np.ones_like(trainer._state["sum"])
    ranks.gather_accumulated(trainer)
    assert (np.asarray(trainer.state["sum"]) == (0 if rank else 2)).all()
    trainer.communicator = Communicator()
    ranks.gather_accumulated(trainer)
    assert (np.asarray(trainer.state["sum"]) == (0 if rank else 2)).all()
    ranks.gather_accumulated(trainer_of(Two(rank)))


@pytest.mark.parametrize(
    ("equal", "batch", "rows", "fix"),
    [
        (True, 8, 60, ""), (True, 10, 60, "8 or 12"), (True, 10, 10, "8 or 12"), (True, 10, 9, ""), (True, 3, 60, ""),
        (True, 4, 60, ""), (True, 5, 60, "4 or 8"), (False, 10, 60, ""),
    ],
)  # fmt: skip
def test_batches_that_cannot_be_divided(equal, batch, rows, fix):
    group = SimpleNamespace(equal_rows=equal, size=4, engine="torch", compression="")
    run = SimpleNamespace(trainer=SimpleNamespace(communicator=group), batch_size=batch, train=range(rows))
    if not fix:
        ranks.check_batch(run)
        return
    with pytest.raises(UsageError, match=f"batches of {batch} samples for 4 processes") as caught:
        ranks.check_batch(run)
    assert caught.value.fix == f"a batch size of {fix}"


@pytest.mark.parametrize(
    ("compression", "engine", "backend", "fits"),
    [
        ("bf16", "mpi", "jax", False),
        ("bf16", "jax", "jax", True),
        ("bf16", "mpi", "numpy", True),
        ("", "mpi", "jax", True),
    ],
)
def test_gradients_that_cannot_be_compressed(compression, engine, backend, fits):
    group = SimpleNamespace(equal_rows=False, size=4, engine=engine, compression=compression)
    net = SimpleNamespace(backend=SimpleNamespace(name=backend))
    run = SimpleNamespace(
        trainer=SimpleNamespace(communicator=group), batch_size=8, train=range(60), model=net
    )
    if fits:
        ranks.check_batch(run)
        return
    with pytest.raises(UsageError, match="compressed gradients of JAX, sent by mpi"):
        ranks.check_batch(run)


@pytest.mark.parametrize(("rank", "own"), [(0, slice(0, 2)), (1, slice(2, 5))])
def test_each_evaluates_its_rows_and_scores_all(rank, own):
    group = Two(rank)
    trainer = trainer_of(group)
    outputs = np.asarray(trainer.model.outputs(X[:5]))
    group.rest = outputs
    if rank:
        group.all_rows = lambda a, n: group.asked.append((a.copy(), n)) or outputs[:n]
    else:
        group.rest = outputs[2:]
    assert ranks.evaluate(trainer, X[:5], IDS[:5], {}) == pytest.approx(
        trainer.model.score(X[:5], IDS[:5], metrics={})
    )
    ((asked, n),) = group.asked
    assert n == 5
    np.testing.assert_allclose(asked, outputs[own])
    assert ranks.evaluate(trainer, X[:1], IDS[:1], {}) == trainer.model.score(X[:1], IDS[:1], metrics={})
    assert len(group.asked) == 1
    assert ranks.evaluate(trainer, X[:2], IDS[:2], {}).keys() == {"loss", "accuracy"}
    assert len(group.asked) == 2


def test_a_loss_and_hits_in_one_message():
    loss, hits = np.float64(0.5), np.array([3, 4])
    assert packed(BE, loss).tolist() == [0.5]
    assert packed(BE, (loss, np.int64(7))).tolist() == [0.5, 7]
    assert packed(BE, (loss, hits)).tolist() == [0.5, 3, 4]
    assert packed(BE, (loss, hits)).dtype == np.float64
    assert unpacked(BE, np.array([0.5])).shape == ()
    one, count = unpacked(BE, np.array([0.5, 7.0]))
    assert (one, count, one.shape, count.shape, count.dtype) == (0.5, 7, (), (), np.int64)
    one, counts = unpacked(BE, np.array([0.5, 3.0, 4.0]))
    assert (one, counts.tolist(), counts.dtype) == (0.5, [3, 4], np.int64)


def test_which_optimizers_accumulate():
    for optimizer in (Accumulate(SGD(), 4), EMA(Accumulate(SGD(), 4)), SWA(Accumulate(SGD(), 2))):
        assert accumulates(optimizer)
    for optimizer in (SGD(), EMA(SGD())):
        assert not accumulates(optimizer)


@pytest.mark.parametrize("count", [False, True])
def test_a_rank_with_the_whole_batch_computes_the_same_as_one_process(count):
    net, tick = model(), BE.scalar(3, np.int64)
    alone = Objective(net.net, SoftmaxCrossEntropy(), net.layout, BE, 0)
    shared = SharedObjective(net.net, SoftmaxCrossEntropy(), net.layout, BE, 0, group=Communicator())
    whole = Share(0, 20, 20)
    weight = np.linspace(0, 1, 20)
    given = (np.asarray(net.theta), np.asarray(net.phi), tick, X[:20], IDS[:20], weight, None)
    value, grad, phi = alone.gradient(count=count)(*given)
    other, same, statistics = shared.gradient(count=count)(*given, whole)
    np.testing.assert_allclose(
        np.asarray(other[0] if count else other), value[0] if count else value, rtol=1e-12
    )
    if count:
        assert np.asarray(other[1]).tolist() == np.asarray(value[1]).tolist()
    np.testing.assert_allclose(same, grad, rtol=1e-10)
    np.testing.assert_allclose(statistics, phi, rtol=1e-12)
    divisor = shared.divisor()(tick, X[:20], IDS[:20], weight, whole)
    assert (
        divisor
        == pytest.approx(alone.divisor()(tick, X[:20], IDS[:20], weight))
        == pytest.approx(weight.sum())
    )


def test_results_that_every_rank_computes_count_once():
    """A batch that cannot be divided: rank 0 sends it, the others zeros; halves are sent by both."""
    net, tick = model(), BE.scalar(3, np.int64)
    given = (np.asarray(net.theta), np.asarray(net.phi), tick, X[:20], IDS[:20], None, None)
    value, grad, _ = Objective(net.net, SoftmaxCrossEntropy(), net.layout, BE, 0).gradient()(*given)
    for rank in (0, 1):
        group = Two(rank)
        shared = SharedObjective(net.net, SoftmaxCrossEntropy(), net.layout, BE, 0, group=group)
        other, same, _ = shared.gradient()(*given, Share(0, 20, 20))
        np.testing.assert_allclose(np.asarray(other), 0 if rank else 2 * value)
        np.testing.assert_allclose(same, 0 * grad if rank else 2 * grad, rtol=1e-10, atol=1e-15)
        part, own, _ = shared.gradient(add=False)(*given, Share(0, 20, 20))
        np.testing.assert_allclose(np.asarray(part), 0 if rank else value)
        np.testing.assert_allclose(own, 0 * grad if rank else grad, rtol=1e-10, atol=1e-15)
