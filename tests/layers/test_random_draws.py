"""What layers draw while training, number by number from the stream of their seed, path and step; and small limits."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from harness import open_backend

import xpnn
from xpnn.backends.share import Share
from xpnn.errors import ShapeError
from xpnn.layers import Ctx
from xpnn.layers.random_transform import spread

BE = open_backend("numpy", "float64")
KEY, TICK, N = (7, 3), np.asarray(5), 40
CX = Ctx(BE, True, KEY, TICK)


def drawn(*shape):
    return BE.uniform(KEY, TICK, shape)


@pytest.mark.parametrize("n", [1, 3])
def test_two_draws_for_each_image(n):
    for i in (0, 1):
        assert np.array_equal(spread(CX, n, i), 2 * drawn(n, 2)[:, i] - 1)
    assert np.array_equal(spread(CX, n), spread(CX, n, 0))


def test_motions_are_made_of_their_draws():
    u = 2 * drawn(N, 2) - 1
    one, nothing = (1.0, 0.0)

    def moved(layer):
        transform, field = layer.moves(CX, N, (10, 7))
        assert field is None
        return transform

    assert_same(
        moved(xpnn.RandomShift(0.2)), (one, nothing, -10 * 0.2 * u[:, 0], nothing, one, -7 * 0.2 * u[:, 1])
    )
    t = math.radians(30) * u[:, 0]
    assert_same(
        moved(xpnn.RandomRotation(30)), (np.cos(t), np.sin(t), nothing, -np.sin(t), np.cos(t), nothing)
    )
    z = 1 + 0.5 * u[:, 0]
    assert_same(moved(xpnn.RandomZoom(0.5)), (1 / z, nothing, nothing, nothing, 1 / z, nothing))
    assert_same(moved(xpnn.RandomShear(30)), (one, nothing, nothing, np.tan(t), one, nothing))


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


@pytest.mark.parametrize(
    ("rate", "sides"), [(0.6, (0.2, 0.8)), (1.0, (0.0, 1.0)), (0.9, (0.3, 0.3)), (1.0, (1.0, 1.0))]
)
def test_a_rectangle_is_erased_where_the_draws_say(rate, sides):
    """Its height and width from the second and fourth draw, its place from the third and fifth."""
    x, draws = 1 + np.arange(N * 70.0).reshape(N, 10, 7, 1), drawn(N, 5)
    wanted = x.copy()
    for i, (chosen, *rest) in enumerate(draws):
        ends = []
        for (length, start), side in zip((rest[:2], rest[2:]), (10, 7), strict=True):
            low, high = (math.floor(share * side + 0.5) for share in sides)
            size = low + math.floor(length * (high - low + 1))
            first = math.floor(start * (side + 1 - size))
            ends.append(slice(first, first + size))
        if chosen < rate:
            wanted[i][ends[0], ends[1]] = 0
    y, cache = xpnn.RandomErase(rate, sides).forward(CX, {}, x)
    assert np.array_equal(y, wanted)
    dx, _ = xpnn.RandomErase(rate, sides).backward(CX, {}, cache, x)
    assert np.array_equal(dx, wanted)


@pytest.mark.parametrize(("axis", "flipped"), [("horizontal", 2), ("vertical", 1)])
def test_images_are_mirrored_where_the_draws_say(axis, flipped):
    x = np.arange(N * 12.0).reshape(N, 4, 3, 1)
    turned = drawn(N, 1, 1, 1) < 0.3
    wanted = np.where(turned, np.flip(x, flipped), x)
    y, cache = xpnn.RandomFlip(0.3, axis).forward(CX, {}, x)
    assert np.array_equal(y, wanted)
    assert np.array_equal(xpnn.RandomFlip(0.3, axis).backward(CX, {}, cache, y)[0], x)
    assert 0 < turned.sum() < N


@pytest.mark.parametrize("train", [False, True])
def test_without_a_chance_or_in_evaluation_nothing_is_drawn(train):
    x, cx = np.ones((2, 4, 3, 1)), Ctx(BE, train, KEY, TICK if train else None)
    for layer in (xpnn.RandomErase(0.0 if train else 0.5), xpnn.RandomFlip(0.0 if train else 0.5)):
        y, cache = layer.forward(cx, {}, x)
        assert y is x
        assert cache == ()
        assert layer.backward(cx, {}, cache, x)[0] is x


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_share_of_a_batch_draws_what_the_whole_would(axis):
    """`axis` counts samples: of seven, this process has numbers two to four."""
    shape = (2, 3, 7, 5)[2 - axis :]
    whole = CX.uniform(shape, axis)
    be = open_backend("numpy", "float64")
    shared = type("Sharing", (type(be),), {"share": Share(2, 3, 7)})("cpu", "float64")
    part = Ctx(shared, True, KEY, TICK).uniform((*shape[:axis], 3, *shape[axis + 1 :]), axis)
    assert np.array_equal(part, np.take(whole, [2, 3, 4], axis))


def test_the_context_of_a_layer_inside():
    cx = Ctx(BE, True, KEY, TICK, False)
    assert cx.child(4) == Ctx(BE, True, (7, 3, 4), TICK, False)
    assert cx.child("a", True) == Ctx(BE, True, (7, 3, "a"), TICK, True)
    assert CX.child(0, False).need_dx is False
    assert CX.child(0).need_dx is True


@pytest.mark.parametrize(
    ("shape", "least"), [((5,), 2), ((1, 5), 2), ((1, 1, 5), 2), ((2, 5), 1), ((1, 2, 5), 1), ((3, 1, 1), 1)]
)
def test_one_value_per_feature_has_no_variance(shape, least):
    assert xpnn.BatchNorm().min_batch_size(shape) == least


@pytest.mark.parametrize(("steps", "constant"), [(0, True), (15, True), (17, False), (40, False)])
def test_a_feature_that_differs_by_rounding_alone_is_constant(steps, constant):
    """Eight units in the last place are rounding: the standard deviation of two values is half of what is between."""
    eps = np.finfo(np.float64).eps
    layer = xpnn.Standardize.fit(np.array([[1.0, 0.0], [1.0 + steps * eps, 2.0]]))
    assert layer.std[1] == 1.0
    assert (layer.std[0] == 1.0) is constant
    assert layer.mean[1] == 1.0


@dataclass(frozen=True)
class Silent(xpnn.Layer):
    """A layer without a gradient for its input."""

    def plan(self, shape):
        return {}, shape

    def forward(self, cx, p, x):
        return x, ()

    def backward(self, cx, p, cache, dy):
        return None, {}


def test_a_graph_says_which_way_its_shapes_came():
    graph = xpnn.Graph(
        inputs=("x", "z"),
        nodes={
            "a": (xpnn.Dense(3), "x"),
            "b": (xpnn.Dense(4), "a"),
            "c": (xpnn.Dense(4), "z"),
            "unused": (xpnn.Dense(9), "z"),
            "d": (xpnn.Dense(2), "x"),
            "sum": (xpnn.Add(), ("b", "c", "d")),
            "last": (xpnn.Add(), ("sum", "unused")),
        },
        outputs="last",
    )
    with pytest.raises(ShapeError) as caught:
        graph.plan(((5,), (6,)))
    assert str(caught.value) == (
        "layer sum Add() wants one shape to add, but for axes of 1\n"
        "  why: got [(4,), (4,), (2,)]\n"
        "  fix: shapes on the way: x (5,), z (6,) -> a Dense (3,) -> b Dense (4,) -> c Dense (4,) -> d Dense (2,) -> "
        "sum Add (here)"
    )
    for shape in ((5,), ((5,),), ((5,), (6,), (7,))):
        with pytest.raises(ShapeError, match="takes 2 inputs: x, z"):
            graph.plan(shape)
    shared = xpnn.Graph(
        inputs="x", nodes={"a": (xpnn.Dense(3), "x"), "b": (xpnn.Shared("a"), "a")}, outputs="b"
    )
    with pytest.raises(ShapeError) as caught:
        shared.plan((5,))
    assert str(caught.value) == (
        "layer b Dense shares the parameters of 'a', which were made for another shape\n"
        "  why: got (3,)\n"
        "  fix: shapes on the way: x (5,) -> a Dense (3,) -> b Dense (here)"
    )


def test_a_value_that_two_nodes_take_gets_the_sum_of_their_gradients():
    """Also where one of them has none, first or last, and none where nobody has one."""
    x, dy = np.ones((2, 3)), np.full((2, 3), 5.0)
    for nodes, wanted in (
        ({"a": (xpnn.ReLU(), "x"), "b": (xpnn.ReLU(), "x")}, 10 * x),
        ({"a": (Silent(), "x"), "b": (xpnn.ReLU(), "x")}, 5 * x),
        ({"a": (xpnn.ReLU(), "x"), "b": (Silent(), "x")}, 5 * x),
        ({"a": (Silent(), "x"), "b": (Silent(), "x")}, None),
    ):
        graph = xpnn.Graph(inputs="x", nodes=nodes | {"sum": (xpnn.Add(), ("a", "b"))}, outputs="sum")
        p = {name: {} for name in (*nodes, "sum")}
        y, cache = graph.forward(CX, p, x)
        assert np.array_equal(y, 2 * x)
        dx, _ = graph.backward(CX, p, cache, dy)
        assert dx is wanted if wanted is None else np.array_equal(dx, wanted)
        assert graph.backward(CX._replace(need_dx=False), p, cache, dy)[0] is None
