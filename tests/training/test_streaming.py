"""Data that is too large for the device: the same batches in the same order, a few of them there at a time."""

from types import SimpleNamespace

import numpy as np
import pytest
from imaginary_device import DeviceBackend

import xpnn
from xpnn import validation
from xpnn.backends.cuda.uploads import CudaLane, overlapped
from xpnn.errors import DataError

RNG = np.random.default_rng(2)
X, Y = RNG.standard_normal((70, 6)).astype(np.float32), RNG.integers(0, 3, 70)
PIXELS = RNG.integers(0, 256, (70, 6)).astype(np.uint8)


class Small(DeviceBackend):
    """An imaginary device with room for so many bytes of data; `largest` is what it was given at once."""

    room, largest = 10**9, 0

    def fits(self, size):
        return size <= self.room

    def from_host(self, a):
        self.largest = max(self.largest, a.nbytes)
        return super().from_host(a)


@pytest.fixture
def model():
    """make(room, layers): a model on such a device."""

    def make(room, *layers, shape=(6,)):
        be = Small(scoped=True, capture=True)
        be.room = room
        net = (
            layers[0] if shape != (6,) else list(layers) or [xpnn.Dense(5), xpnn.Dropout(0.3), xpnn.Dense(3)]
        )
        return xpnn.Model(net, shape, seed=0, backend=be)

    return make


@pytest.mark.parametrize(
    "more",
    [{}, {"validation": 0.2}, {"sample_weight": np.linspace(0, 1, 70)}, {"validation": (X, Y)}],
    ids=["plain", "held out", "weighted", "validated"],
)
@pytest.mark.parametrize("optimizer", [xpnn.Adam(0.01), xpnn.LBFGS()], ids=["batches", "whole"])
def test_a_run_is_the_same(model, optimizer, more):
    found = []
    for room in (10**9, 1000):
        net = model(room)
        history = net.fit(X, Y, optimizer=optimizer, epochs=3, batch_size=16, verbose=0, **more)
        rows = [(row.train_loss, row.valid_loss) for row in history.rows]
        found.append((rows, net.theta.a.tobytes(), net.evaluate(X, Y), net.predict(X).tolist()))
    assert found[0] == found[1]


def test_no_more_than_a_batch_is_there_at_once(model):
    net = model(1000)
    before = net.backend.largest
    net.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    assert before <= net.backend.largest <= max(before, 70 * 8, 16 * 6 * 4)  # ids, an order, a batch
    everything = model(10**9)
    everything.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    assert everything.backend.largest == X.nbytes


def test_bytes_stay_bytes(model):
    found = []
    for room in (10**9, 10):
        net = model(room, xpnn.Rescale(1 / 255), xpnn.Dense(3))
        net.fit(PIXELS, Y, epochs=2, batch_size=16, verbose=0)
        found.append(net.snapshot()["theta"])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5, atol=1e-6)


def test_other_numbers_take_the_models_dtype_batch_by_batch(model):
    found = []
    for room in (10**9, 10):
        net = model(room)
        net.fit(X.astype(np.float64), Y, epochs=1, batch_size=16, verbose=0)
        assert net.theta.dtype == np.float32
        found.append(net.snapshot()["theta"].tobytes())
    assert found[0] == found[1]


def test_several_inputs_of_which_one_is_too_large(model):
    nodes = {
        "a": (xpnn.Dense(4), "left"),
        "b": (xpnn.Dense(4), "right"),
        "both": (xpnn.Multiply(), ("a", "b")),
        "out": (xpnn.Dense(3), "both"),
    }
    few, found = RNG.standard_normal((70, 2)).astype(np.float32), []
    for room in (10**9, 1000):
        net = model(
            room, xpnn.Graph(inputs=("left", "right"), nodes=nodes, outputs="out"), shape=((6,), (2,))
        )
        net.fit((X, few), Y, epochs=2, batch_size=16, verbose=0)
        found.append((net.theta.a.tobytes(), net.predict((X, few)).tolist()))
    assert found[0] == found[1]


def test_a_run_goes_on_inside_an_epoch(model, tmp_path):
    class Stop(xpnn.training.Callback):
        def step(self, trainer):
            if trainer.steps == 7:
                trainer.save_state(tmp_path / "a.state")

    def run(room, **more):
        net = model(room)
        net.fit(X, Y, epochs=3, batch_size=16, verbose=0, **more)
        return net.theta.a.tobytes()

    whole = run(1000, callbacks=[Stop()])
    assert run(1000, resume=tmp_path / "a.state") == whole
    assert run(10**9, resume=tmp_path / "a.state") == whole


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_every_part_is_looked_through(model, monkeypatch, bad):
    monkeypatch.setattr(validation, "LOOKED_THROUGH", 100)
    x = X.copy()
    x[41, 3] = bad
    with pytest.raises(DataError, match=r"x\[41\] holds NaN or infinity"):
        model(1000).fit(x, Y, verbose=0)


def test_only_what_is_read_is_read(model, tmp_path):
    """A file mapped into memory."""
    np.save(tmp_path / "x.npy", X)
    net, other = model(1000), model(10**9)
    net.fit(np.load(tmp_path / "x.npy", mmap_mode="r"), Y, epochs=1, verbose=0)
    other.fit(X, Y, epochs=1, verbose=0)
    assert net.theta.a.tobytes() == other.theta.a.tobytes()


# The overlap


class LoggedLane:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def send(self, batch):
        self.batch = batch
        self.log.append(f"{self.name} sends {batch}")

    def receive(self):
        self.log.append(f"{self.name} gives {self.batch}")
        return self.batch

    def release(self):
        self.log.append(f"{self.name} is free")


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_every_batch_comes_in_its_turn(n):
    log = []
    assert list(overlapped(range(n), [LoggedLane("A", log), LoggedLane("B", log)])) == list(range(n))


def test_the_next_is_sent_while_one_is_used():
    log = []
    for batch in overlapped(range(3), [LoggedLane("A", log), LoggedLane("B", log)]):
        log.append(f"use {batch}")
    assert log == [
        "A sends 0", "B sends 1", "A gives 0", "use 0", "A is free", "A sends 2", "B gives 1", "use 1", "B is free",
        "A gives 2", "use 2", "A is free",
    ]  # fmt: skip


class Clock:
    """Streams that run as late as they may: a stream's work is done when somebody waits for an event behind it."""

    def __init__(self):
        self.log = []
        clock = self

        class Event:
            def __init__(self, disable_timing):
                assert disable_timing
                self.stream, self.place = None, 0

            def record(self, stream):
                self.stream, self.place = stream, len(stream.work)

            def synchronize(self):
                if self.stream is not None:
                    self.stream.run(self.place)

        class Stream:
            def __init__(self, name, non_blocking=False):
                self.name, self.work = name, []

            def wait_event(self, event):
                if event.stream is not None:
                    place = event.place
                    self.work.append(lambda: event.stream.run(place))

            def run(self, place):
                for i in range(min(place, len(self.work))):
                    work, self.work[i] = self.work[i], lambda: None
                    work()

        class Buffer(np.ndarray):
            def set(self, host, stream):
                stream.work.append(lambda: np.copyto(self, host))

        self.main, self.copies = Stream("main"), Stream("copies")
        cuda = SimpleNamespace(Event=Event, get_current_stream=lambda: clock.main)
        self.cupy = SimpleNamespace(cuda=cuda, empty=lambda shape, dtype: np.zeros(shape, dtype).view(Buffer))


def test_the_first_transfer_waits_until_the_memory_is_free():
    clock, freed = Clock(), []
    lane = CudaLane(clock.cupy, np.zeros, clock.copies)
    clock.main.work.append(lambda: freed.append(lane.device.tolist()))
    lane.send(np.ones(3))
    clock.copies.run(10**6)
    assert freed == [[0, 0, 0]]


@pytest.mark.parametrize("count", [1, 2])
def test_transfers_wait_for_each_other_and_no_longer(count):
    """Batches that are used late, by a stream that is behind, are still what they were."""
    clock, seen = Clock(), []
    lanes = [CudaLane(clock.cupy, np.zeros, clock.copies) for _ in range(count)]
    sizes = [4, 4, 4, 4, 3]
    for k, batch in enumerate(overlapped((np.full(n, float(k)) for k, n in enumerate(sizes)), lanes)):
        clock.main.work.append(lambda k=k, batch=batch: seen.append((k, batch.tolist())))
    clock.main.run(10**6)
    assert seen == [(k, [float(k)] * n) for k, n in enumerate(sizes)]
