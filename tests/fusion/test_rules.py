"""Every rule computes what the layers do one after the other: there, back, and their statistics."""

import functools
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest
from harness import compiled_forward, context, forward_and_backward, host_arrays, read_only, rng_of
from tolerances import assert_same

import xpnn
from xpnn import (
    GRU,
    LSTM,
    BatchNorm,
    Bidirectional,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Maxout,
    MaxPool2D,
    MultiHeadAttention,
    ReLU,
    SimpleRNN,
    Tanh,
)
from xpnn.fusion import RULES, FusedSequential, fuse
from xpnn.parameters import Layout, tree_map


@dataclass(frozen=True)
class Row:
    """Layers, the shape of a sample, and what rules make of them: each rule with how many layers it takes."""

    layers: tuple[object, ...]
    shape: tuple[int, ...]
    groups: str
    reordered: str = ""
    """Where sums are taken in another order, and float64 agrees to 1e-12: "everywhere", or in "evaluation" alone.

    Elsewhere it agrees bit for bit.
    """

    def __str__(self):
        return f"{self.groups}, of {self.shape}"


def dense_relu(n, last_relu=False):
    layers = [layer for units in range(4, 4 + n) for layer in (Dense(units), ReLU())]
    return tuple(layers if last_relu else layers[:-1])


ROWS = [
    Row(dense_relu(1), (5,), "DenseReLU 1"),
    Row(dense_relu(1, True), (5,), "DenseReLU 2"),
    Row(dense_relu(3), (5,), "DenseReLU 5"),
    Row(dense_relu(3, True), (5,), "DenseReLU 6"),
    Row(dense_relu(2, True), (3, 5), "DenseReLU 4"),
    Row(dense_relu(2), (2, 3, 5), "DenseReLU 3", reordered="everywhere"),
    Row((ReLU(), *dense_relu(2), Tanh(), Dense(3)), (5,), "ReLUInPlace 1, DenseReLU 3, Tanh, DenseReLU 1"),
    Row((Dense(1024), ReLU(), Dense(1024), ReLU(), Dense(3)), (6,), "DenseReLU 5", reordered="everywhere"),
    Row(
        (Dense(6), ReLU(), Dense(5, bias=False), ReLU(), Dense(3)),
        (5,),
        "DenseReLU 2, Dense, ReLUInPlace 1, DenseReLU 1",
    ),
    Row((Dense(6, bias=False), BatchNorm(), ReLU()), (8,), "Dense, BatchNorm, ReLUInPlace 1"),
    Row((Conv2D(3, 2),), (4, 5, 2), "ConvReLU 1"),
    Row((Conv2D(3, 2), ReLU()), (4, 5, 2), "ConvReLU 2"),
    Row((Conv2D(4, 3, 2, "same", groups=2), ReLU(), Conv2D(2, 1)), (6, 5, 2), "ConvReLU 2, ConvReLU 1"),
    Row(
        (Conv2D(3, 3), ReLU(), MaxPool2D(2), ReLU(), Flatten(), ReLU(), Dense(4)),
        (8, 8, 2),
        "ConvReLUMaxPool 3, ReLUInPlace 1, Flatten, ReLUInPlace 1, DenseReLU 1",
        reordered="everywhere",
    ),
    Row(
        (Conv2D(3, 2, bias=False), MaxPool2D(3, 2, 1), ReLU()),
        (5, 5, 2),
        "ConvReLUMaxPool 3",
        reordered="everywhere",
    ),
    Row(
        (Conv2D(8, 3, padding="same"), ReLU(), MaxPool2D(2), Conv2D(8, 3), ReLU()),
        (9, 12, 8),
        "ConvReLUMaxPool 3, ConvReLU 2",
        reordered="everywhere",
    ),
    Row((Conv2D(3, 3), MaxPool2D(2), Tanh()), (6, 6, 2), "ConvReLU 1, MaxPool2D, Tanh"),
    Row(
        (Dropout(0.4), Dense(6), ReLU(), Dropout(0.4), Dense(3)),
        (5,),
        "Dropout, DenseReLU 2, Dropout, DenseReLU 1",
    ),
    Row(
        (Dense(6), BatchNorm(), ReLU(), Dense(3)),
        (5,),
        "LinearBatchNorm 3, DenseReLU 1",
        reordered="evaluation",
    ),
    Row((Dense(6), BatchNorm()), (8,), "LinearBatchNorm 2", reordered="evaluation"),
    Row((Dense(6), BatchNorm(), Tanh()), (2, 3, 8), "LinearBatchNorm 2, Tanh", reordered="evaluation"),
    Row(
        (Dense(3), ReLU(), Dense(4), BatchNorm(), ReLU()),
        (5,),
        "DenseReLU 2, LinearBatchNorm 3",
        reordered="everywhere",
    ),
    Row(
        (Conv2D(4, 2, groups=2), BatchNorm(), ReLU()), (4, 5, 2), "LinearBatchNorm 3", reordered="evaluation"
    ),
    Row((Conv2D(3, 4, padding="same"), BatchNorm()), (2, 2, 4), "LinearBatchNorm 2", reordered="evaluation"),
    Row((BatchNorm(), ReLU(), Conv2D(2, 2)), (3, 3, 2), "BatchNorm, ReLUInPlace 1, ConvReLU 1"),
    Row((SimpleRNN(4),), (3, 5), "RoundedOnce 1"),
    Row((LSTM(4, sequences=True), GRU(3)), (3, 5), "WholeSequence 1, WholeSequence 1", "everywhere"),
    Row(
        (GRU(4, sequences=True, reverse=True), LSTM(3, reverse=True)),
        (3, 5),
        "WholeSequence 1, WholeSequence 1",
        "everywhere",
    ),
    Row(
        (GRU(3, True, bias=False), LSTM(3, bias=False)),
        (3, 5),
        "WholeSequence 1, WholeSequence 1",
        "everywhere",
    ),
    Row((Bidirectional(LSTM(4)),), (3, 5), "BothDirections 1", "everywhere"),
    Row((Bidirectional(GRU(4, True)), Dense(2)), (3, 5), "BothDirections 1, DenseReLU 1", "everywhere"),
    Row((Bidirectional(SimpleRNN(4)),), (3, 5), "RoundedOnce 1"),
    Row((MultiHeadAttention(2, dropout=0.3),), (3, 4), "RoundedOnce 1"),
    Row((Maxout(4, 3),), (5,), "RoundedOnce 1"),
]
NESTED = {
    "Residual": (xpnn.Residual([*dense_relu(2), Dense(5)]), (5,)),
    "Parallel": (xpnn.Parallel(([*dense_relu(2)], [Tanh(), *dense_relu(1, True)])), (5,)),
    "Sequential": (
        xpnn.Sequential([Dense(4), xpnn.Sequential(dense_relu(2, True)), Dense(3)]),
        (5,),
    ),
    "Recompute": (xpnn.Recompute([*dense_relu(2), Dropout(0.3)]), (5,)),
    "Residual with statistics": (xpnn.Residual([Dense(5), BatchNorm(), ReLU()]), (5,)),
    "Graph": (
        xpnn.Graph(
            inputs="x",
            nodes={
                "a": (xpnn.Sequential(dense_relu(2)), "x"),
                "b": (xpnn.Sequential((Dense(5), ReLU())), "x"),
                "again": (xpnn.Shared("a"), "b"),
                "sum": (xpnn.Add(), ("a", "again")),
            },
            outputs="sum",
        ),
        (5,),
    ),
}


def inputs(be, net, shape):
    """(p, x, dy) of random numbers, the parameters off their initial values."""
    specs, out = net.plan(shape)
    rng = rng_of("fusion", repr(net), shape)
    noise = lambda _, spec: be.asarray(spec.init(rng, spec.shape) + 0.2 * rng.random(spec.shape), be.dtype)  # noqa: E731
    x, dy = (be.asarray(rng.standard_normal((7, *s)), be.dtype) for s in (shape, out))
    return tree_map(noise, specs), x, dy


def compare(be, plain, fused, shape, reordered=""):
    """All that both give, while training and in evaluation, for a first layer and for a later one."""
    p, x, dy = inputs(be, plain, shape)
    for need_dx in (True, False) if be.name != "jax" else (True,):  # which would compile it all once more
        wanted = host_arrays(be, forward_and_backward(be, plain, need_dx)(p, x, dy))
        got = host_arrays(be, forward_and_backward(be, fused, need_dx)(*read_only(be, (p, x, dy))))
        assert [k for k, _ in got] == [k for k, _ in wanted]
        for (name, a), (_, b) in zip(got, wanted, strict=True):
            same(a, b, name, reordered == "everywhere")
    same(
        *(be.to_numpy(compiled_forward(be, net, False)(p, x)) for net in (fused, plain)),
        "evaluation",
        reordered,
    )


def same(got, wanted, name, reordered):
    if reordered:
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12 * scale, err_msg=name)
    else:
        assert_same(got, wanted, name)


def described(chain):
    """The groups of a chain, as rows name them."""
    return ", ".join(
        f"{type(rule).__name__} {stop - start}" if rule else type(chain.layers[start]).__name__
        for start, stop, rule in chain.groups
    )


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_row(rule):
    assert any(f"{rule.__name__} " in row.groups for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_rule_computes_what_its_layers_do(be, row):
    plain = xpnn.Sequential(row.layers)
    fused = fuse(plain)
    assert described(fused) == row.groups
    compare(be, plain, fused, row.shape, row.reordered)


@pytest.mark.parametrize("name", NESTED)
def test_rules_are_applied_in_every_container(be, name):
    plain, shape = NESTED[name]
    fused = fuse(plain)
    assert chains(fused) == {True}
    assert chains(plain) <= {False}
    assert fused.plan(shape) == plain.plan(shape)
    compare(be, plain, fused, shape, "evaluation" if "statistics" in name else "")


def chains(value):
    """Of all Sequentials in a network: are they fused?"""
    found = {isinstance(value, FusedSequential)} if isinstance(value, xpnn.Sequential) else set()
    parts = (
        value if isinstance(value, tuple) else vars(value).values() if isinstance(value, xpnn.Layer) else ()
    )
    return found.union(*map(chains, parts))


class Doubled(Dense):
    """Another formula in a subclass."""

    def forward(self, cx, p, x):
        y, cache = super().forward(cx, p, x)
        return 2 * y, cache


def test_a_subclass_is_left_as_it_is():
    fused = fuse(xpnn.Sequential([Doubled(4), ReLU()]))
    assert described(fused) == "Doubled, ReLUInPlace 1"


def test_without_rules_every_layer_is_on_its_own():
    fused = fuse(xpnn.Sequential(dense_relu(3)), ())
    assert described(fused) == "Dense, ReLU, Dense, ReLU, Dense"


class Pair(NamedTuple):
    first: xpnn.Layer
    rest: xpnn.Layer


@dataclass(frozen=True)
class Twice(xpnn.Layer):
    """A container of a user's own."""

    pair: Pair
    n: int = field(default=0, init=False)

    def __post_init__(self):
        object.__setattr__(self, "n", 2)


def test_containers_that_users_write_are_fused_too():
    inner = xpnn.Sequential([Dense(2), ReLU()])
    fused = fuse(Twice(Pair(Tanh(), xpnn.Residual(inner))))
    assert described(fused.pair.rest.layer) == "DenseReLU 2"
    assert (type(fused.pair), fused.n) == (Pair, 2)


def test_a_network_with_nothing_to_fuse_is_itself():
    for net in (Tanh(), xpnn.Residual(Tanh()), xpnn.Bidirectional(LSTM(3))):
        assert fuse(net) is net


def scaled(value, factor):
    return tree_map(lambda _, a: None if a is None else factor * a, value)


def wrong_dx(self, cx, cache, dy, need_dx, out, may_overwrite, right):
    dx, grads = right(self, cx, cache, dy, True, out, may_overwrite)
    return scaled(dx, -2), grads


FAULTS = {
    "dx of the wrong sign": {"backward": wrong_dx},
    "all gradients 0.01 % too large": {"backward": lambda *given, right: scaled(right(*given), 1.0001)},
    "outputs moved": {"forward": lambda *given, right: ((made := right(*given))[0] * 1.0001, made[1])},
    "y of another x": {"forward": lambda self, cx, p, x, right: right(self, cx, p, x * 1.0001)},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("rule", RULES)
def test_a_wrong_rule_is_caught(rule, fault):
    """By each of its rows."""
    be = xpnn.get_backend("numpy", dtype="float64")
    wrong = {name: functools.partialmethod(f, right=getattr(rule, name)) for name, f in FAULTS[fault].items()}
    rules = tuple(type(r.__name__, (r,), wrong) if r is rule else r for r in RULES)
    for row in ROWS:
        if f"{rule.__name__} " in row.groups:
            plain = xpnn.Sequential(row.layers)
            with pytest.raises(AssertionError):
                compare(be, plain, fuse(plain, rules), row.shape, row.reordered)


@pytest.mark.parametrize("row", [row for row in ROWS if "LinearBatchNorm" in row.groups], ids=str)
def test_gradients_in_evaluation_are_those_of_the_layers(be, row):
    """By running statistics, which do not depend on x."""
    plain = xpnn.Sequential(row.layers)
    p, x, dy = inputs(be, plain, row.shape)
    cx, found = context(be, train=False), []
    for net in (fuse(plain), plain):
        backward = be.compile(lambda p, x, dy, net=net: net.backward(cx, p, net.forward(cx, p, x)[1], dy))
        found.append(host_arrays(be, backward(p, x, dy)))
    for (name, a), (_, b) in zip(*found, strict=True):
        same(a, b, name, reordered=True)


def test_dy_is_overwritten_only_where_nobody_else_holds_it(be):
    """The dy that a chain is given belongs to its caller, the one that a later layer made anew does not."""
    net = fuse(xpnn.Sequential([Dense(4), ReLU()]))
    p, x, dy = inputs(be, net, (5,))
    before = be.to_numpy(dy).tobytes()
    cx = context(be)
    _, cache = net.forward(cx, p, x)
    net.backward(cx, p, cache, dy)
    assert be.to_numpy(dy).tobytes() == before


def test_gradients_are_written_to_the_given_arrays(be):
    """Weights and biases of Dense, biases of Conv2D, also in a chain within a chain; where arrays can be written to."""
    layers = [Conv2D(3, 2), ReLU(), Flatten(), xpnn.Sequential(dense_relu(2)), Dense(2)]
    net = fuse(xpnn.Sequential(layers))
    layout, (p, x, dy) = Layout(net.plan((4, 4, 2))[0]), inputs(be, net, (4, 4, 2))
    buffer = layout.gradient_buffer(be)
    if buffer.vector is None:
        return
    cx = context(be, need_dx=False)
    _, cache = net.forward(cx, p, x)
    _, grads = net.backward(cx, p, cache, dy, buffer.tree)
    _, plain = net.backward(cx, p, cache, dy)
    for part, wanted, place in zip(*map(layout.in_order, (grads, plain, buffer.tree)), strict=True):
        assert part is place or part.ndim == 4
        assert_same(be.to_numpy(part), be.to_numpy(wanted))
