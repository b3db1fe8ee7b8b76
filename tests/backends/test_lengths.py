"""Lengths of vectors whose squares overflow or vanish: clipping, constraints, angles, distances; and eps."""

import numpy as np
import pytest
from harness import inside

import xpnn
from xpnn.config import short_repr
from xpnn.errors import DivergedError, UsageError
from xpnn.kernels.length import length, scaled, unit
from xpnn.layers import Ctx, GroupNorm, InstanceNorm, LayerNorm, LpNormalize, RMSNorm
from xpnn.losses import Contrastive, CosineEmbedding, Triplet
from xpnn.optimizers import LAMB, LARS, SGD, Adafactor, Adam, Constrained, MaxNorm, Muon, UnitNorm
from xpnn.optimizers.base import clip_scale
from xpnn.parameters import ParamInfo

RTOL = 2e-6
SIZES = [1e-25, 1e-12, 1e-3, 1.0, 3.9, 4.1, 1e12, 1e20, 9e37]
VECTORS = np.array([[3.0, 0, -4], [1, 1, 1], [0, 0, 0], [-2, 1e-3, 2]]) / 4
"""No entry above 1: times 3e38 they are float32 still."""


@pytest.fixture
def be(mode):
    """In float32, where it matters."""
    with inside(mode, "float32") as backend:
        yield backend


def put(be, values):
    return be.asarray(np.asarray(values, np.float64).astype(np.float32))


def both(be, f, *given):
    """f as it is and compiled: XLA divides by multiplying with what may be too small a number."""
    return [be.to_numpy(be.compile(f)(*given)), be.to_numpy(f(*given))]


@pytest.mark.parametrize("size", [*SIZES, 3e38])
def test_lengths_and_directions(be, size):
    x = put(be, size * VECTORS)
    wanted = np.linalg.norm(VECTORS, axis=1)
    for got in both(be, lambda x: length(be, x, 1), x):
        if size * wanted.max() < 3e38:
            np.testing.assert_allclose(got[:, 0], size * wanted, rtol=RTOL)
    for got in both(be, lambda x: unit(be, x, 1), x):
        some = np.where(wanted > 0, wanted, 1)[:, None]
        np.testing.assert_allclose(got, VECTORS / some, rtol=RTOL, atol=1e-9)
    for got in both(be, lambda x: scaled(be, x, 1)[0], x):
        assert (
            (np.abs(got).max(1) <= 4 * (1 + RTOL)) & (np.abs(got).max(1) >= (wanted > 0) * (1 - RTOL))
        ).all()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("size", [1e-3, 1e20, 3e38])
def test_rows_of_length_1_whatever_their_length(be, size, p):
    """The gradient is the row's own without its part along x, over a length that may be more than float32 holds."""
    x, dy, layer = put(be, size * VECTORS), put(be, VECTORS[::-1]), LpNormalize(p)
    n = np.linalg.norm(VECTORS, p, axis=1, keepdims=True) + (VECTORS == 0).all(1, keepdims=True)
    y, s = VECTORS / n, np.sign(VECTORS) if p == 1 else VECTORS / n
    slopes = (VECTORS[::-1] - s * (VECTORS[::-1] * y).sum(1, keepdims=True)) / n
    for got in both(be, lambda x: layer.forward(Ctx(be), {}, x)[0], x):
        np.testing.assert_allclose(got, y, rtol=RTOL, atol=1e-9)
    if size < 1e30:  # at 3e38 it is below all numbers of float32
        some = (VECTORS != 0).any(1)
        for got in both(
            be, lambda x: layer.backward(Ctx(be), {}, layer.forward(Ctx(be), {}, x)[1], dy)[0], x
        ):
            np.testing.assert_allclose(size * got[some], slopes[some], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("limit", [1e-3, 1.0, 1e30])
@pytest.mark.parametrize("size", [*SIZES, 3e38])
def test_clipping(be, size, limit):
    """min(1, limit / (|g| + 1e-6)) in float64; what is short enough keeps its bits."""
    x = put(be, size * VECTORS.reshape(-1))
    g = be.to_numpy(x).astype(np.float64)
    factor = min(1.0, limit / (np.linalg.norm(g) + 1e-6))

    def clipped(x):
        s, f = clip_scale(be, x, limit)
        return x / s * f

    for got in both(be, clipped, x):
        if factor == 1:
            assert np.array_equal(got, be.to_numpy(x))
        else:
            np.testing.assert_allclose(got, factor * g, rtol=4e-6, atol=1e-30)


OPTIMIZERS = [
    SGD(0.5, clip_norm=1.0),
    SGD(0.5, momentum=0.9, clip_norm=1.0),
    Adam(0.1, clip_norm=1.0, weight_decay=0.1),
    LARS(0.5, clip_norm=1.0, trust=0.1),
    LAMB(0.1, clip_norm=1.0),
    Adafactor(0.1, clip_norm=1.0),
    Muon(0.1, clip_norm=1.0),
    Constrained(SGD(1.0), (UnitNorm("*.W", 0),)),
    Constrained(SGD(1.0), (MaxNorm("*.W", 2.0, 0),)),
]
PARAMS = (ParamInfo("0.W", 0, 9, (3, 3)), ParamInfo("0.b", 9, 12, (3,), weight=False, decay=0.0))


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=short_repr)
def test_a_gradient_of_1e38_moves_every_backend_alike(be, optimizer):
    """Its direction is that of a small one; float64 has no difficulty with either."""
    optimizer = optimizer.bind(PARAMS)

    def step(be, size):
        theta = be.asarray(np.linspace(-1, 1, 12), be.dtype) + 0
        grad = be.asarray(np.asarray(size * VECTORS.reshape(-1)), be.dtype)
        update = be.compile(
            lambda theta, grad: optimizer.update(be, theta, grad, optimizer.init(be, theta))[0]
        )
        return be.to_numpy(update(theta, grad))

    got = step(be, 1e38)
    with inside("numpy", "float64") as wide:
        wanted = step(wide, 1e38)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.against("formula")
@pytest.mark.parametrize("sizes", [(1e20, 1.0), (1e-3, 1e20), (3e38, 3e38), (1e25, 1e-2), (5.0, 3.0)])
def test_an_angle_does_not_depend_on_the_lengths(be, sizes):
    a, b = (size * np.array([[3.0, 0, -4], [1, 1, 1]]) / 4 for size in sizes)
    b = b[:, ::-1] + np.array([[0, sizes[1] / 2, 0]])
    p, t = put(be, a), put(be, b)
    value, dp = CosineEmbedding()(be, p, t)
    lengths = np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)
    cos = (a / lengths[0] * (b / lengths[1])).sum(1, keepdims=True)
    np.testing.assert_allclose(be.to_numpy(value), (1 - cos).mean(), rtol=1e-5, atol=1e-6)
    wanted = (cos * a / lengths[0] - b / lengths[1]) / lengths[0] / 2
    np.testing.assert_allclose(be.to_numpy(dp), wanted, rtol=1e-4, atol=2e-7 / lengths[0].min() + 1e-37)


@pytest.mark.parametrize("size", [1e-25, 1e20, 1e38])
def test_distances(be, size):
    """Of Triplet the slopes have no size; of Contrastive they are the differences."""
    z, ids = np.array([[0.0, 1], [1, 0], [0.25, 0.25], [-1, 0]]), be.asarray(np.array([0, 0, 1, 1]))
    with inside("numpy", "float64") as wide:
        triplet = Triplet(1e-30)(wide, size * z, np.array([0, 0, 1, 1]))
        pairs = Contrastive(1e-30)(wide, size * z, np.array([0, 0, 1, 1]))[1]
    value, dz = Triplet(1e-30)(be, put(be, size * z), ids)
    np.testing.assert_allclose(be.to_numpy(value), triplet[0], rtol=1e-5)
    np.testing.assert_allclose(be.to_numpy(dz), triplet[1], rtol=1e-5, atol=1e-6)
    dz = be.to_numpy(Contrastive(1e-30)(be, put(be, size * z), ids)[1])
    np.testing.assert_allclose(dz, pairs, rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("layer", [LayerNorm(), RMSNorm(), GroupNorm(1), InstanceNorm()], ids=short_repr)
def test_normalizations_say_so(be, layer):
    """NaN, which a training step refuses, where 0 would hide that the squares were infinite."""
    model = xpnn.Model([layer], (3, 4), backend=be.name, seed=0)
    x = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    with np.errstate(all="ignore"):
        assert np.isnan(model.forward(1e25 * x)).any()
    assert np.isfinite(model.forward(1e15 * x)).all()
    model = xpnn.Model([layer, xpnn.Flatten(), xpnn.Dense(2)], (3, 4), backend=be.name, seed=0)
    with pytest.raises(DivergedError):
        model.fit(1e25 * x, [0, 1], epochs=1, verbose=0)


# eps


GUARDED = {
    "Adam": lambda eps: Adam(eps=eps),
    "AdamW": lambda eps: xpnn.AdamW(eps=eps),
    "AMSGrad": lambda eps: xpnn.AMSGrad(eps=eps),
    "NAdam": lambda eps: xpnn.NAdam(eps=eps),
    "RAdam": lambda eps: xpnn.RAdam(eps=eps),
    "Adamax": lambda eps: xpnn.Adamax(eps=eps),
    "Adadelta": lambda eps: xpnn.Adadelta(eps=eps),
    "AdaGrad": lambda eps: xpnn.AdaGrad(eps=eps),
    "RMSProp": lambda eps: xpnn.RMSProp(eps=eps, centered=True, momentum=0.5),
    "LAMB": lambda eps: LAMB(eps=eps),
    "Adafactor": lambda eps: Adafactor(eps1=eps),
    "Muon": lambda eps: Muon(eps=eps),
    "others of Muon": lambda eps: Muon(others=Adam(eps=eps)),
}


def test_every_optimizer_with_an_eps_is_here():
    from xpnn.optimizers import FULL_BATCH, OPTIMIZERS

    with_eps = {
        kind.__name__ for kind in (OPTIMIZERS | FULL_BATCH).values() if {"eps", "eps1"} & set(vars(kind()))
    }
    assert with_eps == GUARDED.keys() - {"others of Muon"}


@pytest.mark.parametrize("name", GUARDED)
def test_an_eps_keeps_a_weight_without_gradient_where_it_is(be, name):
    """0, and what is 0 in the model's dtype, is refused by name and value; the smallest that is not serves."""
    for eps in (0.0, -1e-8, np.nan):
        with pytest.raises(UsageError, match=r"eps1?="):
            GUARDED[name](eps)
    theta = be.asarray(np.linspace(-1, 1, 12), be.dtype)
    for eps in (1e-50, 1e-39):
        with pytest.raises(UsageError, match=rf"eps1?={eps}\): too small for float32"):
            GUARDED[name](eps).bind(PARAMS).init(be, theta)
    optimizer = GUARDED[name](2e-38).bind(PARAMS)
    theta, state = theta + 0, optimizer.init(be, theta)
    for _ in range(3):
        theta, state = optimizer.update(be, theta, be.xp.zeros_like(theta), state)
    assert np.isfinite(be.to_numpy(theta)).all()
    if name != "AdamW":  # which decays by default
        np.testing.assert_allclose(be.to_numpy(theta), np.linspace(-1, 1, 12), rtol=0.01)
