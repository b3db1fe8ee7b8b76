"""The threads of BLAS in predictions, by made-up clocks."""

import math
import threading

import numpy as np
import pytest

import xpnn
from xpnn.backends.cpu.predictions import Samples, SingleSamples, at_most, usual_threads
from xpnn.backends.cpu.threads import blas_threads


def blas_count():
    from threadpoolctl import threadpool_info

    return next(pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"])


def test_after_a_wait_single_samples_have_one_thread_for_a_while():
    now, seen = [0.0], []
    guard = SingleSamples(lambda: now[0])

    def product(seconds):
        seen.append(blas_count())
        now[0] += seconds
        return "y"

    with blas_threads(2):
        for seconds in (5e-5, 4e-3, 5e-5, 4e-3):
            assert guard(product, seconds) == "y"
        assert seen == [2, 2, 1, 1]
        assert blas_count() == 2
        now[0] += 1
        guard(product, 4e-3)  # two threads again, and it waits again: for twice as long
        now[0] += 1.5
        guard(product, 5e-5)
        now[0] += 1
        guard(product, 5e-5)
    assert seen[4:] == [2, 1, 2]


def test_what_takes_long_by_itself_has_all_threads():
    now, seen = [0.0], []
    guard = SingleSamples(lambda: now[0])
    with blas_threads(2):
        for seconds in (0.02, 0.03, 0.02):
            guard(lambda s: (seen.append(blas_count()), now.__setitem__(0, now[0] + s)), seconds)
    assert seen == [2, 2, 2]


def test_of_two_python_threads_the_last_sets_the_number_back():
    entered, leave = threading.Event(), threading.Event()

    def other():
        with at_most(1):
            entered.set()
            leave.wait(10)

    with blas_threads(2):
        thread = threading.Thread(target=other)
        with at_most(1):
            thread.start()
            assert entered.wait(10)
        assert blas_count() == 1
        leave.set()
        thread.join()
        assert blas_count() == 2


class Watching(xpnn.ReLU):
    """Notes the number of threads in each pass."""

    def forward(self, cx, p, x):
        self.seen.append(blas_count())
        return super().forward(cx, p, x)


@pytest.mark.parametrize(("usable", "wanted"), [(1, 1), (2, 2), (8, 3)])
def test_predictions_keep_to_the_cores_that_the_quota_leaves(monkeypatch, usable, wanted):
    monkeypatch.setattr("xpnn.backends.cpu.predictions.usable_threads", lambda: usable)
    layer = Watching()
    object.__setattr__(layer, "seen", [])
    model = xpnn.Model([xpnn.Dense(3), xpnn.Tanh(), layer], (5,), seed=0)
    with blas_threads(3):
        model.forward(np.ones((6, 5), np.float32))
        assert blas_count() == 3, "those of before, afterwards"
    assert set(layer.seen) == {wanted}


def test_what_counts_as_a_wait_and_for_how_long():
    """Longer than a millisecond, and than five times the best so far; twice as long where the last has just ended."""
    guard = SingleSamples(lambda: 0.0)
    for took, waited in (
        (2**-12, False),  # the best: a millisecond is 4.1 times as long
        (1e-3, False),
        (5 * 2**-12, False),
        (5.01 * 2**-12, True),
    ):
        guard.until, guard.wait = -math.inf, 8.0
        guard.judge(0.0, took)
        assert (guard.until > 0) is waited, took
    assert (guard.best, guard.wait, guard.until) == (2**-12, 1.0, 5.01 * 2**-12 + 1)
    quick = SingleSamples(lambda: 0.0)
    quick.judge(0.0, 2**-13)
    quick.judge(0.0, 1e-3)
    assert quick.until == -math.inf
    quick.judge(0.0, 1.01e-3)
    assert quick.until == 1.00101
    waits = []
    for gap in (0.0, 0.5, 0.99, 0.0, 0.0, 0.0, 1.0, 0.5):
        began = quick.until + gap
        quick.judge(began, began + 0.25)
        waits.append(quick.wait)
        assert quick.until == began + 0.25 + quick.wait
    assert waits == [2, 4, 8, 16, 32, 32, 1, 2]


def test_a_sample_just_as_the_wait_ends_has_all_threads_again():
    now, seen = [0.0], []
    guard = SingleSamples(lambda: now[0])
    guard.until = 4.0
    with blas_threads(2):
        for at in (3.99, 4.0):
            now[0] = at
            guard(lambda: seen.append(blas_count()))
    assert seen == [1, 2]
    assert guard.best == 0.0


def test_the_usable_cores_are_asked_for_once_a_second(monkeypatch):
    now, asked, seen = [0.0], [], []
    monkeypatch.setattr("xpnn.backends.cpu.predictions.usable_threads", lambda: asked.append(now[0]) or 1)
    guard = Samples(lambda: now[0])
    with blas_threads(2):
        for at in (0.0, 0.5, 0.99, 1.0, 1.5, 2.0):
            now[0] = at
            assert guard(lambda a, b: seen.append(blas_count()) or a - b, 5, 3) == 2
    assert asked == [0.0, 1.0, 2.0]
    assert seen == [1] * 6


def test_the_smallest_limit_counts_and_never_raises_the_number():
    with blas_threads(2):
        with at_most(3):
            assert blas_count() == 2
            with at_most(1):
                assert blas_count() == 1
            assert blas_count() == 2
        assert blas_count() == 2


def test_the_usual_number_of_threads_is_that_outside_of_all_limits():
    """A training step on one Python thread has the number that it had before, while another one wants fewer."""
    with blas_threads(2):
        assert usual_threads() == 2
        with at_most(1):
            assert (usual_threads(), blas_count()) == (2, 1)
        assert usual_threads() == 2
