"""The threads of BLAS in predictions, by made-up clocks."""

import threading

import numpy as np
import pytest

import xpnn
from xpnn.backends.cpu.predictions import SingleSamples, at_most
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
