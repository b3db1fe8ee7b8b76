"""The callback that sets BLAS's threads, and what the command line records about it."""

import json

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.backends.cpu.threads import blas_threads
from xpnn.errors import UsageError
from xpnn.training import Checkpoint, Threads
from xpnn.training.callbacks import Callback


def blas_counts():
    from threadpoolctl import threadpool_info

    return {
        pool["num_threads"]
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and "numpy" in pool["filepath"]
    }


class Seen(Callback):
    def step(self, run):
        self.counts = blas_counts()


def fit(*callbacks, backend="numpy", epochs=2, **given):
    x = np.random.default_rng(0).standard_normal((64, 5))
    model = xpnn.Model([xpnn.Dense(3)], (5,), backend=backend, seed=0)
    model.fit(x, np.arange(64) % 3, epochs=epochs, batch_size=16, callbacks=callbacks, verbose=0, **given)
    return model.theta


@pytest.mark.parametrize("adapt", [False, True])
def test_a_fit_has_its_threads_and_gives_back_those_of_before(adapt):
    before, seen = blas_counts(), Seen()
    fit(Threads(3, adapt), seen)
    assert seen.counts == {3}
    assert blas_counts() == before


@pytest.mark.parametrize("usable", [1, 2, 8])
def test_a_plain_fit_keeps_to_the_cores_that_the_quota_leaves(monkeypatch, usable):
    monkeypatch.setattr("xpnn.training.threads.usable_threads", lambda: usable)
    seen = Seen()
    with blas_threads(3):
        fit(seen)
        assert blas_counts() == {3}, "those of before, afterwards"
    assert seen.counts == {min(usable, 3)}


def test_a_fit_keeps_the_number_that_is_fastest_before_its_first_step(monkeypatch, tmp_path):
    """And the fit that resumes from its state has the same, whatever would be faster then."""
    found = []

    def one(most, use, work):
        work()
        use(1)
        found.append(most)
        return 1

    monkeypatch.setattr("xpnn.training.threads.LONG", 0.0)
    monkeypatch.setattr("xpnn.training.threads.usable_threads", lambda: 2)
    monkeypatch.setattr("xpnn.training.threads.fastest", one)
    seen, state, whole = Seen(), tmp_path / "state.safetensors", []
    with blas_threads(2):
        fit(seen, lambda run, row: whole.append(run.threads), Checkpoint(state))
        assert seen.counts == {1}
        assert blas_counts() == {2}
        monkeypatch.setattr("xpnn.training.threads.fastest", lambda most, use, work: most)
        fit(seen, Checkpoint(state), resume=state, epochs=3)
        assert seen.counts == {1}
        fit(Threads(2), seen, Checkpoint(state), resume=state, epochs=4)
        assert seen.counts == {2}, "unless another number is given"
    assert (found, whole) == ([2], [1, 1])


def test_a_short_fit_is_not_timed(monkeypatch):
    monkeypatch.setattr("xpnn.training.threads.usable_threads", lambda: 2)
    monkeypatch.setattr("xpnn.training.threads.fastest", None)  # to call it would raise
    with blas_threads(2):
        fit()


def test_an_interrupted_fit_gives_them_back_too():
    def stop(run, row):
        raise KeyError

    before = blas_counts()
    with pytest.raises(KeyError):
        fit(Threads(3), stop)
    assert blas_counts() == before


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_no_number_of_threads(n):
    with pytest.raises(UsageError, match="whole number"):
        Threads(n)


def test_other_libraries_have_threads_of_their_own():
    class Other(type(xpnn.get_backend("numpy"))):
        name = "other"

    with pytest.raises(UsageError, match="only NumPy's matrix products"):
        fit(Threads(2), backend=Other("cpu", "float32"))


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    ("flags", "wanted"), [((), None), (("--threads", 2), 2), (("--threads", "adapt"), "adapt")]
)
def test_a_run_records_its_threads_and_is_resumed_with_them(xp, tmp_path, flags, wanted):
    from xpnn.training.threads import default_threads

    folder = tmp_path / "run"
    train = ["train", "spiral", "--epochs", 1, "--hidden", 4, "--backend", "numpy"]
    assert xp(*train, "--schedule", "constant", "--out", folder, *flags)[0] == 0
    recorded = json.loads((folder / "run.json").read_text())["threads"]
    assert recorded == (default_threads() if wanted is None else wanted)
    assert xp("train", "--resume", folder, "--epochs", 2)[0] == 0
    assert json.loads((folder / "run.json").read_text())["threads"] == recorded


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize(
    "flags", [("--threads", "0"), ("--threads", "many"), ("--threads", 2, "--backend", "strict")]
)
def test_threads_that_cannot_be(xp, flags):
    code, _, err = xp("train", "spiral", "--epochs", 1, *flags)
    assert code in (2, 3)
    assert "threads" in err


@pytest.mark.usefixtures("workplace")
def test_a_run_on_fewer_threads_says_so(xp, tmp_path, monkeypatch):
    monkeypatch.setattr("xpnn.training.threads.LONG", 0.0)
    monkeypatch.setattr("xpnn.training.threads.usable_threads", lambda: 2)
    monkeypatch.setattr("xpnn.training.threads.fastest", lambda most, use, work: 1)
    with blas_threads(2):
        code, _, err = xp(
            "train", "spiral", "--epochs", 1, "--hidden", 4, "--backend", "numpy", "--out", tmp_path / "run"
        )
    assert code == 0
    assert "threads 1 of 2: faster at the moment" in err
    assert json.loads((tmp_path / "run" / "run.json").read_text())["threads"] == 1
