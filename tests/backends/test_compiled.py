"""Compiled steps make the steps of uncompiled ones, and free nothing that somebody still holds."""

import numpy as np
import pytest
from tolerances import assert_close

import xpnn
from xpnn.errors import UsageError

SHAPE = (6, 6, 1)
NETS = {
    "masks": [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dropout(0.3), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dense(3)],
    "statistics": [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(4, 3), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.MaxPool2D(2), xpnn.Flatten(),
        xpnn.Dense(3),
    ],
    "sequences": [xpnn.Rescale(1 / 255), xpnn.Reshape((6, 6)), xpnn.LSTM(3), xpnn.Dense(3)],
}  # fmt: skip
RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (12, *SHAPE)).astype(np.uint8), RNG.integers(0, 3, 12)


def trainer(net, backend, dtype="float64", optimizer="adam"):
    model = xpnn.Model(net, SHAPE, backend=backend, dtype=dtype, seed=0)
    return xpnn.Trainer(model, "softmax_cross_entropy", optimizer)


def losses(trained, sizes=(12, 12, 12)):
    be = trained.model.backend
    return [float(trained.step(be.asarray(X[:n]), be.asarray(Y[:n]))) for n in sizes]


@pytest.fixture
def graphs(monkeypatch):
    """The traced graphs, run as they are in place of what Inductor makes of them."""
    torch, made = pytest.importorskip("torch"), []

    def keep(graph, inputs, options):
        made.append(graph)
        return lambda *tensors: graph(*tensors)

    monkeypatch.setattr(torch._inductor, "compile", keep)
    return made


def after(monkeypatch, seconds):
    monkeypatch.setenv("XPNN_COMPILE_AFTER", seconds)


@pytest.mark.oracle
@pytest.mark.parametrize("net", NETS)
def test_a_traced_step_is_the_step(monkeypatch, graphs, net):
    after(monkeypatch, "never")
    plain = trainer(NETS[net], "torch")
    wanted = losses(plain)
    assert not graphs
    after(monkeypatch, "0")
    traced = trainer(NETS[net], "torch")
    assert losses(traced) == wanted
    assert len(graphs) == 1, "one set of shapes is traced once"
    for name, vector in plain.model.snapshot().items():
        assert np.array_equal(traced.model.snapshot()[name], vector), name


@pytest.mark.oracle
def test_a_traced_step_that_goes_wrong_changes_nothing(monkeypatch, graphs):
    after(monkeypatch, "0")
    traced = trainer(NETS["masks"], "torch")
    losses(traced)
    before, be = traced.model.snapshot(), traced.model.backend
    bad = be.asarray(np.full((12, *SHAPE), np.nan))
    assert np.isnan(float(traced.step(bad, be.asarray(Y))))
    assert not bool(traced.state["ok"])
    assert np.array_equal(traced.model.snapshot()["theta"], before["theta"])
    assert len(graphs) == 2  # bytes, and floats


@pytest.mark.oracle
def test_few_sets_of_shapes_are_compiled(monkeypatch, graphs):
    from xpnn.backends.inductor import CompiledOnRequest

    after(monkeypatch, "0")
    be = xpnn.get_backend("torch")
    twice = CompiledOnRequest(be, lambda a: 2 * a)
    assert [twice(be.zeros((n,))).shape[0] for n in range(12)] == list(range(12))
    assert len(graphs) == 8


@pytest.mark.oracle
def test_a_function_is_compiled_when_its_calls_have_taken_long(monkeypatch, graphs):
    from xpnn.backends.inductor import CompiledOnRequest

    be = xpnn.get_backend("torch")
    after(monkeypatch, "2.5")
    times = iter(range(100))  # a call takes a second
    twice = CompiledOnRequest(be, lambda a: 2 * a, lambda: float(next(times)))
    found = [(float(twice(be.scalar(k))), len(graphs)) for k in range(5)]
    assert found == [(0, 0), (2, 0), (4, 0), (6, 1), (8, 1)]
    assert twice(be.zeros((3,))).shape == (3,)
    assert len(graphs) == 1, "other shapes have a time of their own"


@pytest.mark.oracle
def test_without_a_compiler_steps_go_on_and_say_so_once(monkeypatch):
    torch = pytest.importorskip("torch")
    from torch._inductor.exc import InvalidCxxCompiler

    def refuse(*_):
        raise InvalidCxxCompiler

    monkeypatch.setattr(torch._inductor, "compile", refuse)
    after(monkeypatch, "never")
    wanted = losses(trainer(NETS["masks"], "torch"))
    after(monkeypatch, "0")
    with pytest.warns(RuntimeWarning, match=r"uncompiled: no C\+\+ compiler .* install g\+\+") as notes:
        assert losses(trainer(NETS["masks"], "torch")) == wanted
    assert len(notes) == 1


@pytest.mark.oracle
@pytest.mark.slow
def test_a_compiled_step_is_the_step(monkeypatch):
    pytest.importorskip("torch")
    if not compiler():
        pytest.skip("g++ is not installed")
    after(monkeypatch, "never")
    net = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dropout(0.3), xpnn.Dense(3)]
    wanted = losses(plain := trainer(net, "torch", "float32", xpnn.SGD(0.1)))
    after(monkeypatch, "0")
    found = losses(compiled := trainer(net, "torch", "float32", xpnn.SGD(0.1)))
    assert_close(found, wanted, "float32")
    assert_close(compiled.model.snapshot()["theta"], plain.model.snapshot()["theta"], "float32")


def compiler():
    import shutil

    return shutil.which("g++")


@pytest.mark.parametrize("word", ["soon", "-1", "nan"])
def test_a_patience_that_is_no_time_is_refused(monkeypatch, word):
    from xpnn.backends.inductor import patience

    after(monkeypatch, word)
    with pytest.raises(UsageError, match=f"{word}.*wanted seconds"):
        patience()


OPTIMIZERS = {
    "Adam": xpnn.Adam(1e-2),
    "Lookahead": xpnn.optimizers.Lookahead(xpnn.Adam(1e-2), 2),
    "EMA": xpnn.optimizers.EMA(xpnn.SGD(0.1)),
}


@pytest.mark.oracle
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_jax_gives_memory_away_but_none_that_somebody_holds(optimizer):
    pytest.importorskip("jax")
    net = [
        xpnn.Flatten(),
        xpnn.Rescale(1 / 255),
        xpnn.Dense(3, bias=False),
    ]  # one parameter: it is all of theta
    trained = trainer(net, "jax", optimizer=OPTIMIZERS[optimizer])
    model = trained.model
    first = model.theta
    losses(trained, (12,))
    theta, _ = model.given_away()
    losses(trained, (12,))
    assert theta.is_deleted(), "the memory is given away"
    held = [first, model.theta, model.phi, *model.parameters().values(), *trained.state.values()]
    values = [np.array(a) for a in held]
    losses(trained)
    assert not any(a.is_deleted() for a in held)
    assert all(np.array_equal(a, value) for a, value in zip(held, values, strict=True))
    assert not np.array_equal(model.theta, held[1])


@pytest.mark.oracle
def test_jax_trains_as_numpy_does_with_memory_given_away():
    pytest.importorskip("jax")
    results = []
    for backend in ("numpy", "jax"):
        trained = trainer(NETS["masks"], backend, optimizer=xpnn.SGD(0.1))
        history = trained.fit(X, Y, epochs=3, batch_size=6, validation=(X, Y))
        results.append(([row.train_loss for row in history], trained.model.snapshot()))
    (wanted, weights), (found, others) = results
    assert_close(found, wanted, "float64")
    for name, vector in weights.items():
        assert_close(others[name], vector, "float64", name)
