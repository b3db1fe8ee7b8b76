"""A compiled step is the step that it stands for, whichever threads share it; its loops read what they can read."""

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from harness import open_backend

pytest.importorskip("numba")

import xpnn
from xpnn.backends.cpu import compiled_plan, team
from xpnn.backends.cpu.fast import FastNumpyBackend
from xpnn.backends.cpu.predictions import at_most
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.parameters import Layout
from xpnn.training.step import Objective

RNG = np.random.default_rng(8)
X, IDS = RNG.standard_normal((300, 2, 6)), RNG.integers(0, 4, 300)
Flatten, Dense, ReLU, Dropout = xpnn.Flatten, xpnn.Dense, xpnn.ReLU, xpnn.Dropout
NETS = {
    "one layer": [Flatten(), Dense(4)],
    "linear": [Flatten(), Dense(20), Dense(35), Dense(4)],
    "ReLU": [Flatten(), Dense(40), ReLU(), Dense(33), ReLU(), Dense(4)],
    "ends in ReLU": [Flatten(), Dense(18), ReLU(), Dense(4), ReLU()],
    "drops what comes in": [Flatten(), Dropout(0.4), Dense(20), ReLU(), Dense(4)],
    "drops everywhere": [
        Flatten(), Dropout(0.2), Dense(40), ReLU(), Dropout(0.5), Dense(17), ReLU(), Dropout(0.1), Dense(4), ReLU(),
        Dropout(0.3),
    ],
}  # fmt: skip
OTHERS = {
    "drops twice": [Flatten(), Dense(9), ReLU(), Dropout(0.5), Dropout(0.2), Dense(4)],
    "drops behind a linear layer": [Flatten(), Dense(9), Dropout(0.5), Dense(4)],
    "drops all": [Flatten(), Dense(9), ReLU(), Dropout(1.0), Dense(4)],
    "no word keeps any": [Flatten(), Dropout(1 - 2.0**-26), Dense(4)],
}
OPTIMIZERS = {
    "SGD": xpnn.SGD(0.1),
    "SGD, decay": xpnn.SGD(0.1, weight_decay=0.1, l1=1e-3),
    "momentum": xpnn.SGD(0.1, momentum=0.9),
    "Nesterov, l2": xpnn.SGD(0.1, momentum=0.9, nesterov=True, l2=1e-2),
    "Adam": xpnn.Adam(1e-2),
    "AdamW": xpnn.AdamW(1e-2, weight_decay=0.1),
}
CLOSE = {"float32": {"rtol": 2e-4, "atol": 2e-5}, "float64": {"rtol": 1e-10, "atol": 1e-12}}


@pytest.fixture
def made(monkeypatch):
    """(samples, threads) of each compiled plan."""
    found = []

    class Counted(compiled_plan.CompiledPlan):
        def __init__(self, be, chain, stages, n, threads):
            found.append((n, threads))
            super().__init__(be, chain, stages, n, threads)

    monkeypatch.setattr(compiled_plan, "CompiledPlan", Counted)
    return found


@pytest.fixture
def on_threads(monkeypatch):
    """on_threads(n): steps that are made from then on have n threads."""

    def use(n):
        monkeypatch.setattr(compiled_plan, "usual_threads", lambda: n)

    return use


class Steps:
    """A network that is trained by a pure step; compiled=False: layer by layer."""

    def __init__(self, net, dtype="float64", optimizer=OPTIMIZERS["AdamW"], compiled=True, count=True):
        self.be, net = open_backend("fast", dtype), xpnn.Sequential(net)
        layout = Layout(net.plan((2, 6))[0])
        bound = optimizer.bind(layout.params)
        self.theta, self.phi = layout.initialize(self.be, 3)
        self.state = {**bound.init(self.be, self.theta), "ok": self.be.scalar(True, self.be.xp.bool)}
        objective = Objective(net, SoftmaxCrossEntropy(), layout, self.be, 3)
        self.count, self.step = count, objective.step(bound, count=count, fuse=compiled)

    def __call__(self, x, ids, *weight):
        """-> the loss, and the hits where they are counted."""
        with self.be.device_context():
            value, self.theta, self.phi, self.state = self.step(
                self.theta, self.phi, self.state, x.astype(self.be.dtype), ids, *weight
            )
        return tuple(map(float, value if self.count else (value,)))

    def all(self):
        """The bytes of weights and state."""
        return self.theta.tobytes(), *(np.asarray(a).tobytes() for _, a in sorted(self.state.items()))


def same(ours, theirs, dtype):
    np.testing.assert_allclose(ours.theta, theirs.theta, **CLOSE[dtype])
    assert sorted(ours.state) == sorted(theirs.state)
    for name, a in ours.state.items():
        np.testing.assert_allclose(a, theirs.state[name], err_msg=name, **CLOSE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("net", NETS)
def test_it_is_the_step_layer_by_layer(made, on_threads, net, threads, dtype):
    """For batches whose parts are rows, or columns: of the smallest there are more threads than columns or samples."""
    on_threads(threads)
    ours, theirs = Steps(NETS[net], dtype), Steps(NETS[net], dtype, compiled=False)
    for n in (40, 1, 2, 300, 40):
        np.testing.assert_allclose(ours(X[:n], IDS[:n]), theirs(X[:n], IDS[:n]), **CLOSE[dtype])
    same(ours, theirs, dtype)
    assert made == [(n, threads) for n in (40, 1, 2, 300, 40)]


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("blocks", [False, True])
def test_every_rule_in_whole_matrices_and_in_blocks(monkeypatch, made, on_threads, name, count, blocks):
    on_threads(2)
    monkeypatch.setattr(
        compiled_plan, "BLOCK", dict.fromkeys(compiled_plan.BLOCK, 300 if blocks else 1 << 20)
    )
    monkeypatch.setattr(compiled_plan, "UNITS", 3)
    settings = {"optimizer": OPTIMIZERS[name], "count": count}
    ours, theirs = Steps(NETS["ReLU"], **settings), Steps(NETS["ReLU"], compiled=False, **settings)
    for _ in range(3):
        np.testing.assert_allclose(ours(X[:40], IDS[:40]), theirs(X[:40], IDS[:40]), **CLOSE["float64"])
    same(ours, theirs, "float64")
    assert made == [(40, 2)]


def test_a_part_has_at_most_so_many_rows(monkeypatch, on_threads):
    on_threads(2)
    monkeypatch.setattr(compiled_plan, "MOST_ROWS", 40)
    ours, theirs = Steps(NETS["drops everywhere"]), Steps(NETS["drops everywhere"], compiled=False)
    np.testing.assert_allclose(ours(X, IDS), theirs(X, IDS), **CLOSE["float64"])
    same(ours, theirs, "float64")


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("n", [40, 300])
def test_the_bits_do_not_depend_on_who_computes_a_part(monkeypatch, on_threads, net, n):
    on_threads(2)

    def trained():
        steps = Steps(NETS[net], "float32")
        return [steps(X[:n], IDS[:n]) for _ in range(20)], steps.all()

    shared = trained()
    assert trained() == shared
    monkeypatch.setattr(team, "submit", lambda *_: None)
    monkeypatch.setattr(compiled_plan, "TEAM", team.Team())
    assert trained() == shared


def test_helpers_sleep_and_are_woken(monkeypatch, on_threads):
    on_threads(2)
    own = team.Team()
    monkeypatch.setattr(compiled_plan, "TEAM", own)
    steps, events = Steps(NETS["ReLU"]), []
    helping, ended = own.help, threading.Semaphore(0)

    def help(thread):
        events.append(thread)
        helping(thread)
        ended.release()

    own.help = help
    for _ in range(2):
        steps(X[:40], IDS[:40])
        assert ended.acquire(timeout=20), "a helper goes to sleep when no step comes"
        assert not own.awake
    assert events == [1, 1]


def test_products_have_one_thread_within_a_step_and_all_behind_it(monkeypatch, on_threads):
    on_threads(2)
    seen = []

    class Noting(at_most):
        def __enter__(self):
            seen.append(("in", self.n))
            super().__enter__()

        def __exit__(self, *error):
            super().__exit__(*error)
            seen.append("out")

    monkeypatch.setattr(team, "at_most", Noting)
    Steps(NETS["ReLU"])(X[:40], IDS[:40])
    assert seen == [("in", 1), "out"]


def test_two_python_threads_train_two_networks(on_threads):
    """Steps take turns, and each has its own plan."""
    on_threads(2)

    def trained(net, found):
        steps = Steps(NETS[net], "float32")
        for k in range(150):
            steps(X[k : k + 40], IDS[k : k + 40])
        found[net] = steps.all()

    alone, together = {}, {}
    for net in ("ReLU", "linear"):
        trained(net, alone)
    threads = [threading.Thread(target=trained, args=(net, together)) for net in alone]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert together == alone


FORKS = """
import os, sys
import numpy as np
import xpnn
model = xpnn.Model([xpnn.Dense(40), xpnn.ReLU(), xpnn.Dense(4)], (12,), seed=0, backend="numpy")
trainer = xpnn.Trainer(model)
x, ids = np.linspace(-1, 1, 480, dtype=np.float32).reshape(40, 12), np.arange(40) % 4
trainer.step(x, ids)
child = os.fork() == 0
for _ in range(5):
    trainer.step(x, ids)
print("child" if child else "parent", hash(model.theta.tobytes()), flush=True)
if child:
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_has_helpers_of_its_own():
    """In a process of its own, with two threads: a library that is loaded here may forbid forks."""
    settings = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, env=os.environ | settings, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (_, one), (_, other) = sorted(line.split() for line in done.stdout.splitlines())
    assert one == other


ENDS = """
import threading
import numpy as np
import xpnn

def train():
    trainer.step(np.ones((40, 12), np.float32), np.arange(40) % 4)
    main.join()  # from now on helpers take no work
    for _ in range(3):
        loss = trainer.step(np.ones((40, 12), np.float32), np.arange(40) % 4)
    print(float(loss) > 0, flush=True)

main = threading.main_thread()
model = xpnn.Model([xpnn.Dense(40), xpnn.ReLU(), xpnn.Dense(4)], (12,), seed=0, backend="numpy")
trainer = xpnn.Trainer(model)
threading.Thread(target=train).start()
"""


def test_a_thread_trains_on_while_the_interpreter_ends():
    """Without helpers, which cannot be had any more."""
    settings = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", ENDS], capture_output=True, text=True, env=os.environ | settings, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_network_that_is_gone_leaves_no_memory(monkeypatch, on_threads):
    on_threads(2)
    own = team.Team()
    monkeypatch.setattr(compiled_plan, "TEAM", own)
    steps = Steps(NETS["ReLU"])
    steps(X[:40], IDS[:40])
    assert own.arrays() is not None
    del steps
    for _ in range(200):  # until its helper sleeps
        gc.collect()
        if own.arrays() is None:
            return
        time.sleep(0.05)
    pytest.fail("the arrays are still there")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_step_that_is_not_finite_changes_nothing(bad):
    ours = Steps(NETS["ReLU"])
    ours(X[:40], IDS[:40])
    x, weights = X[:40].copy(), ours.theta.copy()
    x[7, 1, 2] = bad
    value = ours(x, IDS[:40])[0]
    assert bool(ours.state["ok"]) == (bad == 1e200)
    if bad == 1e200:  # finite: the step layer by layer decides
        assert np.isfinite(value)
        return
    assert np.isnan(value)
    assert np.array_equal(ours.theta, weights)
    ours(X[:40], IDS[:40])
    assert np.array_equal(ours.theta, weights), "a run stays at its last good step"


def test_a_loss_that_overflows_changes_nothing():
    ours = Steps(NETS["one layer"], "float32")
    ours.theta[:] = np.float32(2e38)
    weights = ours.theta.copy()
    assert np.isnan(ours(np.abs(X[:40]), IDS[:40])[0])
    assert np.array_equal(ours.theta, weights)


def test_large_gradients_that_are_finite_count(made):
    """Their bound is beyond float32, so the step is made layer by layer."""
    ours, theirs = (
        Steps(NETS["one layer"], "float32", xpnn.SGD(1e-30), compiled=compiled) for compiled in (True, False)
    )
    for steps in (ours, theirs):
        steps.theta *= 0
        steps((X[:40] * 1e25), IDS[:40])
    same(ours, theirs, "float32")
    assert ours.state["t"] == 1
    assert made == [(40, 1)]


@pytest.mark.parametrize("net", OTHERS)
def test_other_chains_are_planned_kernel_by_kernel(made, net):
    ours, theirs = Steps(OTHERS[net]), Steps(OTHERS[net], compiled=False)
    np.testing.assert_allclose(ours(X[:40], IDS[:40]), theirs(X[:40], IDS[:40]), **CLOSE["float64"])
    same(ours, theirs, "float64")
    assert not made


def test_other_batches_take_the_step_as_it_is(made):
    steps, x, ids = Steps(NETS["ReLU"]), X[:40], IDS[:40]
    steps(x, ids, np.linspace(0.5, 1, 40))
    steps(x, np.eye(4)[ids])
    steps(x, ids.astype(np.int32))
    assert not made


@pytest.mark.parametrize("kind", ["backwards", "columns", "every second id", "read-only"])
def test_samples_may_lie_in_memory_as_they_like(made, kind):
    wanted, given = Steps(NETS["ReLU"]), Steps(NETS["ReLU"])
    x, ids = X[:40].copy(), IDS[:40].copy()
    wanted(x, ids)
    if kind == "backwards":
        x = x[::-1].copy()[::-1]
    elif kind == "columns":
        x = np.asfortranarray(x)
    elif kind == "every second id":
        ids = np.repeat(ids, 2)[::2]
    else:
        x.flags.writeable = ids.flags.writeable = False
    with given.be.device_context():
        _, given.theta, _, given.state = given.step(given.theta, given.phi, given.state, x, ids)
    assert given.all() == wanted.all()
    assert made == [(40, 1)] * 2


def test_ids_that_do_not_exist_have_no_gradient():
    ids = IDS[:40].copy()
    ids[3], ids[9] = -1, 4
    ours, theirs = Steps(NETS["ReLU"]), Steps(NETS["ReLU"], compiled=False)
    np.testing.assert_allclose(ours(X[:40], ids), theirs(X[:40], ids), **CLOSE["float64"])
    same(ours, theirs, "float64")


def test_other_weights_are_followed(made):
    ours, theirs = Steps(NETS["ReLU"]), Steps(NETS["ReLU"], compiled=False)
    for _ in range(3):
        ours(X[:40], IDS[:40]), theirs(X[:40], IDS[:40])
        ours.theta, theirs.theta = ours.theta * 0.5, theirs.theta * 0.5
        ours.state = {**ours.state, "m": ours.state["m"] * 2}
        theirs.state = {**theirs.state, "m": theirs.state["m"] * 2}
    same(ours, theirs, "float64")
    assert made == [(40, 1)]


def test_the_plans_of_two_sizes_are_kept(made):
    steps = Steps(NETS["ReLU"])
    for n in (40, 30, 40, 30, 20, 40):
        steps(X[:n], IDS[:n])
    assert [n for n, _ in made] == [40, 30, 20, 40]


@pytest.mark.parametrize("why", ["more threads than it is for", "another BLAS", "a system without yield"])
def test_elsewhere_steps_are_planned_kernel_by_kernel(monkeypatch, made, on_threads, why):
    if why == "another BLAS":
        monkeypatch.setattr(compiled_plan, "address_of_gemm", lambda dtype: None)
    elif why == "a system without yield":
        monkeypatch.setattr(compiled_plan, "address_of_yield", lambda: None)
    else:
        on_threads(compiled_plan.MOST_THREADS + 1)
    ours, theirs = Steps(NETS["ReLU"]), Steps(NETS["ReLU"], compiled=False)
    ours(X[:40], IDS[:40]), theirs(X[:40], IDS[:40])
    same(ours, theirs, "float64")
    assert not made


def test_a_trainer_uses_it_for_batches_and_for_epochs(made):
    """Of bytes that are rescaled, too: `fit` and `step` compute the same bits."""
    bytes_, ids = RNG.integers(0, 256, (70, 3, 4), dtype=np.uint8), RNG.integers(0, 4, 70)

    def trainer():
        layers = [Flatten(), xpnn.Rescale(1 / 255, -0.5), Dense(9), ReLU(), Dropout(0.2), Dense(4)]
        be = FastNumpyBackend("cpu", "float32")
        return xpnn.Trainer(xpnn.Model(layers, (3, 4), seed=5, backend=be))

    fitted, stepped = trainer(), trainer()
    fitted.fit(bytes_, ids, epochs=2, batch_size=16)
    from xpnn.data import Batches

    for batch in Batches(bytes_, ids, 16, seed=5).epochs(2):
        stepped.step(batch.x, batch.y)
    assert fitted.model.theta.tobytes() == stepped.model.theta.tobytes()
    assert {n for n, _ in made} == {16, 6}
