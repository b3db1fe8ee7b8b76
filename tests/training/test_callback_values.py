"""Callbacks: on which ranks they run, when they are called, what a divergence says, and which weights are kept."""

import contextlib
import dataclasses
import math
import warnings
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn import losses, training
from xpnn.errors import UsageError
from xpnn.optimizers import EMA, LBFGS, SGD
from xpnn.stored_array import StoredArray
from xpnn.training import Callback, KeepBest, Row, Statistics, Threads, Trainer, ranks, threads
from xpnn.training.diverged import explain_divergence, explain_overflow, not_finite
from xpnn.training.notebook import NotebookProgress
from xpnn.training.progress import Progress
from xpnn.training.run import Run
from xpnn.training.statistics import measure

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def model():
    return xpnn.Model([xpnn.Dense(3)], (4,), seed=0, dtype="float64")


def fitted(*callbacks, optimizer=None, **given):
    trainer = Trainer(model(), "softmax_cross_entropy", optimizer or SGD(0.1))
    trainer.fit(X, IDS, callbacks=callbacks, **{"epochs": 3, "batch_size": 20, **given})
    return trainer


def test_what_prints_or_writes_runs_on_one_of_several_processes():
    alone = {"Checkpoint", "Film", "NotebookProgress", "Progress", "Statistics", "TensorBoard"}
    every = {
        "AfterEpoch",
        "EarlyStopping",
        "KeepBest",
        "ReduceOnPlateau",
        "StopOnSignal",
        "Threads",
        "TimeLimit",
        "UseAverage",
    }
    assert {NotebookProgress.__name__, Progress.__name__} < alone
    found = {
        cls.__name__: cls.everywhere
        for cls in Callback.__subclasses__()
        if cls.__module__.startswith("xpnn.training")
    }
    assert found == dict.fromkeys(alone, False) | dict.fromkeys(every, True)


def test_weights_are_compared_every_256_steps_and_after_each_epoch(monkeypatch):
    seen = []
    monkeypatch.setattr(ranks, "check_weights", lambda trainer: seen.append(trainer.steps))
    x, y = np.tile(X, (5, 1)), np.tile(IDS, 5)
    trainer = Trainer(model(), "softmax_cross_entropy", SGD(0.1))
    trainer.fit(x, y, epochs=2, batch_size=1)
    assert seen == [256, 300, 524, 600]


CONSTANTS = {
    "checkpoint FORMAT": 1,
    "checkpointing RAREST": 1.0,
    "identity PIECE": 2**26,
    "json_lines MOST": 2**28,
    "minibatch LARGE": 2**30,
    "minibatch LOOK": 32,
    "mixing MIXING": -1,
    "mixing TRIES": 24,
    "notebook BETWEEN": 0.2,
    "ranks EVERY": 256,
    "state FORMAT": 1,
    "streamed LOOK": 8,
    "threads LONG": 2.0,
    "threads PASSES": 3,
}
"""What files, draws and the time or memory of a run depend on, beyond what a short run shows."""


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_short_runs_do_not_reach(name):
    module, constant = name.split()
    assert getattr(import_module(f"xpnn.training.{module}"), constant) == CONSTANTS[name]


def test_the_full_batch_counts_an_iteration_as_a_step():
    seen = []

    class Watch(Callback):
        def start(self, run, epochs, samples, batch_size):
            seen.append((epochs, samples, batch_size))

        def progress(self, epoch, samples, loss):
            seen.append((epoch, samples, loss))

        def epoch(self, run, row):
            seen.append((run.steps, row.train_loss, run.batch()))

    trainer = fitted(Watch(), optimizer=LBFGS(), epochs=2)
    one, two = trainer.history["train_loss"]
    assert seen == [(2, 60, 20), (1, 60, one), (1, one, ()), (2, 60, two), (2, two, ())]
    assert (trainer.steps, trainer.lr > 0, two < one) == (2, True, True)
    assert one == pytest.approx(fitted(optimizer=LBFGS(), epochs=1).model.evaluate(X, IDS)["loss"], rel=1e-10)


def test_a_descent_goes_on_from_weights_that_were_replaced():
    """With what it knows of the curvature; without them it would make the second step of the plain run."""
    at_zero = model()
    at_zero.restore({"theta": np.zeros(15), "phi": np.zeros(0)})

    def replace(run, row):
        if row.epoch == 1:
            run.model.theta = run.model.theta * 0

    found, plain = fitted(replace, optimizer=LBFGS(), epochs=2), fitted(optimizer=LBFGS(), epochs=2)
    assert found.history["train_loss"][0] == plain.history["train_loss"][0]
    assert found.history["train_loss"][1] != pytest.approx(plain.history["train_loss"][1], rel=1e-3)
    assert found.history["train_loss"][1] < at_zero.evaluate(X, IDS)["loss"]
    assert found.history["train_loss"][1] == pytest.approx(found.model.evaluate(X, IDS)["loss"], rel=1e-9)


def test_the_best_weights_are_kept_with_the_generation_before_them(tmp_path):
    run = SimpleNamespace(model=model(), rank=0, history=[])
    keep, seen = KeepBest(tmp_path / "best.safetensors"), []
    keep.start(run, 3, 60, 20)
    for epoch, best in ((1, True), (2, True), (3, False)):
        run.model.theta = run.model.theta + 1
        seen.append(run.model.theta.copy())
        keep.epoch(run, Row(epoch, 1.0, None, None, 0.1, 1.0, best))
    keep.end(run)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.1.safetensors", "best.safetensors"]
    for name, wanted in (("best", seen[1]), ("best.1", seen[0])):
        np.testing.assert_array_equal(xpnn.load(tmp_path / f"{name}.safetensors").theta, wanted)
    np.testing.assert_array_equal(run.model.theta, seen[1])
    run.history = [None]
    keep.start(run, 3, 60, 20)
    assert keep.vectors is not None
    run.history = []
    keep.start(run, 3, 60, 20)
    assert keep.vectors is None
    other = KeepBest(tmp_path / "other.safetensors")
    run.rank = 1
    other.epoch(run, Row(1, 1.0, None, None, 0.1, 1.0, True))
    assert not (tmp_path / "other.safetensors").exists()
    assert other.vectors is not None


def test_what_has_moved_warns_where_it_is_asked_for():
    trainer = Trainer(model(), "softmax_cross_entropy", SGD(0.1))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert trainer.losses == ()
    assert [(one.filename, one.category) for one in seen] == [(__file__, DeprecationWarning)]
    assert type(trainer).losses.__doc__ == "Trainer.losses belongs to one fit: run.losses."
    assert Run.objective.__doc__ == "A callback is given the run: write run.trainer.objective."


def test_the_attributes_of_a_run_are_its_trainers():
    seen = []

    def look(run, row):
        trainer = run.trainer
        for name in ("model", "loss", "optimizer", "state", "history"):
            assert getattr(run, name) is getattr(trainer, name)
        seen.append((run.steps, run.total, run.first, run.lr, run.rate, run.rank, run.whole, run.stopped))
        run.rate = 0.5

    trainer = fitted(look)
    assert seen == [
        (3, 9, 0, 0.1, 0.1, 0, True, ""),
        (6, 9, 0, 0.5, 0.5, 0, True, ""),
        (9, 9, 0, 0.5, 0.5, 0, True, ""),
    ]
    seen.clear()
    trainer.fit(X, IDS, epochs=1, batch_size=30, callbacks=[look])
    assert seen == [(11, 11, 9, 0.5, 0.5, 0, True, "")]


TWO = losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()))
OUTPUTS = ["train_accuracy[0]"]


@pytest.mark.parametrize(
    ("loss", "validation", "wanted"),
    [
        (losses.SoftmaxCrossEntropy(), None, []),
        (losses.SoftmaxCrossEntropy(), 0, []),
        (losses.SoftmaxCrossEntropy(), 0.1, ["valid_f1"]),
        (losses.SoftmaxCrossEntropy(), (X, IDS), ["valid_f1"]),
        (TWO, None, OUTPUTS),
        (TWO, 5, [*OUTPUTS, "valid_accuracy[0]", "valid_f1"]),
    ],
)
def test_columns_of_a_run(loss, validation, wanted):
    stand_in = SimpleNamespace(loss=loss)
    run = Run(stand_in, (X, IDS, None), range(60), validation, 20, 3, [], None, {"f1": None})
    assert run.columns == wanted


@pytest.mark.parametrize("adapt", [False, True])
def test_threads_are_set_and_given_back(monkeypatch, adapt):
    asked = []

    @contextlib.contextmanager
    def blas_threads(n):
        asked.append(("begin", n))
        yield lambda n: asked.append(("use", n))
        asked.append(("end", n))

    class Adaptive:
        def __init__(self, most, changed):
            asked.append(("most", most))
            self.changed = changed

        def step(self):
            asked.append("step")
            self.changed(2)

        def pause(self):
            asked.append("pause")

    monkeypatch.setattr(threads, "blas_threads", blas_threads)
    monkeypatch.setattr(threads, "AdaptiveThreads", Adaptive)
    callback, run = Threads(3, adapt), SimpleNamespace(model=model())
    callback.start(run, 1, 60, 20)
    assert callback.n == 3
    callback.step(run)
    callback.epoch(run, None)
    callback.end(run)
    changes = [("most", 3), "step", ("use", 2), "pause"] if adapt else []
    assert asked == [("begin", 3), *changes, ("end", 3)]
    assert callback.n == (2 if adapt else 3)


# A divergence


def diverged(theta, x, given, epoch=3, batch=2, optimizer=None):
    net = xpnn.Model([xpnn.Dense(1)], (1,), seed=0, dtype="float64")
    net.restore({"theta": np.array(theta), "phi": np.zeros(0)})
    trainer = Trainer(net, "mean_squared_error", optimizer or SGD(0.2))
    trainer.lr = 0.01234
    with np.errstate(all="ignore"):
        error = explain_divergence(
            trainer, epoch, batch, given, (np.array([[0.0], [x]]), np.zeros((2, 1)), None), np.array([1])
        )
    return error.what, error.why, error.fix


BEFORE = "The weights are those of the batch before"
FIX = "a lower learning rate (lr=0.02), clip_norm=1, or check the gradients"


@pytest.mark.parametrize(
    ("theta", "x", "given", "batch", "loss", "why"),
    [
        ([1.0, 0], 1e200, [0.5, math.inf], 2, "inf",
         f"last finite loss 0.5; first not finite: gradient of 0.W. {BEFORE}"),
        ([1e160, 0], 1.0, [0.51239, 0.25, math.inf], 2, "inf",
         f"last finite loss 0.5124; first not finite: the loss itself. {BEFORE}"),
        ([1e160, 0], 1.0, [0.5, math.nan, math.inf], 3, "inf",
         f"last finite loss 0.5; first not finite: the loss itself. {BEFORE}"),
        ([1.0, 0], math.nan, [math.nan], 1, "nan",
         f"last finite loss none yet in this epoch; first not finite: gradient of 0.W. {BEFORE}"),
        ([1.0, math.inf], 1.0, [0.5, math.inf], 2, "inf",
         "last finite loss 0.5; first not finite: gradient of 0.W. Parameter 0.b itself is not"),
    ],
)  # fmt: skip
def test_a_divergence_in_full(theta, x, given, batch, loss, why):
    assert diverged(theta, x, given, batch=batch) == (
        f"loss became {loss} at epoch 3, batch {batch}", f"lr 0.0123, {why}", FIX,
    )  # fmt: skip


def test_an_overflow_in_full():
    trainer = Trainer(model(), "softmax_cross_entropy", SGD(0.2))
    trainer.lr = 0.01234
    error = explain_overflow(trainer, 3, 2, "0.W")
    assert (error.what, error.why, error.fix) == (
        "parameter 0.W is not finite any more at epoch 3, batch 2",
        "lr 0.0123 took it beyond float64. The last good weights are lost",
        "a lower learning rate (lr=0.02) or clip_norm=1, and a new model",
    )
    theta = np.zeros(15)
    assert not_finite(trainer, theta) == []
    theta[12] = np.nan
    assert not_finite(trainer, theta) == ["0.b"]
    theta[0] = np.inf
    assert not_finite(trainer, theta) == ["0.W", "0.b"]


# Numbers of weights


def test_sizes_of_an_array():
    found = measure(np.array([3.0, -4.0], np.float32))
    assert found == {"mean": -0.5, "std": 3.5, "largest": 4.0, "norm": 5.0}
    assert {type(value) for value in found.values()} == {float}


def test_rows_of_statistics_beyond_the_epochs_that_are_done_are_dropped(tmp_path):
    path = tmp_path / "s.jsonl"
    fitted(Statistics(path))
    run = SimpleNamespace(
        model=model(), trainer=Trainer(model(), "softmax_cross_entropy", SGD(0.1)), history=[None] * 2
    )
    again = Statistics(path)
    again.start(run, 1, 60, 20)
    assert [row["epoch"] for row in again.rows] == [1, 2]
    assert path.read_text().count("\n") == 2
    run.history = []
    fresh = Statistics(path)
    fresh.start(run, 1, 60, 20)
    assert (fresh.rows, path.read_text()) == ([], "")


def test_an_average_is_a_copy_and_its_statistics_are_of_each_batch():
    net = xpnn.Model([xpnn.Dense(3), xpnn.BatchNorm(0.5)], (4,), seed=0, dtype="float64")
    trainer = Trainer(net, "softmax_cross_entropy", EMA(SGD(0.5), 0.5))
    trainer.fit(X, IDS, epochs=1, batch_size=20, validation=0.25, callbacks=[training.UseAverage()])
    assert net.theta is not trainer.state["average"]
    np.testing.assert_array_equal(net.theta, trainer.state["average"])
    rng = xpnn.random.host_rng(0, "validation")
    train, _ = xpnn.data.stratified_split(IDS, 0.25, rng)
    h = X[train] @ net.parameters()["0.W"] + net.parameters()["0.b"]
    parts = [h[start : start + 20] for start in range(0, len(train), 20)]
    np.testing.assert_allclose(
        net.parameters()["1.mean"], np.mean([part.mean(0) for part in parts], axis=0), rtol=1e-12
    )
    wanted = np.mean([part.var(0, ddof=1) for part in parts], axis=0)
    np.testing.assert_allclose(net.parameters()["1.var"], wanted, rtol=1e-12)


def test_a_callback_that_watches_a_second_run_begins_anew():
    stop = training.EarlyStopping(3)
    run = SimpleNamespace(history=[], stopped="", model=model())
    stop.start(run, 3, 60, 20)
    assert (stop.state, stop.vectors) == ({"best": None, "bad": 0}, None)
    for epoch, loss in ((1, 0.5), (2, 0.7)):
        stop.epoch(run, Row(epoch, loss, None, None, 0.1, 1.0, False))
    assert stop.state == {"best": 0.5, "bad": 1}
    run.history = [None]
    stop.start(run, 3, 60, 20)
    assert (stop.state, stop.vectors is None) == ({"best": 0.5, "bad": 1}, False)
    run.history = []
    stop.start(run, 3, 60, 20)
    assert (stop.state, stop.vectors, run.stopped) == ({"best": None, "bad": 0}, None, "")
    stop.state = {"best": 0.5, "bad": 3}
    run.history = [None]
    stop.start(run, 3, 60, 20)
    assert run.stopped == "early stopping: 3 epochs without improvement"


def test_settings_of_a_film_at_their_bounds():
    assert training.Film(frames=1).most == 1
    for frames in (0, -1, True, 1.0, "3"):
        with pytest.raises(UsageError, match=r"Film\(frames="):
            training.Film(frames=frames)


def test_a_row_of_the_history_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Row(1, 1.0, None, None, 0.1, 1.0, True).epoch = 2


def test_settings_of_callbacks_before_they_have_seen_an_epoch():
    assert training.ReduceOnPlateau().state == {"best": None, "bad": 0, "cooling": 0}
    assert Threads(1).n == 1


class Ordered(StoredArray):
    """A stored array that notes which order it is asked for."""

    def __init__(self):
        self.asked = []

    def order(self, *given):
        self.asked.append(given)
        return "its own"


def test_the_order_of_an_epoch_is_that_of_the_first_input():
    stored, train = Ordered(), np.array([5, 3, 8, 1])
    stand_in = SimpleNamespace(model=SimpleNamespace(seed=7))

    def order(x, y, train, epoch=2):
        return Run(stand_in, (x, y, None), train, None, 20, 3, [], None).order(epoch)

    for x in (stored, (stored, X)):
        assert order(x, IDS, range(60)) == "its own"
    assert stored.asked == [(7, 2, range(60))] * 2
    wanted = xpnn.data.epoch_order(7, 2, 4)[:]
    for x, y in ((X, IDS), ((X, X), IDS), (X, (IDS, IDS)), ((X, stored), IDS)):
        assert np.asarray(order(x, y, range(4))[:]).tolist() == wanted.tolist()
        assert order(x, y, train).tolist() == train[wanted].tolist()


@pytest.mark.parametrize(
    ("size", "waiting", "whole"), [(1, 3, True), (2, 3, False), (2, 0, True), (2, None, True)]
)
def test_a_process_has_all_of_the_state_unless_several_accumulate(size, waiting, whole):
    state = {} if waiting is None else {"waiting": np.array(waiting)}
    stand_in = SimpleNamespace(state=state, communicator=SimpleNamespace(size=size), model=model())
    assert Run(stand_in, (X, IDS, None), range(60), None, 20, 3, [], None).whole is whole
