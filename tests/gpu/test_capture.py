"""Recorded steps against the same steps as they are, bit for bit, on an imaginary device where short cuts show."""

import gc
import sys
import threading
import warnings
import weakref

import numpy as np
import pytest
from blocked_threads import Inside
from imaginary_device import DeviceBackend, HostCopyError, WritingBackend, rubbish

import xpnn
from xpnn.backends.cuda import capture
from xpnn.backends.cuda.capture import Graph
from xpnn.errors import ShapeError
from xpnn.optimizers import EMA, Lookahead
from xpnn.schedules import get_schedule

NETS = {
    "small": ([xpnn.Dense(3)], xpnn.SGD(0.1, momentum=0.9)),
    "mlp": ([xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(3)], xpnn.Adam(0.01)),
    "statistics and masks": (
        [xpnn.Dense(8), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dropout(0.4), xpnn.Dense(3)],
        xpnn.SGD(0.1, momentum=0.9, clip_norm=1.0),
    ),
    "an average": ([xpnn.Dense(3)], EMA(xpnn.Adam(0.01, l2=1e-3))),
    "slow weights": ([xpnn.Dense(3)], Lookahead(xpnn.SGD(0.1), k=3)),
}
RNG = np.random.default_rng(5)
DATA = [(RNG.standard_normal((8, 6)).astype("f4"), RNG.integers(0, 3, 8)) for _ in range(20)]


class Run:
    """A trainer on its own imaginary device."""

    def __init__(self, recorded, net="mlp", seed=0, kind=DeviceBackend):
        self.be = kind(capture=recorded)
        layers, optimizer = NETS[net]
        self.model = xpnn.Model(layers, (6,), backend=self.be, seed=seed)
        self.trainer = xpnn.Trainer(self.model, "softmax_cross_entropy", optimizer, schedule="cosine")
        self.trainer.total = 40
        self.values = []

    def step(self, i, n=8):
        """On batch i; then its memory goes to somebody else."""
        x, y = (self.be.asarray(a[:n]) for a in DATA[i % len(DATA)])
        self.values.append(self.trainer.step(x, y))
        rubbish(x.a)
        y.a[...] = -1
        return self

    @property
    def launches(self):
        return self.trainer.compiled_step.recorder.log.count("launch")

    @property
    def numbers(self):
        """All losses so far, weights, statistics and state, as bytes."""
        state = dict(self.trainer.state) | {
            "theta": self.model.theta,
            "phi": self.model.phi,
        }
        return [a.a.tobytes() for a in self.values], {name: a.a.tobytes() for name, a in state.items()}


class NarrowBackend(DeviceBackend):
    """Products of operands that are rounded to half precision, once for several."""

    def operand(self, a):
        return a if a.dtype == np.float16 else self.xp.astype(a, np.float16)

    def matmul(self, a, b, into=None):
        a, b = (self.xp.astype(self.operand(m), self.dtype) for m in (a, b))
        return super().matmul(a, b, into)


def both(net="mlp", seed=0, kind=DeviceBackend):
    return tuple(Run(recorded, net, seed, kind) for recorded in (True, False))


@pytest.mark.parametrize("steps", [1, 2, 17])
@pytest.mark.parametrize("kind", [DeviceBackend, WritingBackend])
@pytest.mark.parametrize("net", NETS)
def test_recorded_steps_are_the_steps(net, kind, steps):
    """New data for each, a new learning rate for each, and every loss is kept to the end."""
    recorded, plain = Run(True, net, kind=kind), Run(False, net)
    for i in range(steps):
        assert recorded.step(i).numbers == plain.step(i).numbers
    assert recorded.launches == steps - 1  # the first is no recording
    assert len(recorded.trainer.compiled_step.known) == 1


def test_the_last_batch_of_an_epoch_shares_the_buffers():
    recorded, plain = both("statistics and masks")
    for i in range(17):
        n = 5 if i % 3 == 2 else 8
        assert recorded.step(i, n).numbers == plain.step(i, n).numbers
    graphs = list(recorded.trainer.compiled_step.known.values())
    assert len(graphs) == 2
    assert graphs[0].buffers is graphs[1].buffers


def test_a_step_that_must_not_be_made_is_not():
    """A loss that is not finite: nothing changes, in the graph's own buffers neither."""
    x, y = DATA[0]
    found = []
    for kind, recorded in ((WritingBackend, True), (DeviceBackend, False)):
        run = Run(recorded, kind=kind)
        for i in range(4):
            run.step(i)
        theta = run.model.theta.a.tobytes()
        value = run.trainer.step(run.be.asarray(x * np.inf), run.be.asarray(y))
        assert np.isnan(value.a)
        assert run.model.theta.a.tobytes() == theta
        run.step(5)
        assert run.model.theta.a.tobytes() == theta
        found.append(run.numbers)
    assert found[0] == found[1]


def test_what_comes_back_costs_nothing_to_hand_in():
    recorded, _ = both()
    for i in range(3):
        recorded.step(i)
    before, theta = recorded.be.board.calls["copy"], recorded.model.theta
    recorded.trainer.schedule = get_schedule(None)
    recorded.step(3)
    recorded.step(4)
    assert recorded.model.theta is theta
    graph = next(iter(recorded.trainer.compiled_step.known.values()))
    assert set(graph.inputs) == {(3,), (4,)}  # x and y
    # Two steps: those two, and the loss; the changed learning rate once.
    assert recorded.be.board.calls["copy"] - before == 2 * 3 + 1


def test_two_models_at_once():
    first, second = both(seed=1), both("an average", seed=2)
    for i in range(9):
        for recorded, plain in (first, second):
            assert recorded.step(i).numbers == plain.step(i).numbers
    recorders = [recorded.trainer.compiled_step.recorder for recorded, _ in (first, second)]
    for recorder in recorders:  # each waits for what ran on another stream before it
        assert [what for what in recorder.log if what in ("follow", "launch")] == ["follow", "launch"] * 8


@pytest.mark.parametrize("kind", [DeviceBackend, NarrowBackend])
def test_other_weights_in_their_place(kind):
    """Restored ones, foreign ones, and the average changing places with the weights; also where products take others
    than the weights themselves, made of them in every step.
    """
    runs = both("an average", kind=kind)
    kept = [run.model.snapshot() for run in runs]

    def restore(run, snapshot):
        run.model.restore(snapshot)

    def replace(run, _):
        run.model.theta = run.be.asarray(np.linspace(-1, 1, run.model.theta.shape[0]), run.be.dtype)

    def swap(run, _):
        run.model.theta, run.trainer.state["average"] = run.trainer.state["average"], run.model.theta

    def same(run, _):
        run.model.theta = run.trainer.state["average"]

    for i, change in enumerate([None, None, None, restore, None, replace, swap, None, swap, same, None]):
        for run, snapshot in zip(runs, kept, strict=True):
            if change is not None:
                change(run, snapshot)
            run.step(i)
        if change is not same:  # one array in two places: as it is, no step may write to it
            assert runs[0].numbers == runs[1].numbers
    assert runs[0].launches == 10


def captured(step, donated=(), resident=(), dtype="float32"):
    be = DeviceBackend(dtype, capture=True)
    return be, be.compile(lambda *args: step(be, *args), donated, resident)


def on(be, *numbers):
    return be.asarray(np.array(numbers), be.dtype)


def test_one_array_given_away_twice():
    be, step = captured(lambda be, a, b: (a + b, a + 1, b * 2), donated=(0, 1))
    for wanted in ([2, 4], [3, 6], [4, 8]):
        a = on(be, *(w / 2 for w in wanted))
        total, more, twice = step(a, a)
        assert total.a.tolist() == wanted
        assert more.a.tolist() == [w / 2 + 1 for w in wanted]
        assert twice.a.tolist() == wanted


def test_outputs_in_each_others_place():
    """New values that lie in the old ones: all are read before any is written."""
    be, step = captured(lambda be, a, b, c: (a, b, c + 0, a[::-1]), donated=(0, 1, 2))
    a, b, c = on(be, 1, 2), on(be, 3, 4), on(be, 5, 6)
    wanted = [v.a.tolist() for v in (a, b, c)]
    for _ in range(5):
        old, a, b, c = step(a, b, c)
        before, wanted = wanted, [wanted[1], wanted[2], wanted[0][::-1]]
        assert old.a.tolist() == before[0]
        assert [v.a.tolist() for v in (a, b, c)] == wanted


def test_a_step_that_writes_into_what_it_was_given():
    be = DeviceBackend(capture=True)

    def in_place(vector, x):
        total = vector + x
        be.board.act(lambda: np.copyto(vector.a, total.a))
        return x * 2, vector

    step = be.compile(in_place, donated=(0,))
    vector, wanted = on(be, 1, 2), np.array([1.0, 2.0])
    for k in range(6):
        twice, vector = step(vector, on(be, k, -k))
        wanted += [k, -k]
        assert vector.a.tolist() == wanted.tolist()
        assert twice.a.tolist() == [2 * k, -2 * k]


def test_what_comes_out_as_it_went_in():
    be, step = captured(lambda be, phi, x: (phi, x, x[1:], 5, None, {"deep": (phi,)}))
    for k in range(4):
        phi, x = on(be, k, k), on(be, 1, k)
        same, again, part, five, nothing, deep = step(phi, x)
        assert same is phi
        assert again is x
        assert part.a.tolist() == [k]
        assert (five, nothing) == (5, None)
        assert deep["deep"] == (phi,)


def test_resident_arrays_are_read_where_they_are():
    be, step = captured(lambda be, x, rows: be.take_rows(x, rows) * 2, resident=(0,))
    data, rows = on(be, 1, 2, 3), be.asarray(np.array([2, 0]))
    for _ in range(3):
        assert step(data, rows).a.tolist() == [6, 2]
    copies = be.board.calls["copy"]
    data.a[...] = [7, 8, 9]  # by their owner
    assert step(data, rows).a.tolist() == [18, 14]
    assert be.board.calls["copy"] == copies + 2  # rows in, result out
    other = on(be, 4, 5, 6)
    for _ in range(3):
        assert step(other, rows).a.tolist() == [12, 8]
        assert step(data, rows).a.tolist() == [18, 14]
    assert len(step.known) == 2
    held = weakref.ref(data)
    del data
    gc.collect()
    assert held() is None  # what comes to lie there will be read there


def test_whole_numbers_structure_and_shape_each_have_a_graph():
    be, step = captured(lambda be, n, tree: tree["a"] * n)
    a = on(be, 1, 2)
    for _ in range(3):
        for n, tree in [(1, {}), (3, {}), (1, {"b": None}), (True, {})]:
            for order in ({"a": a} | tree, tree | {"a": a}):
                assert step(n, order).a.tolist() == [n, 2 * n]
        assert step(1, {"a": on(be, 4)}).a.tolist() == [4]
        assert step(0, {"a": a}).a.tolist() == [0, 0]
    assert len(step.known) == 6  # the order of keys makes no difference
    assert all(isinstance(known, Graph) for known in step.known.values())


def test_only_so_many_graphs():
    be, step = captured(lambda be, x: x + 1)
    step(on(be, 0))
    step(on(be, 0))
    first = weakref.ref(next(iter(step.known.values())))
    for n in range(2, capture.GRAPHS + 1):
        step(on(be, *range(n)))
    step(on(be, 0))  # used again: not the oldest any more
    step(on(be, *range(100)))
    gc.collect()
    assert first() is not None
    for n in range(2, capture.GRAPHS + 2):
        step(on(be, *range(200 + n)))
    gc.collect()
    assert first() is None
    assert len(step.known) == capture.GRAPHS


def test_a_step_called_by_threads():
    be, step = captured(lambda be, x: x * 2 + 1)
    step(on(be, *range(50)))
    step(on(be, *range(50)))
    wrong = []

    def work(k):
        for i in range(50):
            x = np.arange(50.0) * k + i
            if step(on(be, *x)).a.tolist() != (x * 2 + 1).tolist():
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


class Visited:
    """A recorder: every thread that calls it is inside, and the first stays where `at` says."""

    def __init__(self, recorder, inside):
        self.recorder, self.inside, self.at = recorder, inside, ""

    def __getattr__(self, name):
        f = getattr(self.recorder, name)

        def visited(*args):
            self.inside.visit(stay=name == self.at)
            return f(*args)

        return visited


@pytest.mark.parametrize(("calls", "at"), [(0, "step"), (1, "room"), (2, "copy")])
def test_one_thread_at_a_time(calls, at):
    """A second one waits while the first runs the step as it is, records it or replays it."""
    inside = Inside()

    def double(be, x):
        inside.visit(stay=at == "step")
        return x * 2

    be, step = captured(double)
    x, step.recorder = on(be, 3, 4), Visited(step.recorder, inside)
    for _ in range(calls):
        step(x)
    step.lock, step.recorder.at = inside.watched(step.lock), at

    def call():
        assert step(x).a.tolist() == [6, 8]

    inside.meet(call, call)


# What cannot be recorded, and what goes wrong


def test_what_cannot_be_recorded_goes_on_and_is_reported_once():
    be, step = captured(lambda be, x: x * float(be.xp.sum(x)))
    assert step(on(be, 1, 2)).a.tolist() == [3, 6]
    with pytest.warns(
        RuntimeWarning, match="without a CUDA graph, operation by operation: HostCopyError: float"
    ) as caught:
        assert step(on(be, 2, 2)).a.tolist() == [8, 8]
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in ([1, 2], [1, 2, 3], [1, 2, 3]):  # another shape is not caught again
            assert step(on(be, *x)).a.tolist() == (np.array(x) * sum(x)).tolist()
    assert set(step.known.values()) == {capture.REFUSED}
    assert gc.isenabled()


def test_a_warning_that_is_an_error_loses_nothing():
    recorded, plain = both()
    recorded.step(0)
    plain.step(0)
    recorded.be.board.fail_at = 20
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeWarning):
            recorded.step(1)
    for i in range(1, 5):
        assert recorded.step(i).numbers == plain.step(i).numbers


def test_our_own_errors_are_answers():
    def step(be, x):
        raise ShapeError("no")

    be, step = captured(step)
    for _ in range(3):
        with pytest.raises(ShapeError):
            step(on(be, 1))
    assert len(step.known) <= 1


def operations():
    """How many operations there are in a recording of one step, trial and all."""
    run, _ = both("small")
    run.step(0)
    before = run.be.board.calls.total()
    run.step(1)
    return run.be.board.calls.total() - before


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_fault_at_every_point_of_recording(kind):
    """The step goes on as it is, or the interruption goes through; collector, recorder and model are as they were."""
    total = operations()
    assert total > 40
    for k in range(
        1, total - 1
    ):  # the first makes the new learning rate before the step, the last copies the loss after
        recorded, plain = both("small")
        recorded.step(0)
        plain.step(0)
        recorded.be.board.fail_at, recorded.be.board.fault = k, kind
        if kind is KeyboardInterrupt:
            theta = recorded.model.theta.a.tobytes()
            with pytest.raises(KeyboardInterrupt):
                recorded.step(1)
            assert recorded.model.theta.a.tobytes() == theta
            recorded.step(1)
        else:
            with pytest.warns(RuntimeWarning, match="the device failed in"):
                recorded.step(1)
        log = recorded.trainer.compiled_step.recorder.log
        assert log.count("begin") == log.count("end")
        assert log.count("enter") == log.count("exit")
        assert recorded.be.board.tape is None
        assert gc.isenabled()
        assert recorded.numbers == plain.step(1).numbers
        assert recorded.step(2).numbers == plain.step(2).numbers


@pytest.mark.parametrize("where", ["room", "begin", "end", "enter"])
def test_a_fault_of_the_recorder(where):
    recorded, plain = both()
    recorded.step(0)
    plain.step(0)
    recorded.trainer.compiled_step.recorder.fail = where
    with pytest.warns(RuntimeWarning, match=f"RuntimeError: {where} failed"):
        recorded.step(1)
    assert recorded.be.board.tape is None
    assert gc.isenabled()
    assert recorded.numbers == plain.step(1).numbers
    assert recorded.step(2).numbers == plain.step(2).numbers


def test_the_first_error_is_raised_when_ending_fails_too():
    recorded, _ = both()
    recorded.step(0)
    recorded.trainer.compiled_step.recorder.fail = "end"
    recorded.be.board.fail_at = operations() - 5
    with pytest.warns(RuntimeWarning, match="the device failed in"):
        recorded.step(1)


@pytest.mark.parametrize("where", ["like", "launch"])
def test_a_fault_of_a_replay_is_raised_and_changes_nothing(where):
    recorded, plain = both()
    for i in range(2):
        recorded.step(i)
        plain.step(i)
    recorded.trainer.compiled_step.recorder.fail = where
    with pytest.raises(RuntimeError, match=f"{where} failed"):
        recorded.step(2)
    recorded.trainer.compiled_step.recorder.fail = None
    for i in range(2, 5):
        assert recorded.step(i).numbers == plain.step(i).numbers


def test_a_host_copy_is_refused_while_recording():
    be = DeviceBackend(capture=True)
    recorder = be.compile(lambda: None).recorder
    room = recorder.room()
    room.begin()
    for read in (float, int, bool, np.asarray, be.to_numpy):
        with pytest.raises(HostCopyError):
            read(be.xp.ones(()))
    with pytest.raises(HostCopyError):
        be.asarray(np.ones(3))
    room.end()


def test_whole_training_is_the_same():
    """fit with validation, a held-out share, a schedule and a short last batch; then scores."""
    found = []
    for recorded in (True, False):
        be = DeviceBackend(capture=recorded)
        model = xpnn.Model(NETS["statistics and masks"][0], (6,), backend=be, seed=3)
        x, y = np.concatenate([x for x, _ in DATA]), np.concatenate([y for _, y in DATA])
        history = model.fit(x, y, epochs=4, batch_size=32, validation=0.1, verbose=0, schedule="cosine")
        rows = [(row.train_loss, row.valid_loss) for row in history.rows]
        found.append(
            (rows, model.snapshot()["theta"].tobytes(), model.evaluate(x, y), model.predict(x).tolist())
        )
    assert found[0] == found[1]
