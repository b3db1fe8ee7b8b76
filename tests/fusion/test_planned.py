"""A planned step makes the bits of the step that it stands for, and is only made where everything is known."""

import importlib.util

import numpy as np
import pytest
from harness import open_backend

import xpnn
from xpnn.backends.cpu import planned
from xpnn.errors import DataError, ShapeError
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.optimizers import Group, Groups, Lookahead
from xpnn.parameters import Layout
from xpnn.training.step import Objective

RNG = np.random.default_rng(5)
X, IDS = RNG.random((40, 2, 6)), RNG.integers(0, 4, 40)
CHAINS = {
    "narrow": [xpnn.Flatten(), xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(4)],
    "linear": [xpnn.Flatten(), xpnn.Sequential(()), xpnn.Dense(5), xpnn.Dense(4)],
    "dropout": [
        xpnn.Flatten(), xpnn.Dropout(0.2), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dropout(0.5),
        xpnn.Dense(7), xpnn.Dropout(0.0), xpnn.Dense(4),
    ],
    "dropped twice": [
        xpnn.Flatten(), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dropout(0.5), xpnn.Dropout(0.2), xpnn.Dense(5),
        xpnn.Dropout(0.3), xpnn.Dense(4), xpnn.ReLU(), xpnn.Dropout(0.1),
    ],
    "nothing comes in": [
        xpnn.Flatten(), xpnn.Dropout(0.3), xpnn.Dropout(1.0), xpnn.Dense(5), xpnn.ReLU(), xpnn.Dense(4),
    ],
    "all dropped": [xpnn.Flatten(), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dropout(1.0), xpnn.Dense(4)],
    "no word keeps any": [
        xpnn.Flatten(), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dropout(1 - 2.0**-26), xpnn.Dense(4),
    ],
    "all dropped at first": [xpnn.Flatten(), xpnn.Dropout(1.0), xpnn.Dense(4)],
    "wide": [
        xpnn.Flatten(), xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dropout(0.3), xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dense(4),
    ],
    "ends in ReLU": [xpnn.Flatten(), xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dense(4), xpnn.ReLU()],
}  # fmt: skip
OTHERS = {
    "no bias": [xpnn.Flatten(), xpnn.Dense(4, bias=False)],
    "another activation": [xpnn.Flatten(), xpnn.Dense(5), xpnn.Tanh(), xpnn.Dense(4)],
    "statistics": [xpnn.Flatten(), xpnn.Dense(5), xpnn.BatchNorm(), xpnn.Dense(4)],
    "two ReLU": [xpnn.Flatten(), xpnn.Dense(4), xpnn.ReLU(), xpnn.ReLU()],
    "a ReLU in front": [xpnn.Flatten(), xpnn.ReLU(), xpnn.Dense(4)],
    "a ReLU behind the mask": [xpnn.Flatten(), xpnn.Dense(4), xpnn.Dropout(0.5), xpnn.ReLU()],
}
OPTIMIZERS = [
    xpnn.SGD(0.1),
    xpnn.SGD(0.1, momentum=0.9, nesterov=True),
    xpnn.Adam(1e-2, l1=1e-3),
    xpnn.AdamW(1e-2),
]
PLANNING = ["numpy", "fast"]


@pytest.fixture(autouse=True)
def kernel_by_kernel(monkeypatch):
    """Steps are planned as for many threads, where numba's kernels are called one by one."""
    if importlib.util.find_spec("numba"):
        from xpnn.backends.cpu import compiled_plan

        monkeypatch.setattr(compiled_plan, "MOST_THREADS", 0)


@pytest.fixture
def made(monkeypatch):
    """The plans that were made."""
    found = []

    class Counted(planned.Plan):
        def __init__(self, *args):
            found.append(args)
            super().__init__(*args)

    monkeypatch.setattr(planned, "Plan", Counted)
    return found


class Steps:
    """A network that is trained by a pure step."""

    def __init__(
        self, net, mode="numpy", dtype="float32", optimizer=OPTIMIZERS[2], loss=None, count=True, shape=(2, 6)
    ):
        self.be, net = open_backend(mode, dtype), xpnn.Sequential(net)
        layout = Layout(net.plan(shape)[0])
        bound = optimizer.bind(layout.params)
        self.theta, self.phi = layout.initialize(self.be, 3)
        self.state = {**bound.init(self.be, self.theta), "ok": self.be.scalar(True, self.be.xp.bool)}
        objective = Objective(net, loss or SoftmaxCrossEntropy(), layout, self.be, 3)
        self.step = objective.step(bound, count=count)

    def __call__(self, x, ids, *weight):
        """The bytes of all that a step returns."""
        with self.be.device_context():
            value, self.theta, self.phi, self.state = self.step(
                self.theta, self.phi, self.state, x, ids, *weight
            )
        loss = value if isinstance(value, tuple) else (value,)
        named = sorted(self.state.items())
        return [self.be.to_numpy(a).tobytes() for a in (*loss, self.theta, *(a for _, a in named))]


def unplanned(monkeypatch, *args, **settings):
    with monkeypatch.context() as patched:
        patched.setattr("xpnn.fusion.planned", lambda step, *_: step)
        return Steps(*args, **settings)


def both(monkeypatch, *args, **settings):
    return Steps(*args, **settings), unplanned(monkeypatch, *args, **settings)


def batches(dtype, sizes=(8, 8, 3, 8, 5, 8)):
    """Of three sizes, though the plans of two are kept."""
    for k, n in enumerate(sizes):
        yield X[k : k + n].astype(dtype), IDS[k : k + n]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", PLANNING)
@pytest.mark.parametrize("net", CHAINS)
def test_the_bits_are_those_of_the_step_as_it_is(monkeypatch, made, net, mode, dtype):
    ours, theirs = both(monkeypatch, CHAINS[net], mode, dtype)
    for x, ids in batches(dtype):
        assert ours(x, ids) == theirs(x, ids)
    assert len(made) == 4, "one for each size, and one more for the size that had gone"


@pytest.mark.parametrize("mode", PLANNING)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("count", [False, True])
def test_the_optimizers_make_the_same_bits(monkeypatch, made, mode, optimizer, count):
    ours, theirs = both(monkeypatch, CHAINS["dropout"], mode, optimizer=optimizer, count=count)
    for x, ids in batches("float32", (8, 8)):
        assert ours(x, ids) == theirs(x, ids)
    assert len(made) == 1


@pytest.mark.parametrize("net", OTHERS)
def test_other_networks_are_not_planned(made, net):
    Steps(OTHERS[net])(*next(batches("float32")))
    assert not made


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": SoftmaxCrossEntropy(label_smoothing=0.1)},
        {"loss": SoftmaxCrossEntropy(reduction="sum")},
        {"optimizer": xpnn.Adam(clip_norm=1.0)},
        {"optimizer": xpnn.optimizers.RMSProp()},
        {"optimizer": Lookahead(xpnn.Adam(), 2)},
        {"optimizer": Groups(xpnn.Adam(), [Group("*.b", lr=0.1)])},
        {"mode": "strict"},
    ],
    ids=str,
)
def test_other_losses_optimizers_and_backends_are_not_planned(made, settings):
    steps = Steps(CHAINS["narrow"], **settings)
    steps(*map(steps.be.asarray, next(batches("float32"))))
    assert not made


def test_batches_of_another_kind_take_the_step_as_it_is(monkeypatch, made):
    ours, theirs = both(monkeypatch, CHAINS["narrow"])
    x, ids = next(batches("float32"))
    for given in (
        (x, ids, np.linspace(0.5, 1, 8, dtype=np.float32)),
        (x, np.eye(4, dtype=np.float32)[ids]),
        (x, ids.astype(np.int32)),
        ((x * 9).astype(np.uint8), ids),
    ):
        assert ours(*given) == theirs(*given)
    assert not made
    backwards = x[:, ::-1, ::-1]
    assert ours(backwards, ids) == theirs(backwards, ids)
    assert len(made) == 1, "samples of any order in memory are planned"


@pytest.mark.parametrize("mode", PLANNING)
def test_a_step_that_is_not_finite_changes_nothing(monkeypatch, made, mode):
    ours, theirs = both(monkeypatch, CHAINS["narrow"], mode)
    x, ids = next(batches("float32"))
    ours(x, ids), theirs(x, ids)
    weights, bad = ours.theta.copy(), x.copy()
    bad[3, 0, 0] = np.nan
    for given in (bad, x):
        found = ours(given, ids)
        assert np.isnan(np.frombuffer(found[0], np.float32)).all()
        assert found == theirs(given, ids)
        assert np.array_equal(ours.theta, weights)
    assert not ours.state["ok"]


def test_other_weights_make_another_plan(monkeypatch, made):
    ours, theirs = both(monkeypatch, CHAINS["narrow"])
    x, ids = next(batches("float32"))
    for _ in range(2):
        assert ours(x, ids) == theirs(x, ids)
        ours.theta, theirs.theta = ours.theta * 0.5, theirs.theta * 0.5
    assert len(made) == 2


def test_huge_gradients_that_are_finite_count(monkeypatch, made):
    """Their squares are beyond float32."""
    ours, theirs = both(monkeypatch, [xpnn.Flatten(), xpnn.Dense(4)], optimizer=xpnn.SGD(1e-30))
    x, ids = next(batches("float32"))
    for steps in (ours, theirs):
        steps.theta *= 0
    assert ours(x * 1e25, ids) == theirs(x * 1e25, ids)
    assert ours.state["t"] == 1
    assert len(made) == 1


@pytest.mark.parametrize("mode", PLANNING)
@pytest.mark.parametrize("factor", [1.0, 1e10])
def test_an_overflow_is_found_in_large_gradients_too(monkeypatch, made, mode, factor):
    """Whose factors are finite: the hidden layer's dy is about 1e30, dW at most 1e29 or beyond float32."""
    monkeypatch.setattr(planned, "MANY", 0)
    ours, theirs = both(monkeypatch, CHAINS["ends in ReLU"][:4], mode, optimizer=xpnn.SGD(1e-30))
    for steps in (ours, theirs):
        steps.theta[: 12 * 1024], steps.theta[12 * 1024 : 13 * 1024] = 0, 1
        steps.theta[13 * 1024 :] *= np.float32(1e30)
    x, ids = X[:3].astype("float32") * np.float32(factor), IDS[:3]
    assert ours(x, ids) == theirs(x, ids)
    assert len(made) == 1
    assert bool(ours.state["ok"]) == (factor == 1)


@pytest.mark.parametrize("bad", [-1, 4])
def test_the_ids_of_every_batch_are_looked_at(bad):
    """Also of one that is like the batch before, whose shapes are not checked again."""
    trainer = xpnn.Trainer(
        xpnn.Model(CHAINS["narrow"], (2, 6), backend=open_backend("numpy", "float64"), seed=0)
    )
    x, ids = next(batches("float64"))
    for _ in range(2):
        trainer.step(x, ids)
    before, wrong = trainer.model.theta.copy(), ids.copy()
    wrong[5] = bad
    with pytest.raises(DataError, match=rf"y\[5\] is {bad}"):
        trainer.step(x, wrong)
    with pytest.raises(ShapeError):
        trainer.step(x, ids[:7])
    with pytest.raises(DataError, match="no samples"):
        trainer.step(x[:0], ids[:0])
    assert np.array_equal(trainer.model.theta, before)
