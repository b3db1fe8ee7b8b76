"""Batches: shuffled, weighted, balanced, read ahead by a thread, from files larger than memory, resumed anywhere."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from tolerances import SIGMAS

import xpnn
from xpnn.data import Batches, read_npy
from xpnn.errors import DataError, UsageError

X, Y = np.arange(46.0).reshape(23, 2), np.arange(23) % 3


def collected(batches):
    return [(b.epoch, b.number, b.x.tolist(), b.y.tolist()) for b in batches]


@pytest.mark.parametrize("ahead", [0, 1, 3, 100])
@pytest.mark.parametrize("given", [{}, {"weights": np.arange(23)}, {"balanced": True}])
def test_started_anywhere_the_rest_is_the_same(ahead, given):
    batches = Batches(X, Y, 5, seed=4, ahead=ahead, **given)
    whole = collected(batches.epochs(3))
    assert whole == collected(Batches(X, Y, 5, seed=4, **given).epochs(3))
    assert [row[:2] for row in whole] == [(e, b) for e in (1, 2, 3) for b in range(5)]
    assert len(batches) == 5
    for i, (epoch, number, *_) in enumerate(whole):
        assert collected(batches.epochs(3, start=(epoch, number))) == whole[i:]
    assert collected(batches.epochs(3, start=(2, 5))) == whole[10:]
    assert collected(batches.epochs(1, start=(2, 0))) == []


def test_every_epoch_visits_every_sample_once_in_its_own_order():
    def visited(epoch):
        return np.concatenate([b.x[:, 0] for b in Batches(X, Y, 4).epochs(epoch, (epoch, 0))]).tolist()

    assert visited(1) != visited(2)
    assert sorted(visited(1)) == sorted(visited(2)) == X[:, 0].tolist()
    for batch in Batches(X, Y, 4).epochs(1):
        assert np.array_equal(Y[(batch.x[:, 0] / 2).astype(int)], batch.y)


def test_weights_and_balance_are_kept():
    n = 6000
    y = np.repeat([0, 1, 2], [n - 600, 500, 100])
    for given, shares in (
        ({"balanced": True}, [1 / 3, 1 / 3, 1 / 3]),
        ({"weights": np.array([0.0, 1.0, 10.0])[y]}, [0, 500 / 1500, 1000 / 1500]),
    ):
        drawn = np.concatenate([b.y for b in Batches(y, y, 100, **given).epochs(2)])
        for found, share in zip(np.bincount(drawn, minlength=3) / (2 * n), shares, strict=True):
            assert abs(found - share) <= SIGMAS * np.sqrt(share * (1 - share) / (2 * n))


class Counting:
    """An array that counts the rows it is asked for, and fails at one of them."""

    def __init__(self, n, bad=None):
        self.n, self.bad, self.read, self.threads = n, bad, 0, set()

    def __len__(self):
        return self.n

    def __getitem__(self, rows):
        self.read += len(rows)
        self.threads.add(threading.current_thread().name)
        if self.bad in rows:
            raise OSError(f"row {self.bad} cannot be read")
        return np.zeros((len(rows), 2))


def names():
    return {t.name for t in threading.enumerate() if t.name.startswith("xpnn-read-ahead")}


def test_only_the_rows_of_a_batch_are_read_and_no_further_ahead():
    x = Counting(1000)
    batches = Batches(x, np.zeros(1000), 10, ahead=3).epochs(1)
    assert x.read == 0
    for i in range(1, 6):
        next(batches)
        assert x.read <= 10 * (i + 3)
    assert x.threads == {"xpnn-read-ahead_0"}
    batches.close()
    assert not names()


def test_an_error_of_the_thread_reaches_the_loop_and_no_thread_stays():
    x = Counting(100, bad=int(Batches(X, Y).order(1)[0]))
    with pytest.raises(OSError, match="cannot be read"):
        list(Batches(x, np.zeros(100), 10, ahead=2).epochs(2))
    assert not names()
    for _ in Batches(Counting(100), np.zeros(100), 10, ahead=2).epochs(2):
        break
    list(Batches(Counting(100), np.zeros(100), 10, ahead=2).epochs(2))
    assert not names()


def test_a_users_loop_trains_as_fit_does(tmp_path):
    """From memory-mapped files, with a thread: the same weights as `Trainer.fit`, bit for bit."""
    x, y, _, _ = xpnn.data.mnist()
    np.save(tmp_path / "x.npy", x[:500])
    np.save(tmp_path / "y.npy", y[:500])

    def trainer():
        layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)]
        return xpnn.Trainer(xpnn.Model(layers, (28, 28, 1), seed=5))

    ours, fitted = trainer(), trainer()
    for batch in Batches(
        read_npy(tmp_path / "x.npy"), read_npy(tmp_path / "y.npy"), 64, seed=5, ahead=2
    ).epochs(2):
        ours.step(batch.x, batch.y)
    fitted.fit(x[:500], y[:500], epochs=2, batch_size=64)
    assert np.array_equal(ours.model.theta, fitted.model.theta)


LARGER = """
import resource, sys
import numpy as np
from xpnn.data import Batches, read_npy
x = read_npy(sys.argv[1])
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before, total = used(), 0.0
limit = 96 << 20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))  # private memory: mapped files do not count
for batch in Batches(x, np.zeros(len(x)), 16).epochs(1):
    total += float(batch.x[0, 0])
    assert type(batch.x) is np.ndarray
try:
    np.array(x)
except MemoryError:
    print("too large to copy", total)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on memory")
def test_an_array_larger_than_memory(tmp_path):
    """512 MiB, mostly a hole in the file, under a limit of 96 MiB of memory of its own."""
    path, shape = tmp_path / "x.npy", (512, 1 << 20)
    np.lib.format.open_memmap(path, "w+", np.uint8, shape).flush()
    done = subprocess.run([sys.executable, "-c", LARGER, str(path)], capture_output=True, text=True)
    assert done.stdout.strip() == "too large to copy 0.0", done.stderr


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"batch_size": 0}, UsageError),
        ({"ahead": -1}, UsageError),
        ({"weights": np.ones(22)}, DataError),
        ({"weights": -np.ones(23)}, DataError),
        ({"weights": np.zeros(23)}, DataError),
        ({"weights": np.full(23, np.nan)}, DataError),
        ({"weights": np.ones(23), "balanced": True}, UsageError),
        ({"y": Y[:5]}, DataError),
        ({"x": X[:0], "y": Y[:0]}, DataError),
        ({"y": X, "balanced": True}, DataError),
    ],
)
def test_what_cannot_be_is_refused(given, error):
    with pytest.raises(error):
        Batches(**({"x": X, "y": Y} | given))


@pytest.mark.parametrize("start", [(0, 0), (1, -1), (1, 2)])
def test_a_start_outside_of_the_epochs_is_refused(start):
    with pytest.raises(UsageError, match="start="):
        next(Batches(X, Y).epochs(1, start))
