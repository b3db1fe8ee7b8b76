"""What a fit counts, shows and hands to its callbacks, number by number: bars, tables, curves, threads, sources."""

import contextlib
import io
import math
import signal
import sys
import types
from types import SimpleNamespace

import numpy as np
import pytest
import rich.console

import xpnn
from xpnn import losses
from xpnn.backends import get_backend
from xpnn.errors import DataError, DivergedError, ShapeError, UsageError
from xpnn.layers.base import Ctx
from xpnn.optimizers import EMA, LBFGS, SGD, SWA, Accumulate, Adam
from xpnn.stored_array import StoredArray
from xpnn.training import (
    Callback,
    Film,
    History,
    Mixup,
    Row,
    StopOnSignal,
    Threads,
    Trainer,
    minibatch,
    mixing,
    notebook,
    source,
    step,
    stepper,
    tensorboard,
    threads,
)
from xpnn.training import progress as lines
from xpnn.training.accumulation import check_accumulation
from xpnn.training.batch_statistics import with_own_statistics

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
BE = get_backend("numpy", None, "float64")


def model(outputs=3, shape=(4,)):
    return xpnn.Model([xpnn.Dense(outputs)], shape, seed=0, dtype="float64")


def row(epoch, **changes):
    return Row(epoch, 1.0, None, None, 0.1, 1.0, **{"best": False, **changes})


def run_of(rows=(), **more):
    return SimpleNamespace(history=History(list(rows)), losses=[], stopped="", columns=[], **more)


# What is shown


def test_the_bar_of_a_notebook(monkeypatch):
    """Of a run that goes on after 2 epochs, with 3 to come of 60 samples each: 180 samples in all."""
    pages = []
    part = types.ModuleType("IPython.display")
    part.HTML = str
    part.display = lambda page, display_id: pages.append(page) or SimpleNamespace(update=pages.append)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    monkeypatch.setattr(notebook, "BETWEEN", 0.25)
    clock = iter([100.0, 102.0, 102.125, 102.25, 110.0])
    monkeypatch.setattr(notebook.time, "perf_counter", lambda: next(clock))
    shown = notebook.NotebookProgress()
    run = run_of([row(1), row(2)])
    shown.start(run, 3, 60, 16)
    before = run.history._repr_html_()
    assert pages == [before]
    shown.progress(3, 20, 0.12345)
    shown.progress(3, 40, 0.5)  # too soon after the last
    shown.progress(4, 30, 0.5)
    shown.progress(3, 0, 2.0)
    assert pages[1:] == [
        f'{before}<progress value="20" max="180"></progress> epoch 3 of 5, loss 0.1235, 16 s to go',
        f'{before}<progress value="90" max="180"></progress> epoch 4 of 5, loss 0.5000, 2 s to go',
        f'{before}<progress value="0" max="180"></progress> epoch 3 of 5, loss 2.0000, 1800 s to go',
    ]
    shown.epoch(run, row(3))
    after = History([row(1), row(2), row(3)])._repr_html_()
    assert pages[-1] == after
    assert len(run.history) == 2
    shown.end(run)
    assert pages[-1] == after
    run.stopped = "a & b"
    shown.end(run)
    assert pages[-1] == f"{after}stopped by a &amp; b"


def test_a_notebook_without_a_handle_or_rows(monkeypatch):
    part = types.ModuleType("IPython.display")
    seen = []
    part.HTML, part.display = str, lambda page, display_id: seen.append((page, display_id))
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    shown = notebook.NotebookProgress()
    shown.start(run_of(), 1, 10, 10)
    shown.end(run_of())
    assert seen == [(xpnn.html.html_table((), ()), True)]


def test_the_table_of_a_history():
    made = History([
        Row(1, 0.5, None, None, 0.1, 1.25, True, 0.25, {"f1": 0.123456}),
        Row(2, 0.25, None, None, 0.05, 1.5, False, None),
    ])  # fmt: skip
    head = ("epoch", "train_loss", "lr", "seconds", "best", "train_accuracy", "valid_f1")
    cells = [["1", "0.5", "0.1", "1.25", "*", "0.25", "0.1235"], ["2", "0.25", "0.05", "1.5", "", "", ""]]
    assert made._repr_html_() == xpnn.html.html_table(head, cells, note="2 epochs")


@pytest.mark.parametrize(
    ("column", "head", "value", "cell"),
    [
        ("valid_f1", "f1", 0.123456, "    0.1235"),
        ("valid_mean_of_squares", "mean_of_sq", 12.0, "   12.0000"),
        ("train_accuracy[0]", "train_acc[0]", 0.5, "     50.00 %"),
        ("valid_accuracy[12]", "valid_acc[12]", 1.0, "     100.00 %"),
    ],
)
def test_columns_of_metrics(column, head, value, cell):
    assert (lines.heading(column), lines.cell(column, value)) == (head, cell)
    assert len(cell) == max(10, len(head))


def test_a_share_is_a_percentage():
    assert [lines.share(value) for value in (None, 0.0, 0.98765, 1.0)] == [
        "-",
        "0.00 %",
        "98.77 %",
        "100.00 %",
    ]


def test_every_curve_that_is_written(monkeypatch, tmp_path):
    made = []

    class Writer:
        def __init__(self, folder, purge_step):
            made.append((folder, purge_step))

        def __getattr__(self, name):
            return lambda *given: made.append((name, *given))

    monkeypatch.setitem(sys.modules, "tensorboardX", SimpleNamespace(SummaryWriter=Writer))
    numbers = {"weight": {"mean": 1.0, "norm": 2.0}, "gradient": {"mean": 3.0, "norm": 4.0}}
    statistics = SimpleNamespace(rows=[{"parameters": {"0.b": {}}}, {"parameters": {"0.W": numbers}}])
    board = tensorboard.TensorBoard(tmp_path, statistics)
    board.start(run_of([row(1), row(2)]), 1, 60, 16)
    board.epoch(None, Row(3, 0.5, 0.25, None, 0.1, 1.5, True, 0.75, {"f1": 0.5}, {"accuracy[0]": 0.125}))
    board.end(None)
    scalars = {
        "loss/train": 0.5, "loss/valid": 0.25, "accuracy/train": 0.75, "lr": 0.1, "seconds": 1.5,
        "accuracy[0]/train": 0.125, "f1/valid": 0.5, "weight/0.W": 2.0, "gradient/0.W": 4.0,
    }  # fmt: skip
    wanted = [("add_scalar", name, value, 3) for name, value in scalars.items()]
    assert made == [(str(tmp_path), 3), *wanted, ("flush",), ("close",)]


# What is kept, and when a run ends


@pytest.mark.parametrize(
    ("done", "epochs", "frames", "every"), [(0, 60, 60, 1), (0, 61, 60, 2), (3, 7, 4, 3), (0, 1, 9, 1)]
)
def test_which_epochs_a_film_keeps(done, epochs, frames, every):
    film = Film(frames=frames)
    film.frames = [(0, "weights of before")]
    run = run_of([row(k + 1) for k in range(done)], model=model())
    film.start(run, epochs, 60, 16)
    assert film.every == every
    assert [epoch for epoch, _ in film.frames] == [0]
    assert (film.frames[0][1] == "weights of before") == bool(done)
    for epoch in range(1, 7):
        film.epoch(run, row(epoch))
    assert [epoch for epoch, _ in film.frames] == [0, *range(every, 7, every)]


def test_a_film_goes_on_inside_its_first_epoch():
    film = Film()
    run = run_of(model=model())
    run.losses = [0.5]
    film.start(run, 3, 60, 16)
    assert film.frames == []


class At(Callback):
    def __init__(self, what, steps=0, epoch=0):
        self.what, self.steps, self.at = what, steps, epoch

    def step(self, run):
        if run.steps == self.steps:
            self.what()

    def epoch(self, run, row):
        if row.epoch == self.at:
            self.what()


def fitted(*callbacks, optimizer=None, epochs=3, **given):
    trainer = Trainer(model(), "softmax_cross_entropy", optimizer or SGD(0.1))
    trainer.fit(X, IDS, epochs=epochs, batch_size=20, callbacks=callbacks, **given)
    return trainer


def test_a_second_signal_that_the_system_repeats_stops_nothing_at_once():
    twice = lambda: [signal.raise_signal(signal.SIGUSR1) for _ in range(2)]  # noqa: E731
    before = signal.getsignal(signal.SIGUSR1)
    stop = StopOnSignal()
    trainer = fitted(At(twice, steps=2), stop)
    assert (trainer.steps, trainer.stopped, stop.signum) == (2, "SIGUSR1", signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) == before


def test_a_signal_after_the_last_step_of_an_epoch():
    once = lambda: signal.raise_signal(signal.SIGUSR1)  # noqa: E731
    for optimizer in (SGD(0.1), LBFGS()):
        trainer = fitted(At(once, epoch=1), StopOnSignal(), optimizer=optimizer)
        assert (len(trainer.history), trainer.stopped) == (1, "SIGUSR1")


def test_a_signal_that_is_ignored_stays_ignored(request):
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    request.addfinalizer(lambda: signal.signal(signal.SIGUSR1, before))
    trainer = fitted(At(lambda: signal.raise_signal(signal.SIGUSR1), steps=2), StopOnSignal())
    assert (trainer.steps, trainer.stopped) == (9, "")


def test_accumulated_steps_are_at_most_those_of_the_run():
    even = losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()))
    odd = losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(ignore_index=0), losses.MeanSquaredError()))
    one = losses.SoftmaxCrossEntropy(ignore_index=0)
    for optimizer in (Accumulate(SGD(), 4), EMA(Accumulate(SGD(), 4)), SWA(Accumulate(Adam(), 4))):
        for loss in (even, one):
            check_accumulation(optimizer, loss)
            check_accumulation(optimizer, loss, 4)
            with pytest.raises(UsageError, match=r"Accumulate\(steps=4\): the run has 3 batches"):
                check_accumulation(optimizer, loss, 3)
        with pytest.raises(UsageError, match="Accumulate with several losses"):
            check_accumulation(optimizer, odd)
    for optimizer in (SGD(), EMA(SGD())):
        check_accumulation(optimizer, odd, 1)


# Threads


@pytest.mark.parametrize(
    ("epochs", "done", "samples", "batch_size", "wanted"),
    [(5, 2, 60, 16, (16, 12)), (5, 2, 64, 16, (16, 12)), (1, 0, 10, 16, (10, 1)), (3, 0, 60, 1, (1, 180))],
)
def test_how_many_steps_the_threads_are_for(monkeypatch, epochs, done, samples, batch_size, wanted):
    asked = []
    monkeypatch.setattr(threads, "threads_now", lambda *given: asked.append(given) or 1)
    monkeypatch.setattr(threads, "blas", lambda: SimpleNamespace(threads=1))
    run = SimpleNamespace(
        callbacks=[], model=model(), threads=None, batch_size=batch_size, train=range(samples), epochs=epochs,
        history=[None] * done, data=(X, IDS, None),
    )  # fmt: skip
    with threads.threads_of_fit(run):
        assert run.threads == 1
    assert asked == [(run.model, X, *wanted)]


@pytest.mark.parametrize(
    ("callbacks", "backend", "wanted"),
    [([Threads(3)], "numpy", 3), ([Threads(3), Threads(2)], "numpy", 2), ([Threads(3, adapt=True)], "numpy", None),
     ([], "strict", None)],
)  # fmt: skip
def test_when_the_number_of_threads_is_not_measured(monkeypatch, callbacks, backend, wanted):
    monkeypatch.setattr(threads, "threads_now", None)
    run = SimpleNamespace(
        callbacks=callbacks, model=SimpleNamespace(backend=SimpleNamespace(name=backend)), threads=7
    )
    with threads.threads_of_fit(run):
        assert run.threads == wanted


@pytest.mark.parametrize(("steps", "long", "answer"), [(1, 1.5, 2), (1, 1.51, 4), (2, 3.0, 2), (2, 3.01, 4)])
def test_a_pass_is_timed_where_the_steps_take_long(monkeypatch, steps, long, answer):
    """Half a second each, and three of them are as long as a step."""
    clock, asked, inside = iter([10.0, 10.5]), [], []
    used = contextlib.contextmanager(lambda n: (yield inside.append(n)))
    for name, value in {"LONG": long, "default_threads": lambda: 4, "blas_threads": used}.items():
        monkeypatch.setattr(threads, name, value)
    monkeypatch.setattr(threads, "fastest", lambda most, use, work: work() or most // 2)
    monkeypatch.setattr(threads.time, "perf_counter", lambda: next(clock))
    net = SimpleNamespace(
        backend=SimpleNamespace(name="numpy"), outputs=lambda x, n: asked.append((x[0].shape, x[1].shape, n))
    )
    assert threads.threads_now(net, (X, IDS), 20, steps) == answer
    assert asked == [((20, 4), (20,), 20)] * (3 if answer == 2 else 2)
    assert inside == [4]
    assert threads.threads_now(net, None, 20, steps) == 4
    net.backend.name = "strict"
    assert threads.threads_now(net, (X, IDS), 20, steps) == 4
    monkeypatch.setattr(threads, "default_threads", lambda: 1)
    net.backend.name = "numpy"
    assert threads.threads_now(net, (X, IDS), 20, steps) == 1
    assert len(asked) <= 3


@pytest.mark.parametrize(("own", "usable", "wanted"), [(8, 2, 2), (1, 2, 1), (None, 2, 2), (0, 3, 3)])
def test_threads_by_default(monkeypatch, own, usable, wanted):
    monkeypatch.setattr(threads, "blas", lambda: SimpleNamespace(threads=own))
    monkeypatch.setattr(threads, "usable_threads", lambda: usable)
    assert threads.default_threads() == Threads().n == wanted


# Ready-made batches


def test_the_parts_of_a_batch():
    both = SimpleNamespace(x=1, y=2, weight=3)
    assert source.parts(both, "batch 1") == (1, 2, None)
    assert source.parts((1, 2), "batch 1") == (1, 2, None)
    assert source.parts([1, 2, 3], "batch 1") == (1, 2, 3)
    for batch, got in (
        ((1,), "1 parts"),
        ([1, 2, 3, 4], "4 parts"),
        ({1: 2}, "a dict"),
        (SimpleNamespace(x=1), "a Simple"),
    ):
        with pytest.raises(DataError, match=f"batch 1 is {got}"):
            source.parts(batch, "batch 1")


def test_batches_of_every_epoch():
    batches = [(k, -k) for k in range(5)]
    listed, going = source.Source(batches, None), source.Source(iter(batches), 2)
    made = source.Source(lambda: iter(batches), 3)
    assert (listed.steps, going.steps, made.steps) == (5, 2, 3)
    assert [x for x, _, _ in listed.epoch(1)] == [x for x, _, _ in listed.epoch(2)] == [0, 1, 2, 3, 4]
    assert [list(made.epoch(k)) for k in (1, 2)] == [[(0, 0, None), (1, -1, None), (2, -2, None)]] * 2
    assert [[x for x, _, _ in going.epoch(k)] for k in (1, 2)] == [[0, 1], [2, 3]]
    with pytest.raises(DataError, match="the batches ended after 1 of the 2 of epoch 3") as caught:
        list(going.epoch(3))
    assert caught.value.fix.startswith("steps_per_epoch=1, or an iterator")
    with pytest.raises(DataError, match="ended after 0 of the 2 of epoch 4") as caught:
        list(going.epoch(4))
    assert caught.value.fix.startswith("steps_per_epoch=1, ")
    with pytest.raises(DataError, match="batch 2 of epoch 7 is 1 parts"):
        list(source.Source([(1, 2), (3,)], None).epoch(7))


@pytest.mark.parametrize("given", [np.zeros(3), {"x": 1}, "path", 3, None])
def test_objects_without_batches_are_refused(given):
    with pytest.raises(UsageError, match=f"fit was given a {type(given).__name__} and no y"):
        source.Source(given, 3)


def test_batches_of_no_known_number():
    with pytest.raises(UsageError, match="nothing says how many batches of this list_iterator are an epoch"):
        source.Source(iter([(1, 2)]), None)

    class Refuses:
        def __iter__(self):
            return iter(())

        def __len__(self):
            raise TypeError("no length")

    assert source.length(Refuses()) is None
    assert source.length([1, 2]) == 2
    assert source.Source(Refuses(), 7).steps == 7


def test_batches_are_collected():
    a, b = np.arange(4.0).reshape(2, 2), np.ones((1, 2))
    x, y = source.collected([(a, [0, 1]), (b, [2], "weights")])
    assert (x.tolist(), y.tolist()) == ([[0, 1], [2, 3], [1, 1]], [0, 1, 2])
    (left, right), y = source.collected([([a, a[:, 0]], np.zeros(2)), ((b, b[:, 0]), np.ones(1))])
    assert (left.tolist(), right.tolist(), y.tolist()) == ([[0, 1], [2, 3], [1, 1]], [0, 2, 1], [0, 0, 1])
    (left, right), _ = source.collected([([a[:, 0], a], np.zeros(2))])
    assert (left.tolist(), right.tolist()) == ([0, 2], a.tolist())
    x, y = source.collected([([np.float64(1), np.float64(2)], [np.int64(0), np.int64(1)])])
    assert (x.tolist(), y.tolist()) == ([1, 2], [0, 1])
    with pytest.raises(DataError, match="gave no batches"):
        source.collected([])
    with pytest.raises(DataError, match="batch 2 is 1 parts"):
        source.collected([(a, a), (a,)])
    for given in (a, {"x": 1}, "path", 3):
        with pytest.raises(UsageError, match=f"a {type(given).__name__} and no y"):
            source.collected(given)


def test_a_bar_moves_every_eighth_step_of_ready_made_batches():
    seen, net = [], model()

    class Watch(Callback):
        def progress(self, epoch, samples, loss):
            seen.append((epoch, samples, loss))

        def step(self, run):
            assert [a.shape for a in run.batch()[:2]] == [(3, 4), (3,)]

    trainer = Trainer(net, "softmax_cross_entropy", SGD(0.0))
    batches = [(X[3 * k : 3 * k + 3], IDS[3 * k : 3 * k + 3]) for k in range(20)]
    trainer.fit(batches, epochs=2, callbacks=[Watch()])
    each = [net.evaluate(*batches[k - 1])["loss"] for k in (8, 16, 20)]
    assert [one[:2] for one in seen] == [(epoch, at) for epoch in (1, 2) for at in (8, 16, 20)]
    assert [one[2] for one in seen] == pytest.approx(each * 2)
    assert trainer.history["train_loss"] == pytest.approx([net.evaluate(X, IDS)["loss"]] * 2)
    assert trainer.history["accuracy"] == [net.evaluate(X, IDS)["accuracy"]] * 2
    assert (trainer.first, trainer.total, trainer.steps) == (0, 40, 40)


def test_ready_made_batches_are_accumulated_to_the_end_of_their_epoch():
    """Two updates of four and two steps in each epoch of six, as on the arrays."""
    found = []
    for given in ((X, IDS), (xpnn.data.Batches(X, IDS, batch_size=10),)):
        trainer = Trainer(model(), "softmax_cross_entropy", Accumulate(SGD(0.5), 4))
        trainer.fit(*given, epochs=2, **({"batch_size": 10} if len(given) == 2 else {}))
        found.append(trainer)
    np.testing.assert_array_equal(weights_after(found[0]), weights_after(found[1]))
    assert found[1].history["train_loss"] == found[0].history["train_loss"]


def test_a_loss_of_ready_made_batches_that_is_no_number():
    """The first bad batch is named, and what comes behind it is not trained on."""
    batches = [(X[k : k + 10] * (1e300 if k == 20 else 1), X[k : k + 10, :3]) for k in range(0, 60, 10)]
    net = model()
    before = net.snapshot()["theta"]
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="at epoch 1, batch 3") as caught:
        Trainer(net, "mean_squared_error", SGD(0.0)).fit(batches, epochs=2)
    assert "first not finite: gradient of 0.W" in caught.value.why
    np.testing.assert_array_equal(net.snapshot()["theta"], before)


def test_samples_of_a_mapped_file_that_are_far(monkeypatch, tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for large, far in ((X.nbytes, True), (X.nbytes + 1, False)):
        monkeypatch.setattr(minibatch, "LARGE", large)
        assert minibatch.is_far(mapped) is far
        assert not minibatch.is_far(X)


# A step


def test_which_batches_share_a_compiled_step():
    a, b = np.zeros((2, 3), "f4"), np.zeros(2, int)
    assert (
        stepper.kind_of(a, b)
        == stepper.kind_of(a + 1, b + 1)
        == ((2, 3), np.dtype("f4"), (2,), np.dtype(int))
    )
    others = [(a[:1], b), (a.astype("f8"), b), (a, b[:1]), (a, b.astype("f4"))]
    assert len({stepper.kind_of(*other) for other in [(a, b), *others]}) == 5
    for other in ((a, [0, 1]), ([a], b), (np.ma.array(a), b)):
        assert stepper.kind_of(*other) is None


def test_rows_of_whole_numbers_are_floats_from_a_step_on():
    hot, ids, cross = np.eye(3, dtype=int)[IDS], IDS, losses.SoftmaxCrossEntropy()
    found = stepper.rows_as_floats(BE, cross, hot, (3,))
    assert (found.dtype, found.tolist()) == (np.float64, hot.tolist())
    assert stepper.rows_as_floats(BE, cross, ids, (3,)) is ids
    floats = hot * 1.0
    assert stepper.rows_as_floats(BE, cross, floats, (3,)) is floats
    assert stepper.rows_as_floats(BE, losses.MeanSquaredError(), hot, (3,)) is hot
    several = losses.MultiOutputLoss((cross, losses.MeanSquaredError()))
    rows, same = stepper.rows_as_floats(BE, several, (hot, hot), ((3,), (3,)))
    assert rows.dtype == np.float64
    assert same is hot
    assert stepper.tupled([1, 2]) == (1, 2)
    assert stepper.tupled(ids) is ids


REFUSED = {
    "no samples": (X[:0], IDS[:0], None, DataError, r"^x has no samples"),
    "targets of another number": (X[:4], IDS[:3], None, ShapeError, r"^x has 4 samples, y has shape \(3,\)"),
    "weights of another number": (X[:4], IDS[:4], np.ones(3), ShapeError,
                                  r"^x has 4 samples, weight has shape \(3,\), wanted \(4,\)$"),
    "weights in a column": (X[:4], IDS[:4], np.ones((4, 1)), ShapeError, r"weight has shape \(4, 1\), wanted \(4,\)$"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_batch_that_does_not_fit(name):
    x, y, weight, error, words = REFUSED[name]
    trainer = Trainer(model(), "softmax_cross_entropy", SGD(0.1))
    with pytest.raises(error, match=words):
        trainer.step(x, y, weight)
    assert trainer.steps == 0


def test_weights_of_positions_in_a_step():
    trainer = Trainer(model(shape=(5, 4)), "softmax_cross_entropy", SGD(0.1))
    x, y = X.reshape(12, 5, 4), IDS.reshape(12, 5)
    for weight in (np.ones(12), np.ones((12, 5))):
        trainer.step(x, y, weight)
    with pytest.raises(ShapeError, match=r"weight has shape \(5,\), wanted \(12,\) or \(12, 5\)$"):
        trainer.step(x, y, np.ones(5))


def test_how_many_labels_a_sample_has():
    several = losses.MultiOutputLoss(
        (losses.SoftmaxCrossEntropy(), losses.MeanSquaredError(), losses.SoftmaxCrossEntropy())
    )
    for loss, y, shape, wanted in (
        (losses.SoftmaxCrossEntropy(), IDS, (3,), 1),
        (losses.SoftmaxCrossEntropy(), np.eye(3)[IDS], (3,), 1),
        (losses.SoftmaxCrossEntropy(), np.zeros((2, 5, 7), int), (5, 7, 3), 35),
        (losses.MeanSquaredError(), X, (4,), 0),
        (several, (IDS, X, np.zeros((60, 5), int)), None, 6),
    ):
        stand_in = SimpleNamespace(model=SimpleNamespace(backend=BE), loss=loss, shape=shape)
        assert Trainer.counts(stand_in, y) == wanted


OUT = np.array([[2.0, 1, 0], [0, 3, 1], [0, 1, 4], [5, 0, 1]])
RIGHT = np.array([0, 1, 1, 0])


def test_labels_that_are_right():
    plain, some = losses.SoftmaxCrossEntropy(), losses.SoftmaxCrossEntropy(ignore_index=0)
    assert step.counted(plain, BE, OUT, RIGHT) == 3
    assert step.counted(plain, BE, OUT, RIGHT, np.int64(7)) == 7
    assert step.counted(some, BE, OUT, RIGHT).tolist() == [1, 2]
    assert step.both_counts(plain, BE, OUT, RIGHT, None).tolist() == [3, 4]
    assert step.both_counts(some, BE, OUT, RIGHT, None).tolist() == [1, 2]
    two = losses.MultiOutputLoss((plain, losses.MeanSquaredError(), some))
    out, y = (OUT, OUT, OUT), (RIGHT, OUT, RIGHT)
    assert step.counted(two, BE, out, y).tolist() == [3, 4, 1, 2]
    assert step.counted(two, BE, out, y, (np.int64(2), None, np.int64(0))).tolist() == [2, 4, 0, 2]
    positions = step.both_counts(plain, BE, OUT.reshape(2, 2, 3), RIGHT.reshape(2, 2), None)
    assert positions.tolist() == [3, 4]


def test_mixtures_that_are_right():
    loss, mixed = (
        losses.SoftmaxCrossEntropy(),
        np.array([[0.6, 0.4, 0], [0.5, 0.3, 0.2], [0, 0.1, 0.9], [0.2, 0.3, 0.5]]),
    )
    assert step.counted_mixtures(loss, BE, OUT, mixed, None) == 2
    assert step.counted_mixtures(loss, BE, OUT, mixed, np.array([0.0, 1, 2, 0.5])).tolist() == [1, 3]
    assert step.counted_mixtures(loss, BE, OUT, mixed, np.array([1.0, 0, 2, 0.5])).tolist() == [2, 3]


def test_labels_are_mixed_with_their_neighbours():
    cx, own, loss = Ctx(BE, True, (0,)), np.array([0.75, 0.5, 1.0]), losses.SoftmaxCrossEntropy()
    y = np.array([0, 1, 2])
    rows, weight = mixing.mix_targets(cx, loss, y, None, own, 3)
    assert weight is None
    assert rows.tolist() == [[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1]]
    assert mixing.mix_targets(cx, loss, rows, None, np.ones(3), 3)[0].tolist() == rows.tolist()
    rows, weight = mixing.mix_targets(cx, loss, y, np.array([2.0, 4, 0]), own, 3)
    assert weight.tolist() == [2.5, 2.0, 0.0]
    np.testing.assert_allclose(rows, [[0.6, 0.4, 0], [0, 1, 0], [0, 0, 0]])
    some = losses.SoftmaxCrossEntropy(ignore_index=1)
    rows, weight = mixing.mix_targets(cx, some, y, None, own, 3)
    assert weight.tolist() == [0.75, 0.5, 1.0]
    assert rows.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_which_pixels_cutmix_replaces():
    cx = Ctx(BE, True, (0,))
    found = mixing.stretch(cx, np.array([0.5, 0.0, 1.0, 0.5]), np.array([0.5, 0.5, 1.0, 0.0]), 4)
    assert found.tolist() == [
        [False, True, True, False], [True, False, False, False], [False, False, True, True], [False] * 4,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "layers", "shape", "loss", "error", "words"),
    [
        ("mixup", [xpnn.Dense(3)], (4,), losses.SoftmaxCrossEntropy(), UsageError, "augment='mixup': wanted Mixup"),
        (Mixup(), [xpnn.Dense(3)], (4,), losses.MeanSquaredError(), UsageError, "cannot be used with MeanSquaredError"),
        (Mixup(), [xpnn.Embedding(5, 2), xpnn.Flatten(), xpnn.Dense(3)], (4,), losses.SoftmaxCrossEntropy(), UsageError,
         "cannot mix ids"),
        (mixing.CutMix(), [xpnn.Dense(3)], (5, 4), losses.SoftmaxCrossEntropy(), UsageError, "a label for each"),
        (mixing.CutMix(), [xpnn.Dense(3)], (4,), losses.SoftmaxCrossEntropy(), ShapeError, "CutMix wants images"),
    ],
)  # fmt: skip
def test_what_cannot_be_mixed(given, layers, shape, loss, error, words):
    with pytest.raises(error, match=words):
        mixing.check_mixing(given, xpnn.Model(layers, shape, seed=0), loss)


def test_what_can_be_mixed():
    images = xpnn.Model([xpnn.Flatten(), xpnn.Dense(3)], (4, 4, 1), seed=0)
    for given in (None, Mixup(0.5), mixing.CutMix()):
        assert mixing.check_mixing(given, images, losses.SoftmaxCrossEntropy()) is given


def test_statistics_of_the_batch_alone():
    inner = xpnn.Residual([xpnn.Dense(4), xpnn.BatchNorm(0.25)])
    net = xpnn.Sequential((xpnn.Dense(4), xpnn.BatchNorm(0.5, 0.01), inner))
    found = with_own_statistics(net)
    assert found.layers[0] == net.layers[0]
    assert found.layers[1] == xpnn.BatchNorm(1.0, 0.01)
    assert "BatchNorm(momentum=1.0" in repr(found.layers[2])
    assert "0.25" not in repr(found)
    assert net.layers[1].momentum == 0.5
    assert with_own_statistics({"a": (net.layers[1], 3)}) == {"a": (xpnn.BatchNorm(1.0, 0.01), 3)}
    assert with_own_statistics(xpnn.BatchNorm) is xpnn.BatchNorm
    assert StoredArray is with_own_statistics(StoredArray)


def test_a_divisor_is_the_sum_of_what_counts():
    def divisor(loss, mix=None):
        net = model()
        return step.Objective(net.net, loss, net.layout, BE, 0, mix).divisor()

    tick, weight = BE.scalar(0, np.int64), np.array([1.0, 2.0, 0.5, 0.0])
    assert divisor(losses.SoftmaxCrossEntropy())(tick, OUT, RIGHT) == 4
    assert divisor(losses.SoftmaxCrossEntropy())(tick, OUT, RIGHT, weight) == 3.5
    assert divisor(losses.SoftmaxCrossEntropy(ignore_index=0))(tick, OUT, RIGHT, weight) == 2.5
    assert divisor(losses.SoftmaxCrossEntropy(class_weight=(1.0, 3.0, 1.0)))(tick, OUT, RIGHT) == 8
    assert divisor(losses.SoftmaxCrossEntropy(reduction="sum"))(tick, OUT, RIGHT) == 0
    assert divisor(losses.SoftmaxCrossEntropy(), Mixup())(tick, OUT, RIGHT) == pytest.approx(4)
    assert math.isfinite(divisor(losses.SoftmaxCrossEntropy(ignore_index=0), Mixup())(tick, OUT, RIGHT))


def weights_after(trainer):
    return trainer.model.snapshot()["theta"]


def test_a_batch_like_the_last_one_but_for_its_weights():
    weight = np.linspace(0, 1, 60)
    one, two = (Trainer(model(), "softmax_cross_entropy", SGD(0.5)) for _ in range(2))
    one.step(X, IDS)
    two.model.restore(one.model.snapshot())
    one.step(X, IDS, weight)
    two.step(X, IDS, weight)
    np.testing.assert_array_equal(weights_after(one), weights_after(two))
    three = Trainer(model(), "softmax_cross_entropy", SGD(0.5))
    three.model.restore(one.model.snapshot())
    one.step(X, IDS)
    three.step(X, IDS)
    np.testing.assert_array_equal(weights_after(one), weights_after(three))


def test_rows_of_whole_numbers_step_after_step():
    hot = np.eye(3, dtype=int)[IDS]
    one, two = (Trainer(model(), "softmax_cross_entropy", SGD(0.5)) for _ in range(2))
    for _ in range(3):
        one.step(X, hot)
        two.step(X, hot * 1.0)
    np.testing.assert_array_equal(weights_after(one), weights_after(two))


def test_a_schedule_of_bare_steps_and_of_a_fit_after_them():
    """Without a fit the total is that of the steps so far, this one included."""
    asked = []

    class Asked(xpnn.schedules.ConstantRate):
        def __call__(self, step, total):
            asked.append((step, total))
            return 1 / (step + 1)

    trainer = Trainer(model(), "softmax_cross_entropy", SGD(0.5), schedule=Asked())
    rates = []
    for _ in range(3):
        trainer.step(X, IDS)
        rates.append(trainer.lr)
    assert asked == [(0, 1), (1, 2), (2, 3)]
    assert rates == [0.5, 0.25, 0.5 / 3]
    assert float(trainer.state["lr"]) == 0.5 / 3
    asked.clear()
    trainer.fit(X, IDS, epochs=2, batch_size=30)
    assert asked == [(step, 4) for step in range(4)]
    asked.clear()
    trainer.step(X, IDS)
    assert asked == [(4, 5)]


def test_a_bar_in_a_terminal_in_full():
    console = rich.console.Console(force_terminal=True, width=100, file=io.StringIO(), color_system=None)
    bar = lines.Progress(console)
    bar.start(run_of([row(1)]), 3, 60, 16)
    bar.progress(2, 30, 0.5)
    shown = [column.text_format for column in bar.bar.columns if hasattr(column, "text_format")]
    kinds = [type(column).__name__ for column in bar.bar.columns]
    bar.bar.stop()
    assert shown == ["{task.description}", "{task.percentage:3.0f} %", "{task.fields[note]}", "eta"]
    assert kinds == [
        "TextColumn",
        "BarColumn",
        "TextColumn",
        "TextColumn",
        "TextColumn",
        "TimeRemainingColumn",
    ]
