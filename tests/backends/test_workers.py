"""Work shared between threads: the results, what goes wrong in it, and who is there after a fork."""

import importlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from test_prediction_threads import blas_count

import xpnn
from xpnn.backends.cpu import draws, passes, updates, workers
from xpnn.backends.cpu.threads import blas_threads
from xpnn.backends.cpu.workers import each
from xpnn.backends.numpy import NumpyBackend
from xpnn.kernels import Kernels


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


def test_at_most_one_thread():
    """Each part leaves others time to begin."""
    assert set(each(lambda _: time.sleep(0.01) or threading.get_ident(), range(4), 1)) == {
        threading.get_ident()
    }


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


@pytest.mark.parametrize("module", ["flat", "updates"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_threads_that_share_an_update_compute_the_same_bits(monkeypatch, weight_decay, module):
    if module == "flat":
        pytest.importorskip("numba")
        from xpnn.backends.cpu import compiled_plan

        monkeypatch.setattr(compiled_plan, "MOST_THREADS", 0)
    monkeypatch.setenv("XPNN_FAST", "1" if module == "flat" else "0")
    rules = importlib.import_module(f"xpnn.backends.cpu.{module}")
    parts = noted(monkeypatch, rules)

    def trained():
        model = xpnn.Model([xpnn.Dense(7), xpnn.ReLU(), xpnn.Dense(3)], (5,), seed=0, backend="numpy")
        trainer = xpnn.Trainer(model, optimizer=xpnn.AdamW(0.01, weight_decay=weight_decay))
        x = np.linspace(-1, 1, 20, dtype=np.float32).reshape(4, 5)
        for _ in range(3):
            trainer.step(x, np.array([0, 1, 2, 1]))
        return model.parameters()

    whole = trained()
    assert not parts
    monkeypatch.setattr(rules, "SHARED", 60)
    monkeypatch.setattr(rules, "PART", 16)
    shared = trained()
    assert parts == [0, 16, 32, 48, 64] * 3
    assert all(np.array_equal(a, b) for a, b in zip(whole.values(), shared.values(), strict=True))


def test_an_update_whose_threads_all_work_at_once_gives_each_its_own_memory(monkeypatch):
    """Each waits inside its part until the other one is there."""
    both, seen = threading.Barrier(2, timeout=10), []

    def rule(theta, g, a, b, lr):
        seen.append({v.__array_interface__["data"][0] for v in (a, b)})
        both.wait()

    monkeypatch.setitem(updates.RULES, "momentum", rule)
    monkeypatch.setattr(updates, "SHARED", 60)
    monkeypatch.setattr(updates, "PART", 33)
    theta, grad = np.zeros(66, np.float32), np.ones(66, np.float32)
    monkeypatch.setitem(updates.LAST, "momentum", lambda t, lr, numbers: (lr,))
    updates.update("momentum", (theta,), (grad, grad), (0, 0, 0), (1, 0.1, 1.0))
    assert len(seen) == 2
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_threads_that_share_a_draw_draw_the_same_numbers(monkeypatch, dtype):
    be = NumpyBackend("cpu", dtype)
    parts = noted(monkeypatch, draws)
    key, tick = (3, 5), np.asarray(2)
    x = np.linspace(-1, 1, 70).astype(dtype).reshape(10, 7)

    def drawn():
        numbers = [f(key, tick, (10, 7), *rate, first=9) for f, *rate in drawers]
        y = be.bias_relu_dropout(x.copy(), x[0], key, tick, 0.3)
        return *numbers, be.dropout(x, key, tick, 0.3), y

    drawers = [(be.uniform,), (be.normal,), (be.keep_mask, 0.3)]
    alone = drawn()
    assert parts == [0] * 5
    parts.clear()
    monkeypatch.setattr(draws, "SHARED", 70)
    monkeypatch.setattr(draws, "PART", 32)
    shared = drawn()
    assert parts == [0, 32, 64] * 5
    reference = Kernels.uniform(be, key, tick, (10, 7), first=9)
    assert all(np.array_equal(a, b) for a, b in zip((*alone, alone[0]), (*shared, reference), strict=True))


def test_each_thread_has_its_own_words(monkeypatch):
    """Both have drawn theirs before one of them reads."""
    both, found = threading.Barrier(2, timeout=10), np.empty(64, np.uint32)
    monkeypatch.setattr(draws, "SHARED", 64)
    monkeypatch.setattr(draws, "PART", 32)

    def use(block, words):
        both.wait()
        found[block] = words

    draws.draw([(3,)], np.asarray(2), 64, use)
    wanted = Kernels.uniform(NumpyBackend("cpu", "float32"), (3,), np.asarray(2), (64,))
    assert np.array_equal((found >> 8) * np.float32(2.0**-24), wanted)


def noted(monkeypatch, module):
    """The parts that this module shares between threads from now on, whoever takes them."""
    parts = []

    def each_noted(work, starts, *most):
        parts.extend(starts)
        return each(work, starts, *most)

    monkeypatch.setattr(module, "each", each_noted)
    return parts


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("cell", [xpnn.LSTM, xpnn.GRU])
def test_threads_that_share_a_sequence_compute_the_same(monkeypatch, cell, sequences):
    """Each walks the steps of its own samples: of 37 one takes 18, of 31 nobody is given a part."""
    shares = []

    def each_noted(work, slices):
        shares.append(slices)
        return each(work, slices)

    monkeypatch.setattr(passes, "each", each_noted)

    def trained(n):
        model = xpnn.Model([cell(5, sequences=sequences)], (4, 3), seed=0, backend="numpy")
        x = np.sin(np.arange(n * 12, dtype=np.float32)).reshape(n, 4, 3)
        y = np.cos(model.forward(x))
        shares.clear()
        xpnn.Trainer(model, "mean_squared_error", xpnn.SGD(10.0)).step(x, y)
        return model.parameters().values()

    for n, halves in ((37, [slice(0, 18), slice(18, 37)]), (31, [slice(0, 31)])):
        shared = trained(n)
        assert shares == [halves, halves]
        with blas_threads(1):
            alone = trained(n)
        assert shares == [[slice(0, n)]] * 2
        for a, b in zip(shared, alone, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_without_helpers_a_thread_does_all_by_itself(monkeypatch):
    """As when the interpreter is about to end: no work can be submitted."""

    def ended(threads):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(workers, "pool", ended)
    monkeypatch.setattr(workers, "setter", lambda: (lambda: 3, lambda n: None))
    assert workers.each(lambda part: part * part, range(7)) == [part * part for part in range(7)]
