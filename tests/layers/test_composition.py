"""Containers: paths, what they take and give, what they refuse, and what Recompute saves."""

from dataclasses import dataclass

import numpy as np
import pytest
from cases import Case
from harness import arrays_on, context, open_backend
from tolerances import assert_same

import xpnn
from xpnn import Dense, Dropout, Flatten, Parallel, Recompute, Rescale, Residual, Sequential, Softmax, Tanh
from xpnn.errors import ShapeError, UsageError
from xpnn.parameters import leaves, tree_map

BLOCK = Sequential((Dense(64), Tanh(), Dropout(0.5), Dense(64), Tanh(), Dense(8)))


def paths(net, shape):
    return [path for path, _ in leaves(xpnn.Model([net], shape, seed=0).layout.specs)]


def test_parameters_have_the_path_of_their_layer():
    assert paths(Residual(Dense(3)), (3,)) == ["0.0.W", "0.0.b"]
    assert paths(Residual(Sequential((Tanh(), Dense(3)))), (3,)) == ["0.0.1.W", "0.0.1.b"]
    assert paths(Parallel((Tanh(), Dense(3))), (3,)) == ["0.1.W", "0.1.b"]
    assert paths(Recompute(Dense(3)), (3,)) == ["0.W", "0.b"]


@pytest.mark.parametrize(
    ("net", "shape", "path"),
    [
        (Residual(Dense(4)), (3,), "0"),
        (Residual(Sequential((Tanh(), Residual(Dense(4))))), (3,), "0.0.1"),
        (Residual(Sequential((Tanh(), xpnn.Reshape((5,))))), (3,), "0.0.1"),
        (Parallel((Tanh(), xpnn.Reshape((5,)))), (3,), "0.1"),
        (Parallel((Tanh(), Flatten())), (3, 2), "0"),
        (Parallel((Tanh(), Dense(4)), "add"), (3,), "0"),
        (Parallel((Dense(2), Dense(4)), "multiply"), (3,), "0"),
        (Recompute(xpnn.Reshape((5,))), (3,), "0"),
        (Parallel((Tanh(),)), (), "0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_with_the_path(net, shape, path):
    with pytest.raises(ShapeError) as caught:
        xpnn.Model([net], shape)
    assert caught.value.path == path


@pytest.mark.parametrize(
    "make",
    [
        lambda: Residual(Dense),
        lambda: Residual([Dense]),
        lambda: Parallel(()),
        lambda: Parallel((Dense(3), Tanh)),
        lambda: Parallel(Dense(3)),
        lambda: Parallel((Dense(3),), "concat"),
        lambda: Parallel((Dense(3),), 1),
        lambda: Recompute(None),
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(UsageError):
        make()


def test_what_containers_take_and_give():
    scale = Rescale(1 / 255)
    assert Residual(Rescale(2.0)).input_kind == "float"  # what is added to must be of the model's dtype
    assert Parallel((scale, scale)).input_kind == "any"
    assert Parallel((scale, Flatten())).input_kind == Parallel((Flatten(), Flatten())).input_kind == "float"
    assert Recompute(scale).input_kind == "any"
    assert (
        Parallel((Softmax(), Softmax()), "average").output_kind
        == Recompute(Softmax()).output_kind
        == "probabilities"
    )
    assert Parallel((Softmax(), Softmax())).output_kind == Residual(Softmax()).output_kind == ""
    assert not Residual(Tanh()).trained
    assert Parallel((Tanh(), Dense(1))).trained
    with pytest.raises(UsageError, match="wants logits"):
        xpnn.Trainer(xpnn.Model([Dense(3), Recompute(Softmax())], (3,)))


def kept(cache):
    """Bytes of distinct arrays in a cache."""
    return sum({id(a): a.nbytes for _, a in leaves(cache) if hasattr(a, "nbytes")}.values())


def test_recompute_keeps_its_input_alone():
    be = open_backend("numpy", "float64")

    x, p, _ = arrays_on(be, Case(BLOCK, (8,), batch=32))
    _, full = BLOCK.forward(context(be), p, x)
    _, small = Recompute(BLOCK).forward(context(be), p, x)
    assert kept(small) == x.nbytes
    assert kept(full) > 20 * x.nbytes


def test_recompute_changes_no_bit_of_training():
    """Dropout masks included: the same paths, the same streams, the same step."""
    x = np.random.default_rng(0).standard_normal((64, 8))
    trained = []
    for net in (BLOCK, Recompute(BLOCK), Recompute(Recompute(BLOCK))):
        model = xpnn.Model([Dense(8), net, Dense(3)], (8,), seed=5)
        model.fit(x, np.arange(64) % 3, epochs=2, batch_size=16, verbose=0)
        trained.append(model.snapshot()["theta"])
    assert_same(trained[1], trained[0])
    assert_same(trained[2], trained[0])


def test_statistics_inside_containers_are_updated():
    """A layer that counts its training steps in phi, in every container, is counted once per step."""
    be = open_backend("numpy", "float64")
    from xpnn.layers import Layer, Spec

    @dataclass(frozen=True)
    class Counting(Layer):
        def plan(self, shape):
            return {"n": Spec((1,), xpnn.initializers.zeros, trainable=False)}, shape

        def forward(self, cx, p, x):
            return x, ()

        def backward(self, cx, p, cache, dy):
            return dy, {}

        def update_stats(self, cx, p, cache):
            return {"n": p["n"] + 1}

    for net in (Residual(Counting()), Parallel((Tanh(), Counting())), Recompute(Counting())):
        specs, _ = net.plan((2,))
        p = tree_map(lambda _, spec: np.zeros(spec.shape), specs)
        _, cache = net.forward(context(be), p, np.ones((1, 2)))
        assert [a.tolist() for _, a in leaves(net.update_stats(context(be), p, cache))] == [[1.0]]


NET = [Dense(4), Residual(Sequential((Tanh(), Dense(4)))), Parallel((Dense(2), Residual(Tanh()))), Dense(3)]


def test_gradcheck_walks_into_containers():
    rows = xpnn.gradcheck(NET, (5,))
    assert all(row.ok for row in rows)
    found = list(dict.fromkeys((row.path, row.layer) for row in rows))
    assert found == [
        ("0", "Dense"),
        ("1", "Residual"),
        ("1.0.0", "Tanh"),
        ("1.0.1", "Dense"),
        ("2", "Parallel"),
        ("2.0", "Dense"),
        ("2.1", "Residual"),
        ("2.1.0", "Tanh"),
        ("3", "Dense"),
    ]


def test_summary_walks_into_containers():
    table = xpnn.Model(NET, (5,), seed=0).summary()
    wanted = ["0", "1", "1.0.0", "1.0.1", "2", "2.0", "2.1", "2.1.0", "3"]
    assert [line.split()[0] for line in table.splitlines()[2:-2]] == wanted
    assert "Recompute(layer=Dense(units=3))" in xpnn.Model(Recompute(Dense(3)), (2,)).summary()
