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


@pytest.fixture
def small_pieces(monkeypatch):
    """Parameters of 8 numbers and more are pieces of their own."""
    pytest.importorskip("torch")
    monkeypatch.setattr("xpnn.backends.torch_pieces.LEAST", 8)


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
def test_a_traced_step_that_goes_wrong_changes_nothing(monkeypatch, graphs, small_pieces):
    after(monkeypatch, "0")
    traced = trainer(NETS["masks"], "torch")
    losses(traced)
    before, be = traced.model.snapshot(), traced.model.backend
    state = {name: a.clone() for name, a in traced.state.items()}
    bad = be.asarray(np.full((12, *SHAPE), np.nan))
    assert np.isnan(float(traced.step(bad, be.asarray(Y))))
    assert not bool(traced.state["ok"])
    assert np.array_equal(traced.model.snapshot()["theta"], before["theta"])
    assert all(np.array_equal(traced.state[name], a) for name, a in state.items() if name != "ok")
    assert len(graphs) == 2  # bytes, and floats


RULES = {
    "Adam": xpnn.Adam(1e-2),
    "penalties": xpnn.Adam(1e-2, l1=1e-3, l2=1e-3, weight_decay=1e-3),
    "clipped": xpnn.Adam(1e-2, clip_norm=0.1),
    "momentum": xpnn.SGD(0.1, momentum=0.9),
    "Lookahead": xpnn.optimizers.Lookahead(xpnn.Adam(1e-2), 2),
    "Accumulate": xpnn.optimizers.Accumulate(xpnn.Adam(1e-2), 2),
    "LAMB": xpnn.optimizers.LAMB(1e-2),
}


@pytest.mark.oracle
@pytest.mark.parametrize("optimizer", RULES)
def test_a_step_in_pieces_is_the_step(monkeypatch, graphs, small_pieces, optimizer):
    found = []
    for seconds in ("never", "0"):
        after(monkeypatch, seconds)
        trained = trainer(NETS["statistics"], "torch", optimizer=RULES[optimizer])
        found.append((losses(trained, (12, 12, 5, 12, 12)), trained.model.snapshot(), trained.state))
    (wanted, vectors, state), (values, others, after_all) = found
    assert values == wanted
    for name, vector in vectors.items():
        assert np.array_equal(others[name], vector), name
    for name, a in state.items():
        assert np.array_equal(after_all[name].numpy(), a.numpy()), name
    assert len(graphs) == 2


@pytest.mark.oracle
def test_no_gradient_is_joined_and_each_piece_is_written_in_place(monkeypatch, graphs, small_pieces):
    after(monkeypatch, "0")
    traced = trainer(NETS["masks"], "torch")
    losses(traced, (12,))
    nodes = graphs[0].graph.nodes
    written = [node.args[0] for node in nodes if str(node.target) == "aten.copy_.default"]
    assert len({node.name for node in written}) == 3 * 4  # of theta, m and v: two W, the first b, the other b
    assert all(node.op == "placeholder" for node in written)
    assert not [
        node for node in nodes if str(node.target) == "aten.cat.default" and node.meta["val"].shape[0] > 300
    ]


@pytest.mark.oracle
def test_numbers_are_computed_outside_of_loops(monkeypatch, graphs, small_pieces):
    """Adam's bias corrections would be computed anew in each loop over the weights, were they no results."""
    after(monkeypatch, "0")
    losses(trainer(NETS["masks"], "torch"), (12,))
    nodes = graphs[0].graph.nodes
    results = next(node for node in nodes if node.op == "output").args[0]
    needed, calls = set(), [node for node in nodes if node.op == "call_function"]
    for node in calls:
        if "val" in node.meta and node.meta["val"].numel() > 1:
            needed |= {a for a in node.all_input_nodes if a in calls and a.meta["val"].numel() == 1}
    constants = {node for node in needed if not node.all_input_nodes}
    assert needed - constants
    assert needed - constants <= set(results)


@pytest.mark.oracle
def test_a_compiled_step_writes_to_nothing_that_somebody_holds(monkeypatch, graphs, small_pieces):
    after(monkeypatch, "0")
    traced = trainer(NETS["masks"], "torch")
    model = traced.model
    first = model.theta
    losses(traced, (12,))
    theta, _ = model.given_away()
    assert theta is not first
    losses(traced, (12,))
    assert model.given_away()[0] is theta, "its memory is used again"
    held = [first, model.theta, *model.parameters().values(), *traced.state.values()]
    values = [a.clone() for a in held]
    losses(traced)
    assert all(np.array_equal(a, value) for a, value in zip(held, values, strict=True))
    assert not np.array_equal(model.theta, held[1])
    part = model.parameters()["3.W"]  # a view alone
    value = part.clone()
    losses(traced)
    assert np.array_equal(part, value)


@pytest.mark.oracle
def test_each_piece_is_looked_at_for_nan(monkeypatch, graphs, small_pieces):
    torch = pytest.importorskip("torch")
    from xpnn.backends.inductor import CompiledOnRequest

    after(monkeypatch, "0")
    be = xpnn.get_backend("torch")
    finite = CompiledOnRequest(
        be, lambda a: be.all_finite(be.concat_flat(None, [a[:8], a[8:10], a[10:]], ()))
    )
    assert finite(torch.ones(20))
    for k in (0, 9, 19):
        assert not finite(torch.ones(20).index_fill(0, torch.tensor(k), torch.nan))


@pytest.mark.oracle
def test_an_own_array_given_twice_is_two(monkeypatch, graphs, small_pieces):
    torch = pytest.importorskip("torch")
    from xpnn.backends.inductor import CompiledOnRequest

    after(monkeypatch, "0")
    both = CompiledOnRequest(
        xpnn.get_backend("torch"), lambda t: (0, (t[0] + 1, t[0] + 2 * t[1])), donated=(0,)
    )
    _, (a, _) = both((torch.ones(3), torch.ones(3)))
    _, (a, b) = both((a, a))
    assert (a.tolist(), b.tolist()) == ([3] * 3, [6] * 3)


@pytest.mark.oracle
def test_results_that_are_old_arrays_keep_their_values(monkeypatch, graphs, small_pieces):
    """An argument that is written over may be another result, or be given twice."""
    torch = pytest.importorskip("torch")
    from xpnn.backends.inductor import CompiledOnRequest

    after(monkeypatch, "0")
    be = xpnn.get_backend("torch")

    def step(tree):
        return 0, {"new": tree["new"] * 2 + tree["old"], "old": tree["new"]}

    compiled, a = CompiledOnRequest(be, step, donated=(0,)), torch.ones(3)
    tree = {"new": a, "old": a}
    for wanted in ([3, 1], [7, 3], [17, 7]):
        _, tree = compiled(tree)
        assert [int(tree[name][0]) for name in ("new", "old")] == wanted
    assert a.tolist() == [1, 1, 1]
    assert len(graphs) == 1


@pytest.mark.oracle
def test_slices_of_a_vector_in_pieces(monkeypatch, graphs, small_pieces):
    """One within a piece reads that piece; any other the whole vector."""
    torch = pytest.importorskip("torch")
    from xpnn.backends.inductor import CompiledOnRequest

    after(monkeypatch, "0")
    be = xpnn.get_backend("torch")

    def step(a, out):
        g = be.concat_flat(None, [a[:10] * 2, a[10:].reshape(2, -1) * 3], ())
        parts = [a[2:5], a[10:], a[12:-1], a[8:12], a[12:28:4], a[-3:]]
        (new,) = be.elementwise(lambda g, a: (g + a,), (g,), (a,))
        return [part * 1 for part in parts], new

    compiled, a = CompiledOnRequest(be, step, donated=(0,)), torch.arange(30.0)
    found, new = compiled(a, None)
    wanted, other = step(a, None)
    assert [part.tolist() for part in found] == [part.tolist() for part in wanted]
    assert new.tolist() == other.tolist() == [3 * k if k < 10 else 4 * k for k in range(30)]
    assert len([node for node in graphs[0].graph.nodes if node.op == "placeholder"]) == 2


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
def test_a_compiled_step_is_the_step(monkeypatch, small_pieces):
    pytest.importorskip("torch")
    if not compiler():
        pytest.skip("g++ is not installed")
    after(monkeypatch, "never")
    net = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dropout(0.3), xpnn.Dense(3)]
    optimizer = xpnn.SGD(0.1, momentum=0.9)
    wanted = losses(plain := trainer(net, "torch", "float32", optimizer))
    after(monkeypatch, "0")
    found = losses(compiled := trainer(net, "torch", "float32", optimizer))
    assert_close(found, wanted, "float32")
    assert_close(compiled.model.snapshot()["theta"], plain.model.snapshot()["theta"], "float32")
    before, be = compiled.model.snapshot()["theta"], compiled.model.backend
    bad = be.asarray(np.full((12, *SHAPE), np.nan, np.float32))
    assert np.isnan(float(compiled.step(bad, be.asarray(Y))))
    assert np.array_equal(compiled.model.snapshot()["theta"], before)
    assert not bool(compiled.state["ok"])


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
