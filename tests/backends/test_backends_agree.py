"""One seed, one network, every backend: the same draws bit for bit, the same training to rounding."""

import importlib
import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from comparison import NAMES, error

import xpnn
from xpnn.backends import get_backend
from xpnn.layers import Ctx, Dropout, Layer

BITS = ("float32", "float64")
STEPS, BATCH = 300, 64
CURVE = {"float64": 1e-12, "float32": 1e-5}
"""Relative, of every loss of the curve: 300 steps amplify the last bit of a sum by a thousand or so."""

others = pytest.mark.parametrize("name", [name for name in NAMES if name != "numpy"])
dtypes = pytest.mark.parametrize("dtype", BITS)


@pytest.fixture(scope="module")
def digits():
    x, y, _, _ = xpnn.data.mnist()
    return x[: STEPS * BATCH], y[: STEPS * BATCH]


def wide(name, dtype, seed=0):
    """784-128-10, from bytes."""
    layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(128), xpnn.ReLU(), xpnn.Dense(10)]
    return xpnn.Model(layers, (28, 28, 1), backend=name, dtype=dtype, seed=seed)


def advance(trainer, digits, step):
    """One step on batch number `step`; the loss as a float."""
    be, rows = trainer.model.backend, slice(step * BATCH, (step + 1) * BATCH)
    loss = trainer.step(be.asarray(digits[0][rows]), be.asarray(digits[1][rows]))
    return float(be.to_numpy(loss))


def curve(name, dtype, digits, optimizer):
    trainer = xpnn.Trainer(wide(name, dtype), optimizer=optimizer)
    return np.asarray([advance(trainer, digits, step) for step in range(STEPS)]), trainer


@pytest.fixture(scope="module")
def reference(digits):
    """NumPy's curves, computed once."""
    return {dtype: curve("numpy", dtype, digits, xpnn.Adam())[0] for dtype in BITS}


def furthest(got, wanted):
    """The largest relative difference of two curves."""
    return float(np.max(np.abs(np.asarray(got) - wanted) / wanted))


@pytest.mark.oracle
def test_the_oracle_environment_has_every_backend():
    assert set(NAMES) >= {"numpy", "torch", "jax", "strict"}


# Draws


@others
@dtypes
def test_initial_parameters_are_the_same_bits(name, dtype):
    init = xpnn.initializers
    kinds = [init.Normal(), init.glorot_normal, init.glorot_uniform, init.he_normal, init.he_uniform]
    kinds += [init.lecun_normal, init.lecun_uniform, init.Orthogonal()]
    layers = [xpnn.Dense(16, kind) for kind in kinds]

    def draw(backend):
        model = xpnn.Model(layers, (12,), backend=backend, dtype=dtype, seed=2**40 + 7)
        return {path: model.backend.to_numpy(a) for path, a in model.parameters().items()}

    ours, theirs = draw("numpy"), draw(name)
    assert list(ours) == list(theirs)
    for path, a in ours.items():
        assert a.dtype == theirs[path].dtype == dtype
        assert a.tobytes() == theirs[path].tobytes(), path


@others
@dtypes
def test_shuffles_and_splits_are_the_same(name, dtype):
    """What reaches the steps of two epochs, batch by batch, after a fifth was held out."""
    x = np.arange(1, 51, dtype=dtype)[:, None]

    def batches(backend):
        model = xpnn.Model([xpnn.Dense(1)], (1,), backend=backend, dtype=dtype, seed=5)
        trainer, seen = xpnn.Trainer(model, "mean_squared_error", xpnn.SGD(0.0)), []
        drawn, be = trainer.compiled_indexed_step, model.backend

        def watch(theta, phi, state, position, data, n):
            cursor, order = position
            seen.append(be.to_numpy(be.take_rows(data[0], be.rows_at(order, cursor, n)))[:, 0].tolist())
            return drawn(theta, phi, state, position, data, n)

        trainer.compiled_indexed_step = watch
        trainer.fit(x, x, epochs=2, batch_size=8, validation=0.2)
        return seen

    ours = batches("numpy")
    assert ours == batches(name)
    first, second = (list(itertools.chain(*ours[i : i + 5])) for i in (0, 5))
    assert first != second
    assert sorted(first) == sorted(second)
    assert len(set(first)) == 40


@others
@dtypes
def test_dropout_masks_are_the_same_bits(name, dtype):
    """Over layers, steps and shapes, small numbers and large ones."""
    for key in ((0, 1), (2**63 - 1, 4, 2)):
        for tick in (0, 1, 2**40):
            for shape in ((1, 1), (7, 5), (64, 300)):
                drawn = []
                for backend in ("numpy", name):
                    be = get_backend(backend, None, dtype)
                    with be.device_context():
                        cx = Ctx(be, True, key, be.scalar(tick, be.xp.int64))
                        y, _ = Dropout(0.3).forward(
                            cx, {}, be.xp.ones(shape, dtype=be.dtype, device=be.device)
                        )
                        u = be.uniform(key, cx.tick, shape)
                        drawn.append((be.to_numpy(y).tobytes(), be.to_numpy(u).tobytes()))
                assert drawn[0] == drawn[1]


@others
@dtypes
def test_every_step_draws_the_same_fresh_mask(name, dtype):
    """Inside a whole, compiled step: with one sample a bias moves exactly where its unit was kept."""
    x, y = np.ones((1, 400), dtype), np.zeros((1, 400), dtype)

    def kept(backend):
        layers = [xpnn.Dense(400, xpnn.initializers.zeros, xpnn.initializers.ones), Dropout(0.5)]
        model = xpnn.Model(layers, (400,), backend=backend, dtype=dtype, seed=9)
        trainer = xpnn.Trainer(model, "mean_squared_error", xpnn.SGD(1.0))
        be, trace = model.backend, [np.ones(400)]
        for _ in range(3):
            trainer.step(be.asarray(x), be.asarray(y))
            trace.append(be.to_numpy(model.parameters()["0.b"]).copy())
        return [tuple(a != b) for a, b in itertools.pairwise(trace)]

    masks = kept("numpy")
    assert masks == kept(name)
    assert len(set(masks)) == 3
    assert all(150 < sum(mask) < 250 for mask in masks)


# Training


@others
@dtypes
def test_loss_curves_agree_with_numpy(name, dtype, digits, reference):
    got, trainer = curve(name, dtype, digits, xpnn.Adam())
    assert furthest(got, reference[dtype]) <= CURVE[dtype]
    assert got[-20:].mean() < 0.2 * got[0]
    assert trainer.model.backend.owns(trainer.model.theta)
    assert str(trainer.model.theta.dtype).endswith(dtype)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["Adam", "SGD"])
def test_loss_curve_agrees_with_plain_pytorch(kind, digits):
    """torch.nn, autograd and torch.optim, begun from the same weights."""
    torch = pytest.importorskip("torch")
    ours, settings = (
        (xpnn.Adam(1e-3), {"lr": 1e-3})
        if kind == "Adam"
        else (xpnn.SGD(0.1, 0.9), {"lr": 0.1, "momentum": 0.9})
    )
    start = {k: torch.from_numpy(np.array(v)) for k, v in wide("numpy", "float64").parameters().items()}
    net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)).double()
    with torch.no_grad():
        for layer, path in ((net[0], "2"), (net[2], "4")):
            layer.weight.copy_(start[f"{path}.W"].T)
            layer.bias.copy_(start[f"{path}.b"])
    optimizer, measure, theirs = (
        getattr(torch.optim, kind)(net.parameters(), **settings),
        torch.nn.CrossEntropyLoss(),
        [],
    )
    x, y = torch.from_numpy(digits[0].reshape(-1, 784) / 255), torch.from_numpy(digits[1])
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        optimizer.zero_grad()
        loss = measure(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    got, trainer = curve("numpy", "float64", digits, ours)
    assert furthest(got, np.asarray(theirs)) <= CURVE["float64"]
    assert error(trainer.model.parameters()["2.W"], net[0].weight.detach().T) <= CURVE["float64"]


@others
def test_two_backends_live_in_one_process(name, digits, reference):
    """Steps taken in turn give what each gives alone."""
    trainers = [xpnn.Trainer(wide(backend, "float64")) for backend in ("numpy", name)]
    curves = [[advance(trainer, digits, step) for trainer in trainers] for step in range(20)]
    first, second = np.asarray(curves).T
    assert np.array_equal(first, reference["float64"][:20])
    assert furthest(second, first) <= CURVE["float64"]


# Compilation


@dataclass(frozen=True)
class Counter(Layer):
    """The identity; counts how often Python runs it, and whether it saw tracers."""

    def __post_init__(self):
        object.__setattr__(self, "seen", [])

    def forward(self, cx, p, x):
        self.seen.append(type(x).__name__)
        return x, ()

    def backward(self, cx, p, cache, dy):
        self.seen.append(type(dy).__name__)
        return dy, {}


@pytest.mark.skipif("jax" not in NAMES, reason="jax is not installed")
def test_jax_compiles_the_whole_step_once_per_shape():
    counter = Counter()
    model = xpnn.Model([xpnn.Dense(4), counter, Dropout(0.5), xpnn.Dense(3)], (5,), backend="jax", seed=0)
    trainer, be = xpnn.Trainer(model, schedule="cosine"), model.backend
    trainer.total = 20
    trainer.step(be.asarray(np.ones((6, 5), np.float32)), be.asarray(np.zeros(6, np.int64)))
    once = list(counter.seen)
    assert len(once) == 2  # one forward, one backward
    assert all("Tracer" in kind for kind in once)
    for _ in range(9):  # the rate, the step counter and the mask change; nothing is compiled again
        trainer.step(be.asarray(np.ones((6, 5), np.float32)), be.asarray(np.zeros(6, np.int64)))
    assert counter.seen == once
    trainer.step(be.asarray(np.ones((2, 5), np.float32)), be.asarray(np.zeros(2, np.int64)))
    assert len(counter.seen) == 2 * len(once)


@pytest.mark.skipif("jax" not in NAMES, reason="jax is not installed")
def test_jax_runs_the_optimizer_inside_the_compiled_step():
    """The compiled program holds every product of the two passes, and Adam's root: nothing is left to Python."""
    jax = importlib.import_module("jax")
    trainer = xpnn.Trainer(wide("jax", "float32"))
    model, be = trainer.model, trainer.model.backend
    x, y = be.asarray(np.zeros((BATCH, 28, 28, 1), np.uint8)), be.asarray(np.zeros(BATCH, np.int64))
    with be.device_context():
        text = trainer.compiled_step.__wrapped__.lower(
            model.theta, model.phi, trainer.state, x, y, None
        ).as_text()
    assert text.count("stablehlo.dot_general") == 5  # x W and h V forward; dV, dh, dW backward; not dx
    assert "stablehlo.sqrt" in text
    assert jax.config.jax_enable_x64 is False  # the 64-bit switch is ours alone, not the process's
