"""Noise layers, GLU and Maxout against PyTorch: what is drawn is ours, what is done with it is the formula's."""

import numpy as np
import pytest
from comparison import assert_equals_torch, error, run_layer
from tolerances import label

from xpnn import layers
from xpnn.backends import get_backend
from xpnn.errors import UsageError, XpnnError

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""


def draws_of_the_layer(kind, shape):
    """What the layer draws at the path and step of `run_layer`."""
    be = get_backend("numpy", None, "float64")
    return torch.from_numpy(getattr(be, kind)((0, 0), be.scalar(3, be.xp.int64), shape))


def noisy(x, p):
    return x + 0.7 * draws_of_the_layer("normal", tuple(x.shape))


def spatial(x, p):
    keep = draws_of_the_layer("uniform", (x.shape[0], x.shape[-1])) >= 0.3
    return x * keep[:, None, :] / 0.7


def alpha(x, p):
    """The constants as PyTorch has them."""
    limit, rate = -1.7580993408473766, 0.3
    a = ((1 - rate) * (1 + rate * limit**2)) ** -0.5
    return a * torch.where(draws_of_the_layer("uniform", tuple(x.shape)) >= rate, x, limit) - a * limit * rate


def maxout(pieces):
    return lambda x, p: (x @ p["W"] + p["b"]).unflatten(-1, (-1, pieces)).max(-1).values


# (layer, shape of one sample, the same in PyTorch)
LAYERS = [
    (layers.GaussianNoise(0.7), (5,), noisy),
    (layers.SpatialDropout(0.3), (3, 20), spatial),
    (layers.AlphaDropout(0.3), (50,), alpha),
    (layers.GLU(), (6,), lambda x, p: F.glu(x, -1)),
    (layers.GLU(), (3, 4), lambda x, p: F.glu(x, -1)),
    (layers.Maxout(4), (5,), maxout(2)),
    (layers.Maxout(2, 3), (3, 5), maxout(3)),
]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("layer", "shape", "oracle"), LAYERS, ids=label)
def test_layer_equals_torch(layer, shape, oracle, scale):
    rng = np.random.default_rng(0)
    assert_equals_torch(layer, scale * rng.standard_normal((6, *shape)), oracle, rng, TOLERANCE)


@pytest.mark.parametrize("layer", [row[0] for row in LAYERS[:3]], ids=str)
def test_evaluation_draws_nothing(layer):
    x = np.random.default_rng(0).standard_normal((3, 2, 4))
    assert np.array_equal(run_layer(layer, x, train=False), x)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    n = 100_000
    y = run_layer(layers.AlphaDropout(rate), np.random.default_rng(0).standard_normal((1, n)))
    assert abs(y.mean()) <= 5 / np.sqrt(n)
    assert abs(y.var() - 1) <= 0.03


def test_ties_go_to_the_first_piece():
    p = {"W": np.zeros((1, 4)), "b": np.zeros(4)}
    _, _, grads = run_layer(layers.Maxout(2), np.ones((1, 1)), np.ones((1, 2)), p)
    assert grads["b"].tolist() == [1, 0, 1, 0]


def test_glu_samples_equal_torch():
    """PyTorch's corpus: all of its samples have a counterpart."""
    ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
    (info,) = [info for info in ops.op_db if info.name == "nn.functional.glu"]
    ran = 0
    for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
        dim = sample.kwargs.get("dim", sample.args[0] if sample.args else -1)
        x = sample.input.detach().clone().requires_grad_()
        wanted = info.op(x, *sample.args, **sample.kwargs)
        given = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(wanted.shape)))
        wanted.backward(given)
        ours, dy = x.detach().movedim(dim, -1).numpy(), given.movedim(dim, -1).numpy()
        y, dx, _ = run_layer(layers.GLU(), ours, dy)
        assert error(y, wanted.detach().movedim(dim, -1)) <= TOLERANCE
        assert error(dx, x.grad.movedim(dim, -1)) <= TOLERANCE
        ran += 1
    print(f"{ran} samples ran")
    assert ran >= 46


def test_what_cannot_be_is_refused():
    for made in (
        lambda: layers.GaussianNoise(-0.1),
        lambda: layers.SpatialDropout(1.1),
        lambda: layers.AlphaDropout(1.0),
        lambda: layers.AlphaDropout(-0.1),
        lambda: layers.Maxout(0),
        lambda: layers.Maxout(2, 0),
    ):
        with pytest.raises(UsageError):
            made()
    for layer, shape in (
        (layers.SpatialDropout(0.5), (4,)),
        (layers.GLU(), (5,)),
        (layers.GLU(), ()),
        (layers.Maxout(2), ()),
        (layers.Maxout(2), (0,)),
    ):
        with pytest.raises(XpnnError, match=f"layer 0 {type(layer).__name__}"):
            layers.Sequential([layer]).plan(shape)
