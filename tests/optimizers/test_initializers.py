"""Initializers with a shape of their own: against their definitions, and PyTorch's where it has them."""

import math

import numpy as np
import pytest
from proof_table import used
from tolerances import SIGMAS

import xpnn
from xpnn import Conv1D, Conv2D, ConvTranspose2D, Model
from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.initializers import (
    Constant,
    Dirac,
    Identity,
    Sparse,
    TruncatedNormal,
    VarianceScaling,
    glorot_uniform,
    he_normal,
    lecun_normal,
)

N = 200_000


def initial_values(init, shape, seed=0):
    used(init)
    return init(np.random.default_rng(seed), shape)


@pytest.mark.against("distribution")
@pytest.mark.parametrize(("std", "limit"), [(1.0, 2.0), (0.3, 0.5), (2.0, 5.0)])
def test_truncated_normal_has_its_distribution(std, limit):
    """Kolmogorov and Smirnov's distance from the distribution function; 2.7 / sqrt(N) is passed once in a million."""
    w = np.sort(initial_values(TruncatedNormal(std, limit), (N,))) / std
    assert np.abs(w).max() <= limit
    assert np.abs(w).max() >= 0.98 * min(limit, 4)
    phi = np.array([math.erf(v / math.sqrt(2)) for v in w])
    wanted = (phi / math.erf(limit / math.sqrt(2)) + 1) / 2
    assert np.abs(wanted - (np.arange(N) + 0.5) / N).max() <= 2.7 / math.sqrt(N)


def test_truncated_normal_has_the_deviation_it_says():
    w = initial_values(TruncatedNormal(1.0), (N,))
    assert abs(w.std() / 0.87962566 - 1) <= SIGMAS / math.sqrt(2 * N)


@pytest.mark.against("distribution")
@pytest.mark.parametrize(
    ("sparsity", "rows", "zeros"), [(0.9, 300, 270), (0.35, 7, 3), (0.0, 5, 0), (1.0, 5, 5)]
)
def test_sparse_has_so_many_zeros_in_every_column(sparsity, rows, zeros):
    w = initial_values(Sparse(sparsity, 0.5), (rows, 40))
    assert ((w == 0).sum(axis=0) == zeros).all()
    if zeros < rows:
        left = w[w != 0]
        assert abs(left.std() / 0.5 - 1) <= SIGMAS / math.sqrt(2 * left.size)
        assert zeros == 0 or len({tuple(column) for column in (w == 0).T}) > 5  # not the same rows in each


@pytest.mark.against("formula")
@pytest.mark.parametrize("value", [2.5, (1.0, -2.0, 0.5)])
def test_a_constant_is_its_value_everywhere(value):
    w = initial_values(Constant(value), (4, 3))
    assert (w == np.array(value)).all()


def test_an_identity_layer_passes_its_input_on():
    model = xpnn.Model([xpnn.Dense(5, Identity())], (5,), dtype="float64", seed=0)
    x = np.random.default_rng(0).standard_normal((3, 5))
    assert np.array_equal(model.forward(x), x)


@pytest.mark.oracle
@pytest.mark.against("PyTorch")
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (5, 5), (1, 7)])
def test_identity_equals_torchs(shape):
    torch = pytest.importorskip("torch")
    assert np.array_equal(
        initial_values(Identity(), shape), torch.nn.init.eye_(torch.empty(shape[::-1])).numpy().T
    )


@pytest.mark.oracle
@pytest.mark.against("PyTorch")
@pytest.mark.parametrize("window", [(3,), (4,), (3, 5), (2, 1), (3, 3, 2)])
@pytest.mark.parametrize(
    ("channels", "groups"), [((3, 3), 1), ((2, 5), 1), ((5, 2), 1), ((2, 6), 3), ((3, 4), 2)]
)
def test_dirac_equals_torchs(window, channels, groups):
    """Their kernels are (c_out, c_in, window)."""
    torch = pytest.importorskip("torch")
    theirs = torch.nn.init.dirac_(torch.empty((*channels[::-1], *window)), groups).numpy()
    assert np.array_equal(
        initial_values(Dirac(groups), (*window, *channels)), np.moveaxis(theirs, (0, 1), (-1, -2))
    )


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (TruncatedNormal, {"std": -1.0}),
        (TruncatedNormal, {"limit": 0.0}),
        (TruncatedNormal, {"limit": -2.0}),
        (Dirac, {"groups": 0}),
        (Sparse, {"sparsity": 1.5}),
        (Sparse, {"sparsity": -0.1}),
        (Sparse, {"std": -0.1}),
    ],
    ids=str,
)
def test_bad_settings_are_refused_by_name(kind, settings):
    ((name, value),) = settings.items()
    with pytest.raises(UsageError, match=rf"{kind.__name__}\({name}={value}\)"):
        kind(**settings)


def test_groups_divide_the_outputs():
    with pytest.raises(UsageError, match="5 output channels do not fall into 2"):
        initial_values(Dirac(2), (3, 4, 5))


# Fans


CONNECTED = [
    (layer(8, groups=groups, **settings), shape)
    for groups in (1, 2, 4)
    for layer, shape, settings in (
        (Conv1D, (7, 4), {"kernel": 3}),
        (Conv2D, (5, 6, 4), {"kernel": (2, 3)}),
        (Conv2D, (9, 7, 4), {"kernel": 3, "dilation": (2, 1)}),
        (ConvTranspose2D, (4, 5, 4), {"kernel": (2, 3)}),
        (ConvTranspose2D, (5, 4, 4), {"kernel": 2, "dilation": 2}),
    )
]


def connections(layer, shape):
    """(the most inputs that one output has, the most outputs that one input has), by moving each input."""
    model = Model([layer], shape, dtype="float64", seed=0)
    moved = model.forward(np.eye(np.prod(shape)).reshape(-1, *shape)) != 0
    moved = moved.reshape(len(moved), -1)
    return moved.sum(axis=0).max(), moved.sum(axis=1).max()


@pytest.mark.parametrize(("layer", "shape"), CONNECTED, ids=lambda value: short_repr(value).replace(" ", ""))
def test_a_layers_fans_are_its_connections(layer, shape):
    assert layer.plan(shape)[0]["W"].fans == connections(layer, shape)


@pytest.mark.parametrize("init", [he_normal, lecun_normal, glorot_uniform, VarianceScaling(1.0, "out")])
@pytest.mark.parametrize("groups", [1, 2, 8, 32])
def test_a_grouped_layer_keeps_the_variance_it_says(init, groups):
    """y is a sum of fan_in products, each with a weight of variance scale / fan."""
    x = np.random.default_rng(1).normal(size=(4, 12, 12, 32))
    fan_in, fan_out = 9 * 32 // groups, 9 * 64 // groups
    fan = {"in": fan_in, "out": fan_out, "mean": (fan_in + fan_out) / 2}[init.fan]
    for kind in (Conv2D, ConvTranspose2D):
        model = Model([kind(64, 3, groups=groups, init=init)], (12, 12, 32), dtype="float64", seed=1)
        assert model.forward(x)[:, 3:-3, 3:-3].var() == pytest.approx(init.scale * fan_in / fan, rel=0.2)
