"""Attention of several inputs, what is hidden from it, and what it and positional encoding refuse."""

import functools

import numpy as np
import pytest
from harness import (
    context,
    derivative_error,
    fingerprints,
    host_arrays,
    inside,
    open_backend,
    read_only,
    rng_of,
)
from tolerances import GRADIENT, assert_close

import xpnn
from xpnn import MultiHeadAttention, PositionalEncoding
from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Normal
from xpnn.parameters import leaves, tree_map

BATCH = 3
LOUD = {"over": "warn", "invalid": "warn", "divide": "warn"}
INPUTS = [
    (MultiHeadAttention(2, cross=True), ((3, 4), (2, 5))),
    (MultiHeadAttention(2, masked=True), ((3, 4), (3,))),
    (MultiHeadAttention(3, 2, causal=True, masked=True, bias_init=Normal(0.5)), ((4, 2), (4,))),
    (MultiHeadAttention(1, 3, cross=True, masked=True, dropout=0.3), ((2, 3), (4, 2), (4,))),
]
each = pytest.mark.parametrize(("layer", "shapes"), INPUTS, ids=str)


def random_inputs(layer, shapes):
    """(inputs, parameters, dy) on the host. The first sample may see nothing, the second not its last step."""
    rng = rng_of(layer, shapes)
    specs, out = layer.plan(shapes)
    x = [rng.standard_normal((BATCH, *shape)) for shape in shapes]
    if layer.masked:
        x[-1] = np.ones_like(x[-1])
        x[-1][0], x[-1][1, -1] = 0, 0
    p = tree_map(lambda _, spec: spec.init(rng, spec.shape) + 0.2 * rng.standard_normal(spec.shape), specs)
    return tuple(x), p, rng.standard_normal((BATCH, *out))


@functools.cache
def both_of(be, layer, need_dx=True):
    def both(p, x, dy):
        y, cache = layer.forward(context(be, need_dx=need_dx), p, x)
        read_only(be, cache)
        return y, *layer.backward(context(be, need_dx=need_dx), p, cache, dy)

    return be.compile(both)


def on(be, tree):
    return read_only(be, tree_map(lambda _, a: be.asarray(np.array(a), be.dtype), tree))


@each
def test_shapes_dtypes_and_values_hold_and_inputs_stay(any_be, layer, shapes):
    be, tree = any_be, on(any_be, random_inputs(layer, shapes))
    before = fingerprints(be, tree)
    x, p, dy = tree
    y, dx, grads = both_of(be, layer)(p, x, dy)
    assert fingerprints(be, tree) == before
    assert y.shape == (BATCH, *shapes[0])
    assert isinstance(dx, tuple)
    assert [None if a is None else tuple(a.shape) for a in dx] == [
        None if len(shape) == 1 else (BATCH, *shape) for shape in shapes
    ]
    assert {k: tuple(a.shape) for k, a in grads.items()} == {k: a.shape for k, a in p.items()}
    one = open_backend("numpy", "float64")
    x, p, dy = on(one, random_inputs(layer, shapes))
    reference = both_of(one, layer)(p, x, dy)
    for (name, a), (_, b) in zip(host_arrays(be, (y, dx, grads)), host_arrays(one, reference), strict=True):
        assert a.dtype == be.dtype_name
        assert_close(a, b, be.dtype_name, name)


@each
def test_gradients_are_the_derivatives(be, layer, shapes):
    x, p, dy = random_inputs(layer, shapes)
    values = {"0": x[0], **({"1": x[1]} if layer.cross else {}), **p}

    def given(name, a):
        new = values | {name: a}
        inputs = tuple(new.get(str(i), part) for i, part in enumerate(x))
        return on(be, {k: new[k] for k in p}), on(be, inputs)

    def pullback(name, c):
        _, dx, grads = both_of(be, layer)(*given(name, values[name]), on(be, c.reshape(dy.shape)))
        return be.to_numpy(dict(leaves(dx) if name.isdigit() else grads.items())[name])

    for name, a in values.items():
        error = derivative_error(
            lambda a, name=name: be.to_numpy(both_of(be, layer)(*given(name, a), on(be, dy))[0]).reshape(-1),
            functools.partial(pullback, name),
            a,
            dy.size,
            rng_of("directions", layer, name),
        )
        assert error <= GRADIENT, name


@each
def test_without_dx_the_gradients_are_the_same(be, layer, shapes):
    x, p, dy = on(be, random_inputs(layer, shapes))
    _, dx, grads = both_of(be, layer, need_dx=False)(p, x, dy)
    assert dx is None
    for (name, a), (_, b) in zip(
        host_arrays(be, grads), host_arrays(be, both_of(be, layer)(p, x, dy)[2]), strict=True
    ):
        assert_close(a, b, "float64", name)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_who_may_see_nothing_gets_the_bias_and_gives_no_gradient(mode, dtype):
    """Large scores beside it, and no NaN, infinity or warning anywhere."""
    layer = MultiHeadAttention(2, masked=True)
    (x, _), p, dy = random_inputs(layer, ((3, 4), (3,)))
    mask = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 1]])
    with inside(mode, dtype) as be, np.errstate(**LOUD):
        values = on(be, (p, (100 * x, mask), dy))
        y, (dx, none), grads = both_of(be, layer)(*values)
        assert none is None
        assert all(np.isfinite(a).all() for _, a in host_arrays(be, (y, dx, grads)))
        y, dx = be.to_numpy(y), be.to_numpy(dx)
        assert_close(y[0], np.broadcast_to(p["bo"], (3, 4)), dtype)
        assert (dx[0] == 0).all()
        v = (100 * x[1, 1]) @ p["Wv"] + p["bv"]
        np.testing.assert_allclose(
            y[1], np.tile(v @ p["Wo"] + p["bo"], (3, 1)), rtol=1e-5
        )  # large sums of large terms
        assert (dx[1, [0, 2]] == 0).all()  # all weight on the one that is seen, whatever its score
        zero = both_of(be, layer)(values[0], (values[1][0], values[1][1] * 0), values[2])
        assert {name for name, a in host_arrays(be, zero[2]) if (a != 0).any()} == {"bo"}


def test_scores_beyond_exp_are_compared_all_the_same(be):
    """Scores of +-1e6: the largest takes all, and nothing overflows."""
    one = np.eye(2)
    p = {
        "Wq": one,
        "Wk": 1e3 * one,
        "Wv": one,
        "Wo": one,
        "bq": 0 * one[0],
        "bv": 0 * one[0],
        "bo": 0 * one[0],
    }
    x = np.array([[[1e3, 0], [0, 1e3], [-1e3, 0]]])
    with np.errstate(**LOUD):
        y, dx, _ = both_of(be, MultiHeadAttention(1))(*on(be, (p, x, np.ones((1, 3, 2)))))
    assert_close(be.to_numpy(y)[0, :2], x[0, :2], "float64")
    assert np.isfinite(be.to_numpy(dx)).all()


@pytest.mark.parametrize("t", range(4))
def test_the_future_changes_nothing(be, t):
    layer = MultiHeadAttention(2, causal=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 4))
    p = tree_map(lambda _, spec: rng.standard_normal(spec.shape), layer.plan((5, 4))[0])
    other = np.concatenate([x[:, : t + 1], 9 * rng.standard_normal((2, 4 - t, 4))], axis=1)
    dy = np.ones((2, 5, 4))
    a, b = (be.to_numpy(both_of(be, layer)(*on(be, (p, v, dy)))[0]) for v in (x, other))
    np.testing.assert_array_equal(a[:, : t + 1], b[:, : t + 1])
    assert (a[:, t + 1 :] != b[:, t + 1 :]).all()


def test_padding_changes_nothing(be):
    """Neither its values nor its length: attention on two tokens is attention on two of three."""
    layer = MultiHeadAttention(2, masked=True)
    (x, _), p, dy = random_inputs(layer, ((3, 4), (3,)))
    mask = np.tile([1.0, 1, 0], (BATCH, 1))
    for filler in (0.0, 1e30):
        padded = np.concatenate([x[:, :2], np.full((BATCH, 1, 4), filler)], axis=1)
        y = be.to_numpy(both_of(be, layer)(*on(be, (p, (padded, mask), dy)))[0])
        alone = both_of(be, MultiHeadAttention(2))(*on(be, (p, x[:, :2], dy[:, :2])))[0]
        assert_close(y[:, :2], be.to_numpy(alone), "float64")


def test_dropout_is_for_training_alone_and_keeps_the_mean():
    be = open_backend("numpy", "float64")
    layer = MultiHeadAttention(1, dropout=0.5, masked=True)
    rng = np.random.default_rng(0)
    x, p, _ = random_inputs(layer, ((200, 4), (200,)))
    p = p | {"bq": 0 * p["bq"], "Wq": 0 * p["Wq"], "Wv": np.eye(4), "Wo": np.eye(4)}  # a mean of x + bv
    x = 1 + rng.standard_normal(x[0].shape), np.ones_like(x[1])
    plain, dropped = (layer.forward(context(be, train), p, x)[0] for train in (False, True))
    assert_close(
        plain, np.broadcast_to(x[0].mean(1, keepdims=True) + p["bv"] + p["bo"], plain.shape), "float64"
    )
    assert (dropped != plain).all()
    assert np.abs((dropped - plain).mean(axis=1)).max() < 0.1  # 200 means, each of 100 of 200: about 0.01


SELF, CROSS = MultiHeadAttention(2), MultiHeadAttention(2, cross=True)
MASKED, ALL = MultiHeadAttention(2, masked=True), MultiHeadAttention(2, cross=True, masked=True)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (SELF, (4,), "wants a sequence"),
        (SELF, (2, 3, 4), "wants a sequence"),
        (SELF, (0, 4), "wants a sequence"),
        (SELF, (3, 0), "wants a sequence"),
        (SELF, (3, 5), "2 heads, which do not divide 5 features"),
        (SELF, ((3, 4), (3, 4)), "takes x"),
        (CROSS, (3, 4), "takes x and memory"),
        (CROSS, ((3, 4),), "takes x and memory"),
        (CROSS, ((3, 4), (0, 4)), "wants a sequence"),
        (CROSS, ((3, 4), (4,)), "wants a sequence"),
        (CROSS, ((3, 5), (3, 4)), "do not divide 5 features"),
        (MASKED, ((3, 4), (4,)), "wants a mask for 3 steps"),
        (MASKED, ((3, 4), (3, 1)), "wants a mask for 3 steps"),
        (MASKED, (3, 4), "takes x and mask"),
        (ALL, ((3, 4), (2, 4), (3,)), "wants a mask for 2 steps"),
        (ALL, ((3, 4), (2, 4)), "takes x and memory and mask"),
        (PositionalEncoding(), (4,), "wants a sequence"),
        (PositionalEncoding("learned"), (0, 4), "wants a sequence"),
        (PositionalEncoding(), (2, 3, 4), "wants a sequence"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer.plan(shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MultiHeadAttention(0), "heads=0"),
        (lambda: MultiHeadAttention(2.0), "heads=2.0"),
        (lambda: MultiHeadAttention(2, 0), "size=0"),
        (lambda: MultiHeadAttention(2, causal=1), "causal=1"),
        (lambda: MultiHeadAttention(2, causal=True, cross=True), "the memory has no future"),
        (lambda: MultiHeadAttention(2, dropout=1.5), "dropout=1.5"),
        (lambda: PositionalEncoding("sinusodial"), "did you mean 'sinusoidal'"),
        (lambda: PositionalEncoding(3), "kind=3"),
        (lambda: xpnn.initializers.Sinusoidal(0.0), "base=0.0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_the_path_is_named():
    with pytest.raises(ShapeError, match=r"layer 1 MultiHeadAttention\(heads=3\) has 3 heads"):
        xpnn.Model([PositionalEncoding(), MultiHeadAttention(3)], (5, 4))


def test_positions_are_fixed_or_trained():
    fixed, learned = (
        xpnn.Model([PositionalEncoding(kind)], (3, 5), seed=0) for kind in ("sinusoidal", "learned")
    )
    assert (fixed.layout.size, learned.layout.size) == ({"theta": 0, "phi": 15}, {"theta": 15, "phi": 0})


def test_sinusoidal_positions_written_out():
    """Three features: the last is a sine, and 10000^(2/3) steps make its radian."""
    P = xpnn.initializers.Sinusoidal()(None, (3, 3))
    slow = 10000 ** (2 / 3)
    assert_close(P, [[np.sin(t), np.cos(t), np.sin(t / slow)] for t in range(3)], "float64")
    P = xpnn.initializers.Sinusoidal(100.0)(None, (50, 8))
    turn = 1 / 100 ** (np.arange(0, 8, 2) / 8)  # one step is a rotation of every pair
    pairs = P[:, ::2] + 1j * P[:, 1::2]
    assert_close(pairs[1:], pairs[:-1] * np.exp(-1j * turn), "float64")


def test_attention_finds_what_is_marked():
    """One token is marked, and its kind is the class: a sum over positions cannot tell, a softmax over marks can."""
    rng = np.random.default_rng(0)
    n, time, kinds = 1024, 6, 3
    tokens, marked = rng.integers(0, kinds, (n, time)), rng.integers(0, time, n)
    y = tokens[np.arange(n), marked]
    x = np.concatenate([np.eye(kinds)[tokens], (np.arange(time) == marked[:, None])[..., None]], axis=-1)
    scores = []
    for first in (MultiHeadAttention(2, 4), xpnn.Dense(4)):
        model = xpnn.Model([first, xpnn.Flatten(), xpnn.Dense(kinds)], (time, kinds + 1), seed=0)
        model.fit(x[:768], y[:768], optimizer=xpnn.Adam(1e-2), epochs=20, batch_size=32, verbose=0)
        scores.append(model.evaluate(x[768:], y[768:])["accuracy"])
    assert scores[0] > 0.95
    assert scores[1] < 0.75
