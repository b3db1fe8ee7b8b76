"""Fused rules and their backend: which results are overwritten, which operands are rounded, what is planned."""

from dataclasses import dataclass

import numpy as np
import pytest
from harness import open_backend, rng_of

import xpnn
from xpnn.backends.chain import Chain, Part
from xpnn.backends.dense_slots import DenseSlot
from xpnn.backends.numpy import NumpyBackend
from xpnn.fusion import fuse, fuse_optimizer, planned
from xpnn.fusion.plan import is_simple, parts_of
from xpnn.fusion.single_sample import is_chain, slots_of
from xpnn.layers import Ctx
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.parameters import Layout, tree_map


class Noting(NumpyBackend):
    """It notes which ReLUs may write over dy, and the shapes of the operands that are rounded."""

    def __init__(self, whole_passes=True):
        super().__init__("cpu", "float64")
        self.overwritten, self.rounded, self.whole_passes = [], [], whole_passes

    def relu_grad(self, dy, y, may_overwrite=False):
        self.overwritten.append((dy.shape[1:], may_overwrite))
        return super().relu_grad(dy, y, may_overwrite)

    def operand(self, a):
        self.rounded.append(a.shape)
        return a


def walked(layers, shape, n=3, be=None, **settings):
    """A fused chain there and back: the backend, and dy as it is afterwards and as it was."""
    be, plain = be or Noting(), xpnn.Sequential(layers)
    net, (specs, out) = fuse(plain), plain.plan(shape)
    rng = rng_of("asked", repr(layers))
    p = tree_map(lambda _, spec: be.asarray(spec.init(rng, spec.shape)), specs)
    x, dy = rng.standard_normal((n, *shape)), rng.standard_normal((n, *out))
    before, cx = (
        dy.copy(),
        Ctx(be, True, (7,), be.scalar(3, be.xp.int64), need_dx=settings.get("need_dx", True)),
    )
    _, cache = net.forward(cx, p, x)
    net.backward(cx, p, cache, dy, None, settings.get("may_overwrite", False))
    return be, dy, before


Dense, ReLU, Flatten, Tanh = xpnn.Dense, xpnn.ReLU, xpnn.Flatten, xpnn.Tanh
OVERWRITTEN = {
    "the caller's dy": ([Dense(4), ReLU()], (5,), [((4,), False)]),
    "the caller's dy in another shape": (
        [Dense(4), ReLU(), xpnn.Reshape((2, 2)), Flatten()],
        (5,),
        [((4,), False)],
    ),
    "another ReLU's dx": ([ReLU(), ReLU()], (5,), [((5,), False), ((5,), True)]),
    "a product": ([Dense(4), ReLU(), Dense(3)], (5,), [((4,), True)]),
    "what a layer gives that may be dy itself": (
        [ReLU(), Tanh(), ReLU()],
        (5,),
        [((5,), False), ((5,), False)],
    ),
    "a maximum's dx, in another shape": (
        [ReLU(), Flatten(), xpnn.Reshape((4, 4, 1)), xpnn.MaxPool2D(2)],
        (4, 4, 1),
        [((4, 4, 1), True)],
    ),
    "what statistics give": ([ReLU(), xpnn.BatchNorm()], (5,), [((5,), True)]),
    "a mean's dx": ([ReLU(), xpnn.AvgPool1D(2)], (4, 2), [((4, 2), True)]),
    "a convolution's dx": ([ReLU(), xpnn.Conv1D(2, 2)], (4, 2), [((4, 2), True)]),
    "in a chain within a chain": (
        [Dense(4), ReLU(), xpnn.Sequential([ReLU(), Dense(3)])],
        (5,),
        [((4,), True), ((4,), False)],
    ),
}


@pytest.mark.parametrize("name", OVERWRITTEN)
def test_a_relu_writes_over_what_nobody_else_holds(name):
    layers, shape, wanted = OVERWRITTEN[name]
    be, dy, before = walked(layers, shape)
    assert be.overwritten == wanted
    assert np.array_equal(dy, before)


def test_may_overwrite_lets_the_last_relu_write_into_dy():
    be, dy, before = walked([ReLU()], (5,), may_overwrite=True)
    assert be.overwritten == [((5,), True)]
    assert not np.array_equal(dy, before)
    be, *_ = walked([ReLU(), Flatten()], (5,), may_overwrite=True)
    assert be.overwritten == [((5,), True)]
    be, *_ = walked([ReLU(), Tanh()], (5,), may_overwrite=True)
    assert be.overwritten == [((5,), False)]


ROUNDED = {
    "Dense": ([Dense(4), ReLU(), Dense(2)], (5,), [(3, 5), (5, 4), (3, 4), (4, 2)]),
    "a simple recurrent layer": ([xpnn.SimpleRNN(4)], (2, 5), [(5, 4), (4, 4)]),
    "an LSTM": ([xpnn.LSTM(4)], (2, 5), [(5, 16), (4, 16)]),
    "a GRU both ways": ([xpnn.Bidirectional(xpnn.GRU(4))], (2, 5), [(5, 12), (4, 12)] * 2),
    "attention": ([xpnn.MultiHeadAttention(2)], (3, 4), [*[(4, 4)] * 4, (3, 3, 4)]),
    "Maxout": ([xpnn.Maxout(4, 3)], (5,), [(5, 12), (3, 5)]),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_operands_are_rounded_once(name):
    """The matrices of weights, and the input where it is multiplied and nothing else; biases never."""
    layers, shape, wanted = ROUNDED[name]
    be, *_ = walked(layers, shape, be=Noting(whole_passes=False))
    own = sorted(wanted)
    assert sorted(be.rounded[: len(own)]) == own


# Chains that are planned


class Scaled(Dense):
    """Another formula in a subclass."""


PLANS = {
    "all that may be in one": (
        [
            Flatten(),
            xpnn.Sequential(()),
            xpnn.Dropout(0.1),
            Dense(5),
            ReLU(),
            xpnn.Dropout(0.5),
            Dense(4),
            ReLU(),
        ],
        (Part(2, 0.1), Part(3, None, True), Part(5, 0.5), Part(6, None, True)),
    ),
    "no ReLU": ([Dense(5), Dense(4)], (Part(0), Part(1))),
    "Dropout at the end": ([Dense(5), xpnn.Dropout(0.0)], (Part(0), Part(1, 0.0))),
    "nothing to multiply": ([xpnn.Dropout(0.5)], ()),
    "a shape alone": ([Flatten()], ()),
    "nothing": ([], ()),
    "no bias": ([Dense(5), Dense(4, bias=False)], ()),
    "a subclass": ([Scaled(5)], ()),
    "two ReLUs": ([Dense(5), ReLU(), ReLU()], ()),
    "a ReLU in front": ([ReLU(), Dense(5)], ()),
    "a ReLU behind a mask": ([Dense(5), xpnn.Dropout(0.5), ReLU()], ()),
    "a ReLU behind the first mask": ([xpnn.Dropout(0.5), ReLU(), Dense(5)], ()),
    "another activation": ([Dense(5), Tanh()], ()),
    "Flatten behind a Dense": ([Dense(5), Flatten()], ()),
    "an empty chain behind a Dense": ([Dense(5), xpnn.Sequential(())], ()),
    "a chain within": ([xpnn.Sequential([Dense(5)])], ()),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_parts_of_a_chain(name):
    layers, parts = PLANS[name]
    assert parts_of(xpnn.Sequential(layers)) == parts


def test_only_sequential_layers_have_parts():
    assert parts_of(Dense(5)) == parts_of(xpnn.Residual([Dense(5)])) == ()


class Planner:
    """A backend that gives back what it is asked to plan."""

    def planned(self, step, chain):
        return step, chain


@pytest.mark.parametrize("first", [Flatten(), xpnn.Dropout(0.2)])
def test_what_a_backend_is_told_of_a_chain(first):
    net = xpnn.Sequential([first, Dense(4), ReLU()])
    layout = Layout(net.plan((5,))[0])
    own, plain = (
        fuse_optimizer(xpnn.Adam().bind(layout.params)),
        xpnn.optimizers.RMSProp().bind(layout.params),
    )
    clipped = fuse_optimizer(xpnn.Adam(clip_norm=1.0).bind(layout.params))
    assert (is_simple(own), is_simple(plain), is_simple(clipped)) == (True, False, False)

    def asked(loss=None, optimizer=own, net=net):
        return planned("step", net, loss or SoftmaxCrossEntropy(), layout, Planner(), 17, optimizer, True)

    parts = (Part(1, None, True),) if type(first) is Flatten else (Part(0, 0.2), Part(1, None, True))
    assert asked() == ("step", Chain(parts, type(first) is Flatten, layout, own, 17, True))
    for other in (
        asked(loss=SoftmaxCrossEntropy(label_smoothing=0.1)),
        asked(optimizer=plain),
        asked(optimizer=clipped),
        asked(net=xpnn.Sequential([first, Dense(4), Tanh()])),
    ):
        assert other == "step"


# Chains for one sample


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        ([Dense(4)], True),
        ([Dense(4), Dense(3)], True),
        ([Dense(4), ReLU(), Dense(3), ReLU()], True),
        ([xpnn.Dropout(0.5), Dense(4), xpnn.Dropout(0.5), ReLU(), xpnn.Dropout(0.5)], True),
        ([], False),
        ([xpnn.Dropout(0.5)], False),
        ([ReLU()], False),
        ([ReLU(), Dense(4)], False),
        ([Dense(4), ReLU(), ReLU()], False),
        ([Dense(4), ReLU(), xpnn.Dropout(0.1), ReLU()], False),
        ([Dense(4), Dense(3, bias=False)], False),
        ([Scaled(4)], False),
        ([Dense(4), Scaled(4)], False),
        ([Dense(4), Tanh()], False),
        ([Flatten(), Dense(4)], False),
    ],
)
def test_which_networks_one_sample_goes_through_at_once(layers, wanted):
    assert is_chain(xpnn.Sequential(layers)) is wanted


def test_the_places_of_weights_in_their_vector():
    net = xpnn.Sequential(
        [xpnn.Dropout(0.5), Dense(4), ReLU(), xpnn.Dropout(0.1), Dense(3), Dense(2), ReLU()]
    )
    layout = Layout(net.plan((5,))[0])
    assert slots_of(net, layout) == (
        DenseSlot(0, 20, 5, 4, relu=True),
        DenseSlot(24, 36, 4, 3, relu=False),
        DenseSlot(39, 45, 3, 2, relu=True),
    )
    assert not is_chain(Dense(4))


@pytest.mark.parametrize("mode", ["numpy", "fast"])
def test_one_sample_through_a_vector_that_is_too_short_or_of_another_dtype(mode):
    """The loops would read other memory: they compute nothing. NumPy's products find that out by themselves."""
    be, chain = open_backend(mode, "float32"), (DenseSlot(2, 14, 3, 4, True), DenseSlot(18, 26, 4, 2, False))
    outputs, rng = be.one_sample(chain), rng_of("one sample")
    theta, x = rng.standard_normal(28).astype("f4"), rng.standard_normal((1, 3)).astype("f4")
    hidden = np.maximum(x @ theta[2:14].reshape(3, 4) + theta[14:18], 0)
    wanted = hidden @ theta[18:26].reshape(4, 2) + theta[26:28]
    np.testing.assert_allclose(outputs(theta, x), wanted, rtol=1e-5)
    np.testing.assert_allclose(outputs(np.append(theta, theta), x), wanted, rtol=1e-5)
    for bad in (np.nan, np.inf, -np.inf):
        for i in range(3):
            assert outputs(theta, np.where(np.arange(3) == i, np.float32(bad), x)) is None
    if mode == "fast":
        assert outputs(theta[:27], x) is None
        assert outputs(theta.astype("f8"), x) is None
        assert outputs(np.repeat(theta, 2)[::2], x) is None


WAYS = {
    "as many weights as outputs": ([xpnn.Conv2D(3, 2), xpnn.BatchNorm()], (3, 3, 2), 2, "conv"),
    "more weights": ([xpnn.Conv2D(3, 2), xpnn.BatchNorm()], (3, 3, 2), 1, "conv, then the gain"),
    "more outputs, and a ReLU": (
        [xpnn.Conv2D(3, 2), xpnn.BatchNorm(), ReLU()],
        (3, 4, 2),
        3,
        "conv and ReLU",
    ),
    "as many rows as inputs": ([Dense(4), xpnn.BatchNorm()], (5,), 5, "affine"),
    "fewer rows": ([Dense(4), xpnn.BatchNorm()], (5,), 4, "matmul"),
    "rows of positions": ([Dense(4), xpnn.BatchNorm()], (2, 5), 3, "affine"),
    "a ReLU behind": ([Dense(4), xpnn.BatchNorm(), ReLU()], (5,), 5, "affine_relu"),
}


@pytest.mark.parametrize("name", WAYS)
def test_batch_norm_is_folded_into_the_smaller_of_weights_and_outputs(name):
    """Into the weights, or where these are more than the outputs into those."""
    layers, shape, n, wanted = WAYS[name]
    found = []

    class Asked(Noting):
        def conv(self, x, W, b, window, groups=1, relu=False):
            found.append("conv, then the gain" if b is None else "conv and ReLU" if relu else "conv")
            return super().conv(x, W, b, window, groups, relu)

        def affine(self, *given):
            found.append("affine")
            return super().affine(*given)

        def affine_relu(self, *given):
            found.append("affine_relu")
            return super().affine_relu(*given)

    plain, be = xpnn.Sequential(layers), Asked()
    specs, _ = plain.plan(shape)
    rng = rng_of("ways", name)
    p = tree_map(lambda _, spec: be.asarray(1 + rng.random(spec.shape)), specs)
    x, cx = rng.standard_normal((n, *shape)), Ctx(be, False)
    y, _ = fuse(plain).forward(cx, p, x)
    assert (found or ["matmul"]) == [wanted]
    np.testing.assert_allclose(
        y, plain.forward(Ctx(NumpyBackend("cpu", "float64"), False), p, x)[0], rtol=1e-12
    )


@dataclass(frozen=True)
class Seen(xpnn.Layer):
    """It notes whether its gradient is needed, each time it is walked back through."""

    def plan(self, shape):
        return {}, shape

    def forward(self, cx, p, x):
        return x, ()

    def backward(self, cx, p, cache, dy):
        NEEDED.append(cx.need_dx)
        return dy, {}


NEEDED = []


@pytest.mark.parametrize(
    ("layers", "need_dx", "products", "needed"),
    [
        ([Dense(4), ReLU(), Dense(3)], True, 2, []),
        ([Dense(4), ReLU(), Dense(3)], False, 1, []),
        ([Dense(4)], False, 0, []),
        ([Seen(), Dense(4), Seen(), Dense(3)], True, 2, [True, True]),
        ([Seen(), Dense(4), Seen(), Dense(3)], False, 1, [True]),
        ([Seen(), Seen()], False, 0, []),
        ([Dense(4), Seen()], False, 0, [True]),
    ],
)
def test_gradients_that_nobody_needs_are_not_computed(layers, need_dx, products, needed):
    """Back to the first layer that is trained, and no product for what is before it."""
    made = []

    class Counting(Noting):
        def affine_dx(self, dy, W, x):
            made.append(W.shape)
            return super().affine_dx(dy, W, x)

    NEEDED.clear()
    walked(layers, (5,), be=Counting(), need_dx=need_dx)
    assert (len(made), NEEDED) == (products, needed)
