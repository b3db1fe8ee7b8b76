"""Work shared between threads: the results, what goes wrong in it, and who is there after a fork."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from test_prediction_threads import blas_count

import xpnn
from xpnn.backends.cpu.threads import blas_threads
from xpnn.backends.cpu.workers import each


@pytest.fixture(autouse=True)
def _two_threads():
    with blas_threads(2):
        if blas_count() < 2:
            pytest.skip("this BLAS has one thread")
        yield


def test_results_come_in_order_and_products_have_one_thread():
    both = threading.Barrier(2, timeout=10)

    def work(part):
        if part < 2:
            both.wait()  # each of two threads has one of the first two
        return part, blas_count(), threading.get_ident()

    found = each(work, range(6))
    assert [part for part, _, _ in found] == list(range(6))
    assert {count for _, count, _ in found} == {1}
    assert len({ident for _, _, ident in found}) == 2
    assert blas_count() == 2


def test_what_is_raised_comes_through():
    def work(part):
        raise IndexError(f"part {part}")

    with pytest.raises(IndexError, match="part"):
        each(work, range(4))
    assert blas_count() == 2


def test_what_holds_in_the_thread_holds_in_its_helpers():
    """NumPy's settings of errors, as the backend's scope makes them."""
    with np.errstate(over="raise"):
        assert {np.geterr()["over"] for _ in range(3)} == set(each(lambda _: np.geterr()["over"], range(8)))


FORK = """
import os
from xpnn.backends.cpu.threads import blas_threads
from xpnn.backends.cpu.workers import each

with blas_threads(2):
    each(abs, range(8))
    child = os.fork()
    found = each(abs, range(-4, 4))
    if not child:
        os._exit(0 if found == [4, 3, 2, 1, 0, 1, 2, 3] else 1)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_has_helpers_of_its_own():
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_threads_that_share_an_update_compute_the_same_bits(monkeypatch, weight_decay):
    pytest.importorskip("numba")
    from xpnn.backends.cpu import flat

    parts = []
    monkeypatch.setattr(flat, "each", lambda work, starts: [work(s) for s in starts if not parts.append(s)])

    def trained():
        model = xpnn.Model([xpnn.Dense(7), xpnn.ReLU(), xpnn.Dense(3)], (5,), seed=0, backend="numpy")
        trainer = xpnn.Trainer(model, optimizer=xpnn.AdamW(0.01, weight_decay=weight_decay))
        x = np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5)
        for _ in range(3):
            trainer.step(x, np.array([0, 1, 2, 1]))
        return model.parameters()

    whole = trained()
    assert not parts
    monkeypatch.setattr(flat, "SHARED", 60)
    monkeypatch.setattr(flat, "PART", 16)
    shared = trained()
    assert parts == [0, 16, 32, 48, 64] * 3
    assert all(np.array_equal(a, b) for a, b in zip(whole.values(), shared.values(), strict=True))
