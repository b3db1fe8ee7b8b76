"""What is done beside other processes: by made-up clocks and files, never by timing."""

import pytest

from xpnn.backends.cpu.contention import fastest
from xpnn.system import idle_seconds


class Work:
    """Work that takes seconds[number of threads], of which the first `odd` calls take ten times as long.

    cores: how many it gets.
    """

    def __init__(self, seconds, odd=0, cores=8):
        self.seconds, self.odd, self.now, self.threads = seconds, odd, 0.0, max(seconds)
        self.cores, self.used = cores, 0.0

    def use(self, threads):
        self.threads = threads

    def __call__(self):
        took = self.seconds[self.threads] * (10 if self.odd > 0 else 1)
        self.now += took
        self.used += took * min(self.threads, self.cores)
        self.odd -= 1

    def fastest(self):
        found = fastest(max(self.seconds), self.use, self, lambda: self.now, lambda: self.used)
        assert self.threads == found, "it is in use afterwards"
        return found


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [
        ({1: 7e-3, 2: 4.3e-3}, 2),
        ({1: 10.5e-3, 2: 34e-3}, 1),
        ({1: 1e-3, 2: 1.1e-3}, 2),  # no clear gain: the number of a quiet machine
        ({1: 4e-3, 2: 2e-3, 4: 9e-3, 8: 20e-3}, 2),
        ({1: 3e-3}, 1),
    ],
)
def test_the_number_of_threads_that_is_fastest_at_the_moment(seconds, wanted):
    assert Work(seconds).fastest() == wanted


@pytest.mark.parametrize(("seconds", "wanted"), [({1: 9e-3, 2: 10e-3}, 1), ({1: 10e-3, 2: 7e-3}, 2)])
def test_threads_without_cores_must_be_clearly_faster(seconds, wanted):
    assert Work(seconds, cores=1).fastest() == wanted


def test_one_slow_measurement_decides_nothing():
    assert Work({1: 7e-3, 2: 4.3e-3}, odd=5).fastest() == 2


STAT = "cpu  9 9 9 900 9\ncpu0 1 0 1 {} 5 0\ncpu1 1 0 1 250 5 0\ncpu10 1 0 1 7777 5\nintr 5\n"


@pytest.mark.parametrize(
    ("text", "wanted"), [(STAT.format(150), 4.0), (STAT.format("x"), None), (None, None)]
)
def test_the_idle_seconds_of_the_cores_of_this_process(tmp_path, monkeypatch, text, wanted):
    monkeypatch.setattr("xpnn.system.usable", lambda: {0, 1})
    monkeypatch.setattr("os.sysconf", lambda name: 100)
    path = tmp_path / "stat"
    if text is not None:
        path.write_text(text)
    assert idle_seconds(str(path)) == wanted


def test_two_numbers_of_threads_take_turns_twice():
    """And a smaller number must win once more, against the number of a quiet machine."""
    work, used = Work({1: 2e-3, 2: 4e-3, 4: 8e-3}), []
    clock, spent = (lambda: work.now), (lambda: work.used)
    assert fastest(4, lambda n: (used.append(n), work.use(n)), work, clock, spent) == 1
    assert used == [4, 2, 4, 2, 2, 1, 2, 1, 4, 1, 4, 1, 1]


@pytest.mark.parametrize(
    ("fewer", "cores", "wanted"),
    [(0.79, 2, 1), (0.81, 2, 2), (1.24, 1, 1), (1.26, 1, 2), (0.81, 1.6, 2), (1.2, 1.4, 1)],
)
def test_how_much_faster_fewer_threads_must_be(fewer, cores, wanted):
    """By a fifth; where they get less than three quarters of their cores they may be slower, by less than a quarter."""
    assert Work({1: fewer, 2: 1.0}, cores=cores).fastest() == wanted
