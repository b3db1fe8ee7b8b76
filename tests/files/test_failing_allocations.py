"""Memory runs out at every array in turn: of NumPy's allocator, and at every operation of an imaginary device.

After each the model and the optimizer are what they were or what they were to become, files are the old or the new
ones, and training goes on to the same numbers, to the bit, as one that nothing happened to.
"""

import numpy as np
import pytest
from emulated_cuda import EmulatedBackend, needs_compiler
from failing_allocator import failing
from harness import open_backend
from imaginary_device import DeviceBackend

import xpnn
from xpnn.backends.numpy import NumpyBackend
from xpnn.durable import previous
from xpnn.errors import XpnnError
from xpnn.training import Checkpoint
from xpnn.training.state import read_state

pytestmark = pytest.mark.slow
X = np.sin(np.arange(24.0)).reshape(8, 3).astype(np.float32)
IDS = np.arange(8) % 2
NETS = {
    "norm": lambda: [xpnn.Dense(4), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dropout(0.2), xpnn.Dense(2)],
    "convolution": lambda: [
        xpnn.Reshape((3, 1)),
        xpnn.Conv1D(2, 2),
        xpnn.Tanh(),
        xpnn.Flatten(),
        xpnn.Dense(2),
    ],
    "recurrent": lambda: [xpnn.Reshape((3, 1)), xpnn.LSTM(3), xpnn.Dense(2)],
}
BLOCKS = [xpnn.Dense(12_000), xpnn.Dense(2)]
"""More weights than NumPy's updates take at a time."""
OPTIMIZERS = {
    "SGD": lambda: xpnn.SGD(0.1, momentum=0.9),
    "Adam": lambda: xpnn.Adam(0.1, clip_norm=0.5, weight_decay=0.01),
    "EMA of Lookahead": lambda: xpnn.optimizers.EMA(xpnn.optimizers.Lookahead(xpnn.RMSProp(0.01), 2)),
    "SWA": lambda: xpnn.optimizers.SWA(xpnn.SGD(0.1, momentum=0.9)),
    "Constrained": lambda: xpnn.optimizers.Constrained(xpnn.Adam(0.1), [xpnn.optimizers.MaxNorm("*.W", 0.5)]),
    "Accumulate": lambda: xpnn.optimizers.Accumulate(xpnn.AdaGrad(0.1), 2),
    "Groups": lambda: xpnn.optimizers.Groups(xpnn.NAdam(0.1), [xpnn.optimizers.Group("0.*", lr=0.5)]),
    "LAMB": lambda: xpnn.optimizers.LAMB(0.1),
}
DEVICES = {
    "numpy": lambda: NumpyBackend("cpu", "float32"),
    "fast": lambda: open_backend("fast", "float32"),
}


def made(net="norm", optimizer="Adam", device="numpy", steps=2):
    """A trainer after some steps."""
    model = xpnn.Model(NETS[net](), (3,), seed=0, backend=DEVICES[device]())
    trainer = xpnn.Trainer(model, "softmax_cross_entropy", OPTIMIZERS[optimizer]())
    for _ in range(steps):
        step(trainer)
    return trainer


def step(trainer):
    be = trainer.model.backend
    with be.device_context():
        x, ids = be.asarray(X), be.asarray(IDS)
    trainer.step(x, ids)


def numbers(trainer):
    """All that a step changes, to the bit."""
    be = trainer.model.backend
    with be.device_context():
        arrays = {**trainer.model.snapshot(), **trainer.state}
        found = {name: np.array(be.to_numpy(a)).tobytes() for name, a in arrays.items() if name != "lr"}
    return found | {"steps": trainer.steps}


def attempts(act, check, begin=lambda: None):
    """`act` on what `begin` gives, with the k-th array refused, for every k; `check` after each. -> how many."""
    for k in range(1, 5000):
        given = begin()
        with failing(k) as allocator:
            try:
                act(given)
            except (MemoryError, XpnnError):
                refused = True
            else:
                refused = allocator.count >= k
        if not refused:
            return k - 1
        check(given, k)
    raise AssertionError("it never came to an end")


def unhurt(trainer, before, course):
    """The step was not taken, or whole; the next ones are those of an undisturbed run. `course`: numbers by steps."""
    now = numbers(trainer)
    assert now in (before, course[before["steps"] + 1])
    for _ in range(2):
        step(trainer)
        now = numbers(trainer)
        assert now == course[now["steps"]]


def course_of(trainer, steps=6):
    found = {}
    for _ in range(steps):
        step(trainer)
        found[trainer.steps] = numbers(trainer)
    return found


ROWS = [("norm", optimizer) for optimizer in OPTIMIZERS] + [(net, "Adam") for net in NETS if net != "norm"]


LOOPS = [("norm", "SGD", "fast"), ("norm", "Adam", "fast"), ("norm", "EMA of Lookahead", "fast")]


@pytest.mark.parametrize(("net", "optimizer", "device"), [(*row, "numpy") for row in ROWS] + LOOPS)
def test_a_step_without_memory(net, optimizer, device):
    def begin():
        return made(net, optimizer, device)

    course, before = course_of(begin()), numbers(begin())
    assert attempts(step, lambda trainer, k: unhurt(trainer, before, course), begin) > 20


@pytest.mark.parametrize("optimizer", ["SGD", "Accumulate", "Groups"])
def test_an_update_in_several_blocks_without_memory(optimizer, monkeypatch):
    monkeypatch.setitem(NETS, "blocks", lambda: BLOCKS)
    test_a_step_without_memory("blocks", optimizer, "numpy")


@pytest.mark.filterwarnings("ignore:a step goes on without a CUDA graph")
@pytest.mark.parametrize(
    ("net", "optimizer", "capture", "done"),
    [("recurrent", "Adam", False, 2), *(("norm", "SGD", True, done) for done in (0, 1, 2))],
)
def test_a_step_without_memory_on_a_device(net, optimizer, capture, done, monkeypatch):
    """Every operation of the device that makes an array fails in turn: while it is recorded, and without records."""
    monkeypatch.setitem(DEVICES, "device", lambda: DeviceBackend("float32", capture=capture))

    def begin():
        trainer = made(net, optimizer, "device", done)
        board = trainer.model.backend.board
        board.fault, board.spared = MemoryError, ("copy",)
        return trainer

    course, before = course_of(begin()), numbers(begin())
    for k in range(5000):
        trainer = begin()
        be = trainer.model.backend
        x, ids = be.asarray(X), be.asarray(IDS)
        be.board.fail_at = k
        try:
            trainer.step(x, ids)
        except (MemoryError, XpnnError):
            pass
        else:
            if be.board.fail_at is not None:
                break
        be.board.fail_at = None
        unhurt(trainer, before, course)
    assert k > 20 or (capture and done)  # what is recorded makes no arrays any more


class ShortOfMemory(EmulatedBackend):
    """Kernels for CUDA, on the CPU; the array that brings `left` to 0 is refused."""

    left = 0

    def empty(self, shape, dtype):
        self.left -= 1
        if self.left == 0:
            raise MemoryError
        return super().empty(shape, dtype)


@needs_compiler
def test_a_step_without_memory_on_kernels_for_cuda(monkeypatch):
    """Every array that a kernel writes to is refused in turn."""
    monkeypatch.setitem(NETS, "dense", lambda: [xpnn.Dense(3), xpnn.ReLU(), xpnn.Dropout(0.2), xpnn.Dense(2)])
    monkeypatch.setitem(DEVICES, "emulated", lambda: ShortOfMemory("cpu", "float32"))

    def begin():
        return made("dense", "Adam", "emulated", steps=1)

    course, before = course_of(begin(), steps=4), numbers(begin())
    for k in range(1, 1000):
        trainer = begin()
        be = trainer.model.backend
        be.left = k
        try:
            step(trainer)
        except (MemoryError, XpnnError):
            pass
        else:
            if be.left > 0:
                break
        be.left = 0
        unhurt(trainer, before, course)
    assert k > 5


def trained_to_the_end(trainer, folder, resume=None):
    checkpoint = Checkpoint(folder / "state")
    trainer.fit(X, IDS, epochs=2, batch_size=4, validation=0.25, callbacks=[checkpoint], resume=resume)


def test_a_fit_without_memory_goes_on_from_its_last_state(tmp_path):
    """Trained and saved; where it broke off, a run that resumes ends as the undisturbed one, to the bit.

    What it resumes from is the file alone, so a file whose arrays have been gone on from need not be a second time.
    """
    seen = set()

    def begin():
        for path in tmp_path.iterdir():
            path.unlink()
        return xpnn.Trainer(xpnn.Model(NETS["norm"](), (3,), seed=0), "softmax_cross_entropy", xpnn.Adam(0.1))

    right = begin()
    trained_to_the_end(right, tmp_path)

    def check(trainer, k):
        state = tmp_path / "state"
        arrays = read_state(state)[1] if state.exists() else {}
        found = tuple((name, a.tobytes()) for name, a in arrays.items())
        if found in seen:
            return
        seen.add(found)
        again = xpnn.Trainer(
            xpnn.Model(NETS["norm"](), (3,), seed=0), "softmax_cross_entropy", xpnn.Adam(0.1)
        )
        trained_to_the_end(again, tmp_path, resume=state if state.exists() else None)
        assert numbers(again) == numbers(right), k

    assert attempts(lambda trainer: trained_to_the_end(trainer, tmp_path), check, begin) > 150
    assert len(seen) > 2  # no file, that of the first epoch, that of the second


def test_a_save_without_memory_leaves_the_old_file_or_the_new(tmp_path):
    path, older, newer = tmp_path / "m.safetensors", made().model, made().model
    newer.load_parameters({"0.b": np.ones(4)}, strict=False)
    older.save(path)
    old = path.read_bytes()
    newer.save(path)
    new = path.read_bytes()
    vectors = newer.snapshot()

    def begin():
        for file in tmp_path.iterdir():
            file.unlink()
        path.write_bytes(old)

    def check(given, k):
        assert path.read_bytes() in (old, new)
        assert not previous(path).exists() or previous(path).read_bytes() == old
        assert not list(tmp_path.glob(".xpnn-*"))
        assert all(np.array_equal(a, vectors[name]) for name, a in newer.snapshot().items())

    assert attempts(lambda given: newer.save(path, keep=True), check, begin) > 0


def test_a_load_without_memory_gives_no_model(tmp_path):
    path = tmp_path / "m.safetensors"
    made().model.save(path)
    good = path.read_bytes()

    def check(given, k):
        assert path.read_bytes() == good
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    assert attempts(lambda given: xpnn.load(path), check) > 10
    assert xpnn.load(path).theta.tobytes() == made().model.theta.tobytes()
