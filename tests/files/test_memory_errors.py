"""Memory runs out at every line of xpnn in turn, while a model trains, is saved and is loaded.

Of a line that runs many times it is the first time and the last. A line that allocates nothing cannot fail so; that it
is tried all the same makes sure that none is left out.
"""

import contextlib
import sys
from pathlib import Path

import numpy as np
import pytest

import xpnn
from xpnn.durable import previous
from xpnn.errors import FileError

pytestmark = [
    pytest.mark.slow,
    # A file between its opening and the line that would close it: closed when it is forgotten, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]
HOME = str(Path(xpnn.__file__).parent)
X = np.sin(np.arange(24.0)).reshape(8, 3).astype(np.float32)
IDS = np.arange(8) % 2


@contextlib.contextmanager
def out_of_memory(k):
    """Raises MemoryError at the k-th line of xpnn that runs inside; the list holds the places of all lines so far."""
    seen = []

    def local(frame, event, arg):
        if event == "line":
            seen.append(f"{frame.f_code.co_filename[len(HOME) + 1 :]}:{frame.f_lineno}")
            if len(seen) == k:
                sys.settrace(None)
                raise MemoryError("injected")
        return local

    def start(frame, event, arg):
        return local if frame.f_code.co_filename.startswith(HOME) else None

    before = sys.gettrace()
    sys.settrace(start)
    try:
        yield seen
    finally:
        sys.settrace(before)


def everywhere(make, act, check):
    """`act` on a fresh `make()`, then `check(made, place)`, for each line where memory may run out. How many lines."""
    for _ in range(2):  # what is kept from the first time on is there
        made = make()
        with out_of_memory(None) as lines:
            act(made)
    last = {place: k for k, place in enumerate(lines, 1)}
    first = {place: k for k, place in reversed([*enumerate(lines, 1)])}
    for k in sorted({*first.values(), *last.values()}):
        made = make()
        with out_of_memory(k) as seen:
            try:
                act(made)
            except MemoryError:
                pass
            except FileError as error:  # said in xpnn's own words
                assert "injected" in str(error), seen[-1]  # noqa: PT017
        assert len(seen) >= k
        check(made, seen[-1])
    return len(first)


def model(backend="numpy"):
    return xpnn.Model(
        [xpnn.Dense(4), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(2)], (3,), seed=0, backend=backend
    )


@pytest.fixture(params=["numpy", "strict"])
def trained(request):
    """make() -> a trainer after two steps."""
    if request.param == "strict":
        pytest.importorskip("array_api_strict")

    def make():
        trainer = xpnn.Trainer(model(request.param), "softmax_cross_entropy", xpnn.Adam(0.1))
        for _ in range(2):
            step(trainer)
        return trainer

    return make


def step(trainer):
    be = trainer.model.backend
    trainer.step(be.asarray(X), be.asarray(IDS))


def numbers(trainer):
    """All that a step changes."""
    be = trainer.model.backend
    arrays = {**trainer.model.snapshot(), **{name: be.to_numpy(a) for name, a in trainer.state.items()}}
    return {name: np.array(a) for name, a in arrays.items() if name != "lr"}


def equal(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_a_step_that_runs_out_of_memory_changes_nothing_or_everything(trained):
    old = trained()
    before, new = numbers(old), trained()
    step(new)
    after = numbers(new)

    def check(trainer, place):
        now = numbers(trainer)
        whole = equal(now, before) or equal(now, after)
        if trainer.model.backend.name == "numpy":  # it writes over the arrays, in one pass over each
            whole = all(np.array_equal(a, before[n]) or np.array_equal(a, after[n]) for n, a in now.items())
        assert whole, place
        step(trainer)  # and it goes on

    assert everywhere(trained, step, check) > 30


def test_a_save_that_runs_out_of_memory_leaves_the_old_file_or_the_new(tmp_path):
    path, older, newer = tmp_path / "m.safetensors", model(), model()
    newer.load_parameters({"0.b": np.ones(4)}, strict=False)
    older.save(path)
    old = path.read_bytes()
    newer.save(path)
    new = path.read_bytes()

    def make():
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(old)
        return newer

    def check(made, place):
        assert path.read_bytes() in (old, new), place
        assert not previous(path).exists() or previous(path).read_bytes() == old, place
        assert not list(tmp_path.glob(".xpnn-*")), place

    assert everywhere(make, lambda made: made.save(path, keep=True), check) > 30


def test_a_load_that_runs_out_of_memory_gives_no_model(tmp_path):
    path = tmp_path / "m.safetensors"
    model().save(path)
    good = path.read_bytes()

    def check(made, place):
        assert path.read_bytes() == good
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    assert everywhere(lambda: None, lambda made: xpnn.load(path), check) > 100
    assert xpnn.load(path).theta.tobytes() == model().theta.tobytes()
